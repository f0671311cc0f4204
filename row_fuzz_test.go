package lddynamodb

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// malformedText is all that an error tells of a malformed row. None of it comes
// from the row.
var malformedText = regexp.MustCompile(`^the row features/key is malformed: (` +
	`it has no string attribute item|` +
	`it has neither a version nor a key|` +
	`its JSON isn't an object|` +
	`its JSON has a wrong type at field "[A-Za-z.]+", where [A-Za-z0-9.\[\]*{} ]+ is expected|` +
	`its JSON breaks off or is invalid at byte [0-9]+|` +
	`its JSON holds no such item)$`)

// What is decoded is the row's own item, and decodes to the same when it is
// stored again. What isn't is told without its contents.
func FuzzDecodeRow(f *testing.F) {
	for _, attributes := range malformedRows {
		r := rowOfAttributes(attributes)
		f.Add(r.version, r.item, true)
		f.Add(r.version, r.item, false)
	}
	f.Add("3", []byte(flagJSON("key", "3")), true)
	f.Add("-3", []byte(`{"key":"key","version":-3,"rules":[{"clauses":[{"values":[1e3,null,{"a":[]}]}]}]}`), true)
	f.Add("3", []byte(`{"version":3,"deleted":true}`), false)
	f.Fuzz(func(t *testing.T, version string, item []byte, isFlag bool) {
		var kind ld.VersionedDataKind = ld.Features
		if !isFlag {
			kind = ld.Segments
		}
		r := row{rowKey{"features", "key"}, version, item}

		decoded, _, err := r.decode(kind)

		if err != nil {
			require.Nil(t, decoded)
			require.Regexp(t, malformedText, err.Error())
			return
		}
		require.Equal(t, "key", decoded.GetKey())
		again, err := encodeRow("features", decoded)
		if err != nil {
			return // the JSON has become too large
		}
		same, _, err := again.decode(kind)
		require.NoError(t, err)
		require.Equal(t, decoded, same)
	})
}
