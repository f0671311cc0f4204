package utils

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func TestUnmarshalItem(t *testing.T) {
	t.Parallel()
	flag, err := UnmarshalItem(ld.Features, []byte(`{"key":"a","version":2,"on":true}`))
	require.NoError(t, err)
	assert.Equal(t, &ld.FeatureFlag{Key: "a", Version: 2, On: true}, flag)

	segment, err := UnmarshalItem(ld.Segments, []byte(`{"key":"a","version":2,"deleted":true}`))
	require.NoError(t, err)
	assert.Equal(t, &ld.Segment{Key: "a", Version: 2, Deleted: true}, segment)
}

func TestUnmarshalItemRefusesWhatIsNoItem(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{`null`, ``, `{`, `[]`, `"a"`, `{"version":"two"}`} {
		item, err := UnmarshalItem(ld.Features, []byte(raw))
		assert.ErrorContains(t, err, `unmarshal an item of kind "features"`, raw)
		assert.True(t, item == nil, "a plain nil for %s", raw)
	}
}
