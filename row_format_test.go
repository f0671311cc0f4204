package lddynamodb

import (
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// The attributes' names are written out here: they are what all SDKs agree on.
func itemRow(namespace, key string, version int, item string) rawItem {
	return rawItem{
		"namespace": {S: aws.String(namespace)},
		"key":       {S: aws.String(key)},
		"version":   {N: aws.String(strconv.Itoa(version))},
		"item":      {S: aws.String(item)},
	}
}

func initedRow(key string) rawItem {
	return rawItem{"namespace": {S: aws.String(key)}, "key": {S: aws.String(key)}}
}

// fullFlag has something in every field.
func fullFlag() *ld.FeatureFlag {
	f := flag("full", 42, "other")
	f.Sel = "sel"
	f.Targets = []ld.Target{{Values: []string{"user", "größe <&> \u2028 🚩"}, Variation: 1}}
	rollout := ld.VariationOrRollout{Rollout: &ld.Rollout{
		Variations: []ld.WeightedVariation{{Variation: 0, Weight: 99_999}, {Variation: 1, Weight: 1}},
		BucketBy:   aws.String("country"),
	}}
	f.Rules = []ld.Rule{{
		ID:                 "rule",
		VariationOrRollout: rollout,
		Clauses:            []ld.Clause{{Attribute: "email", Op: "endsWith", Values: []interface{}{"@example.com", 1.5, nil}, Negate: true}},
		TrackEvents:        true,
	}}
	f.Fallthrough = rollout
	f.OffVariation = aws.Int(1)
	f.Variations = []interface{}{map[string]interface{}{"a": []interface{}{1.5, "x", nil}}, false}
	f.DebugEventsUntilDate = aws.Uint64(1_600_000_000_000)
	f.ClientSideAvailability = &ld.ClientSideAvailability{UsingMobileKey: true}
	return f
}

func TestRowsHaveTheSharedFormat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ prefix, start string }{
		"without a prefix": {"", ""},
		"with a prefix":    {"my-environment", "my-environment:"},
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(Prefix(test.prefix))
			simple, users := flag("simple", 1), segment("users", 7, "a", "b")
			require.NoError(t, store.Init(allData(fullFlag(), simple, users)))
			require.NoError(t, store.Upsert(ld.Features, flag("updated", 2)))
			require.NoError(t, store.Delete(ld.Features, "simple", 3))
			require.NoError(t, store.Delete(ld.Segments, "never there", 4))

			features, segments, inited := test.start+"features", test.start+"segments", test.start+"$inited"
			assert.Equal(t, map[string]rawItem{
				features + "/full":        itemRow(features, "full", 42, jsonOf(t, fullFlag())),
				features + "/updated":     itemRow(features, "updated", 2, jsonOf(t, flag("updated", 2))),
				features + "/simple":      itemRow(features, "simple", 3, jsonOf(t, ld.Features.MakeDeletedItem("simple", 3))),
				segments + "/users":       itemRow(segments, "users", 7, jsonOf(t, users)),
				segments + "/never there": itemRow(segments, "never there", 4, jsonOf(t, ld.Segments.MakeDeletedItem("never there", 4))),
				inited + "/" + inited:     initedRow(inited),
			}, f.rows())

			another := f.newStore(Prefix(test.prefix))
			assertGet(t, another, ld.Features, "full", fullFlag())
		})
	}
}

