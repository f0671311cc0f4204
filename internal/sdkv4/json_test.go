package ldclient

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Other SDKs read what is written here, and rows are compared as text, so both names and order count.
func TestItemsHaveTheirJSONForm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		item VersionedData
		json string
	}{
		"zero flag": {
			item: &FeatureFlag{},
			json: `{"key":"","version":0,"on":false,"trackEvents":false,"trackEventsFallthrough":false,"deleted":false,
				"prerequisites":null,"salt":"","sel":"","targets":null,"rules":null,"fallthrough":{},
				"offVariation":null,"variations":null,"debugEventsUntilDate":null,"clientSide":false}`,
		},
		"full flag": {
			item: fullFlag(),
			json: `{"key":"flag","version":7,"on":true,"trackEvents":true,"trackEventsFallthrough":true,"deleted":true,
				"prerequisites":[{"key":"other","variation":1}],"salt":"pepper","sel":"s",
				"targets":[{"values":["ann"],"variation":1}],
				"rules":[{"id":"rule","variation":1,
					"clauses":[{"attribute":"email","op":"endsWith","values":["@example.org"],"negate":true}],
					"trackEvents":true}],
				"fallthrough":{"rollout":{"variations":[{"variation":1,"weight":100000}],"bucketBy":"country"}},
				"offVariation":1,"variations":["red",2,true,null,{"a":[]}],"debugEventsUntilDate":1600000000000,
				"clientSide":true,"clientSideAvailability":{"usingMobileKey":true,"usingEnvironmentId":true}}`,
		},
		"zero segment": {
			item: &Segment{},
			json: `{"key":"","included":null,"excluded":null,"salt":"","rules":null,"version":0,"deleted":false}`,
		},
		"full segment": {
			item: fullSegment(),
			json: `{"key":"segment","included":["ann"],"excluded":["bob"],"salt":"pepper",
				"rules":[{"id":"rule","clauses":[{"attribute":"age","op":"lessThan","values":[18],"negate":false}],
					"weight":50000,"bucketBy":"country"},{"clauses":null}],
				"version":7,"deleted":true}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			written, err := json.Marshal(test.item)
			require.NoError(t, err)
			assert.Equal(t, withoutSpace(t, test.json), string(written))
		})
	}
}

func TestItemsSurviveJSON(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		item VersionedData
		kind VersionedDataKind
	}{
		"flag":    {fullFlag(), Features},
		"segment": {fullSegment(), Segments},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			written, err := json.Marshal(test.item)
			require.NoError(t, err)
			read := test.kind.GetDefaultItem()
			require.NoError(t, json.Unmarshal(written, read))
			assert.Equal(t, test.item, read)
		})
	}
}

func fullFlag() *FeatureFlag {
	return &FeatureFlag{
		Key:                    "flag",
		Version:                7,
		On:                     true,
		TrackEvents:            true,
		TrackEventsFallthrough: true,
		Deleted:                true,
		Prerequisites:          []Prerequisite{{Key: "other", Variation: 1}},
		Salt:                   "pepper",
		Sel:                    "s",
		Targets:                []Target{{Values: []string{"ann"}, Variation: 1}},
		Rules: []Rule{{
			ID:                 "rule",
			VariationOrRollout: VariationOrRollout{Variation: pointer(1)},
			Clauses: []Clause{{
				Attribute: "email",
				Op:        "endsWith",
				Values:    []interface{}{"@example.org"},
				Negate:    true,
			}},
			TrackEvents: true,
		}},
		Fallthrough: VariationOrRollout{Rollout: &Rollout{
			Variations: []WeightedVariation{{Variation: 1, Weight: 100000}},
			BucketBy:   pointer("country"),
		}},
		OffVariation:           pointer(1),
		Variations:             []interface{}{"red", 2.0, true, nil, map[string]interface{}{"a": []interface{}{}}},
		DebugEventsUntilDate:   pointer(uint64(1600000000000)),
		ClientSide:             true,
		ClientSideAvailability: &ClientSideAvailability{UsingMobileKey: true, UsingEnvironmentID: true},
	}
}

func fullSegment() *Segment {
	return &Segment{
		Key:      "segment",
		Included: []string{"ann"},
		Excluded: []string{"bob"},
		Salt:     "pepper",
		Rules: []SegmentRule{
			{
				Id:       "rule",
				Clauses:  []Clause{{Attribute: "age", Op: "lessThan", Values: []interface{}{18.0}}},
				Weight:   pointer(50000),
				BucketBy: pointer("country"),
			},
			{},
		},
		Version: 7,
		Deleted: true,
	}
}

func pointer[T any](value T) *T { return &value }

func withoutSpace(t *testing.T, text string) string {
	t.Helper()
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, []byte(text)))
	return compact.String()
}
