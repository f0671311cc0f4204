package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	commands := strings.Join([]string{
		`patch {"path": "/flags/f", "data": {"key": "f", "version": 1}}`,
		`delete {"path": "/flags/f", "version": 2}`,
		`put {"flags": {}, "segments": {}}`,
		`drop`,
		``,
		`patch {"path": "/nowhere/f", "data": {}}`,
		`delete no JSON`,
		`explode`,
	}, "\n")
	var out strings.Builder
	require.NoError(t, run("", strings.NewReader(commands), &out))

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 8)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, lines[0])
	assert.Equal(t, []string{"ok", "ok", "ok", "ok"}, lines[1:5])
	for _, line := range lines[5:] {
		assert.Regexp(t, "^error: .+", line)
	}
}