// Other SDKs, and other versions of this one, write the same things in other
// ways. Where the attributes and the JSON differ, the attributes decide.
func TestRowsOfOtherSDKsAreRead(t *testing.T) {
	t.Parallel()
	noVersion := new(dynamodb.AttributeValue)
	plain := &ld.FeatureFlag{Key: "f", Version: 5, On: true, Salt: "s"}
	for name, test := range map[string]struct {
		item    string
		version *dynamodb.AttributeValue // 5, if it is nil
		want    ld.VersionedData
	}{
		"fields in another order":             {`{"salt":"s","version":5,"on":true,"key":"f"}`, nil, plain},
		"fields of a newer SDK":               {`{"key":"f","version":5,"on":true,"salt":"s","migration":{"checkRatio":1},"x":[null]}`, nil, plain},
		"white space":                         {"\n{ \"key\" : \"f\" ,\r\n\t\"version\":5, \"on\":true,\"salt\":\"s\" }\n", nil, plain},
		"escaped characters":                  {`{"\u006bey":"\u0066","version":5,"on":true,"salt":"\u0073"}`, nil, plain},
		"nulls in the place of zeros":         {`{"key":"f","version":5,"on":true,"salt":"s","targets":null,"rules":null,"deleted":null}`, nil, plain},
		"no version in the JSON":              {`{"key":"f","on":true,"salt":"s"}`, nil, plain},
		"another version in the JSON":         {`{"key":"f","version":9,"on":true,"salt":"s"}`, nil, plain},
		"no key in the JSON":                  {`{"version":5,"on":true,"salt":"s"}`, nil, plain},
		"another key in the JSON":             {`{"key":"other","version":5,"on":true,"salt":"s"}`, nil, plain},
		"neither in the JSON":                 {`{"on":true,"salt":"s"}`, nil, plain},
		"an empty object":                     {`{}`, nil, &ld.FeatureFlag{Key: "f", Version: 5}},
		"no attribute version":                {`{"key":"f","version":5,"on":true,"salt":"s"}`, noVersion, plain},
		"an attribute version of zero":        {`{"key":"f","version":5,"on":true,"salt":"s"}`, number("0"), plain},
		"a text as attribute version":         {`{"key":"f","version":5,"on":true,"salt":"s"}`, text("7"), plain},
		"a fraction as attribute version":     {`{"key":"f","version":5,"on":true,"salt":"s"}`, number("4.5"), plain},
		"a deleted flag as we write it":       {`{"key":"f","version":5,"on":false,"deleted":true,"salt":""}`, nil, nil},
		"a deleted flag without a key":        {`{"version":5,"deleted":true}`, nil, nil},
		"a deleted flag without a version":    {`{"deleted":true}`, nil, nil},
		"a deleted flag of a placeholder key": {`{"key":"$deleted","version":5,"deleted":true}`, nil, nil},
		"a deleted flag of an empty key":      {`{"key":"","deleted":true,"version":5}`, nil, nil},
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			row := itemRow("features", "f", 5, test.item)
			if test.version != nil {
				row[versionAttribute] = test.version
			}
			if test.version == noVersion {
				delete(row, versionAttribute)
			}
			f.putRow(row)
			f.putRow(itemRow("features", "other", 1, jsonOf(t, flag("other", 1))))

			assertGet(t, f.newStore(), ld.Features, "f", test.want)
			if test.want == nil {
				assertAll(t, f.newStore(), ld.Features, flag("other", 1))
			} else {
				assertAll(t, f.newStore(), ld.Features, flag("other", 1), test.want)
			}

			// Its version counts, whoever wrote it.
			store := f.newStore()
			if test.version == nil {
				require.NoError(t, store.Upsert(ld.Features, flag("f", 5)))
				require.NoError(t, store.Delete(ld.Features, "f", 5))
				assertGet(t, store, ld.Features, "f", test.want)
			}
			require.NoError(t, store.Upsert(ld.Features, flag("f", 6)))
			assertGet(t, store, ld.Features, "f", flag("f", 6))
			assert.Equal(t, itemRow("features", "f", 6, jsonOf(t, flag("f", 6))), f.rows()["features/f"])
			assert.Empty(t, f.log.ofStores())
		})
	}
}

// Items of other kinds can't be changed. The version that counts is returned beside them.
func TestDecodeOfAnotherKindsRow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		item string
		want ld.VersionedData
	}{
		"the same version": {`{"id":"e","revision":5}`, &experiment{ID: "e", Revision: 5}},
		"another version":  {`{"id":"e","revision":4}`, &experiment{ID: "e", Revision: 4}},
		"another key":      {`{"id":"x","revision":5}`, nil},
		"deleted":          {`{"revision":4,"abandoned":true}`, &experiment{ID: "e", Revision: 5, Abandoned: true}},
	} {
		item, version, err := row{rowKey{"experiments", "e"}, "5", []byte(c.item)}.decode(experiments)
		if c.want == nil {
			assert.ErrorContains(t, err, "its JSON has another key", name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, c.want, item, name)
		assert.Equal(t, 5, version, name)
	}
}

// Else each start would take from a row what newer SDKs evaluate.
func TestInitLeavesRowsOfNewerSDKsAlone(t *testing.T) {
	t.Parallel()
	newer := map[string]string{
		"features/full": `{"contextTargets":[],"excludeFromSummaries":true,"samplingRatio":1,"migration":{"checkRatio":1},`,
		"segments/s":    `{"unbounded":false,"generation":2,"includedContexts":[],`,
	}
	for name, c := range map[string]struct {
		init   []ld.VersionedData
		change rawItem // of the rows
		stays  bool
	}{
		"the same":         {init: []ld.VersionedData{fullFlag(), segment("s", 2, "a")}, stays: true},
		"newer versions":   {init: []ld.VersionedData{&ld.FeatureFlag{Key: "full", Version: 43}, segment("s", 3, "a")}},
		"other contents":   {init: []ld.VersionedData{&ld.FeatureFlag{Key: "full", Version: 42}, segment("s", 2, "b")}},
		"malformed rows":   {init: []ld.VersionedData{fullFlag(), segment("s", 2, "a")}, change: rawItem{itemAttribute: text("{")}},
		"without versions": {init: []ld.VersionedData{fullFlag(), segment("s", 2, "a")}, change: rawItem{versionAttribute: text("2")}},
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore().Init(allData(fullFlag(), segment("s", 2, "a"))))
			before := f.rows()
			for name, start := range newer {
				row := before[name]
				item := strings.Replace(*row[itemAttribute].S, "{", start, 1)
				row[itemAttribute] = text(strings.Replace(item, `"sel":"sel",`, "", 1))
				for attribute, value := range c.change {
					row[attribute] = value
				}
				f.putRow(row)
			}

			require.NoError(t, f.newStore().Init(allData(c.init...)))

			if c.stays {
				assert.Equal(t, before, f.rows())
				assert.Len(t, f.transport.recorded("BatchWriteItem"), 2, "of the first Init")
			} else {
				f.requireHolds(c.init)
			}
			for _, item := range c.init {
				if full, ok := item.(*ld.FeatureFlag); ok && c.stays {
					full.Sel = "" // as it is in the row
				}
				assertGet(t, f.newStore(), kindOf(item), item.GetKey(), item)
			}
		})
	}
}
