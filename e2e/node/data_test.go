package node_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

const (
	// patience is far longer than anything takes.
	patience = 60 * time.Second
	// pause is between two looks at something that is to happen soon.
	pause = 20 * time.Millisecond
)

func readFlag(t require.TestingT, table *localtable.Table, key string) *localtable.Row {
	row, err := table.Row("features", key)
	require.NoError(t, err)
	require.NotNil(t, row, key)
	return row
}

// awaitVersion waits until a flag's row has a version, and returns the row.
func awaitVersion(t *testing.T, table *localtable.Table, key string, version int) *localtable.Row {
	t.Helper()
	var row *localtable.Row
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		row = readFlag(c, table, key)
		require.Equal(c, version, row.Version)
	}, patience, pause)
	return row
}

// isInited tells whether the table says that its data set is complete.
func isInited(t assert.TestingT, table *localtable.Table) bool {
	row, err := table.Row("$inited", "$inited")
	assert.NoError(t, err)
	return row != nil
}

func countFlags(t assert.TestingT, table *localtable.Table) int {
	rows, err := table.Rows()
	assert.NoError(t, err)
	n := 0
	for _, row := range rows {
		if row.Namespace == "features" {
			n++
		}
	}
	return n
}

// flag is the JSON of a flag that has one value for everyone.
func flag(key string, version int, value any) json.RawMessage {
	return encode(map[string]any{
		"key": key, "version": version, "on": true, "salt": "s",
		"variations": []any{value}, "fallthrough": map[string]int{"variation": 0},
	})
}

// thirtyFlags are more than one BatchWriteItem request takes.
func thirtyFlags() []json.RawMessage {
	var flags []json.RawMessage
	for i := range 30 {
		flags = append(flags, flag(fmt.Sprintf("flag-%02d", i), 1, i))
	}
	return flags
}

// payloadOf is the JSON of an environment with these flags.
func payloadOf(flags ...json.RawMessage) []byte {
	byKey := make(map[string]json.RawMessage)
	for _, f := range flags {
		var parsed struct{ Key string }
		if err := json.Unmarshal(f, &parsed); err != nil {
			panic(err) // flag made it
		}
		byKey[parsed.Key] = f
	}
	return encode(map[string]any{"flags": byKey, "segments": map[string]any{}})
}

func encode(value any) []byte {
	encoded, err := json.Marshal(value)
	if err != nil {
		panic(err) // these tests encode nothing that has no JSON form
	}
	return encoded
}

// v4Data decodes a payload into what the SDK gives to a store.
func v4Data(t require.TestingT, payload []byte) map[ld.VersionedDataKind]map[string]ld.VersionedData {
	var parsed struct {
		Flags    map[string]*ld.FeatureFlag
		Segments map[string]*ld.Segment
	}
	require.NoError(t, json.Unmarshal(payload, &parsed))
	return ld.MakeAllVersionedDataMap(parsed.Flags, parsed.Segments)
}
