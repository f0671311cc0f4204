package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	t.Parallel()
	const printed = `goos: linux
BenchmarkInit/flags=100/ours-2      	 1	 171301468 ns/op	 28.00 RCU/op	 0 WCU/op	 3.000 requests/op	 1115320 B/op	 2159 allocs/op
BenchmarkInit/flags=100/baseline-2  	 1	1613232887 ns/op	 27.00 RCU/op	 112.0 WCU/op	 7.000 requests/op	 1252784 B/op	 8242 allocs/op
BenchmarkGet-2 	 50000000	 25.31 ns/op	 0 B/op	 0 allocs/op
PASS
ok  	example.com/package	132.569s
`
	var table strings.Builder
	require.NoError(t, run(strings.NewReader(printed), &table))
	assert.Equal(t, `
                                 time              requests     read units   write units   memory             allocations
Init/flags=100 (% of baseline)   171 ms (10.6 %)   3 (42.9 %)   28 (104 %)   0 (0 %)       1.12 MB (89.0 %)   2159 (26.2 %)
Get                              25.3 ns                                                   0 B                0
`, "\n"+table.String())
}

func TestResultThatIsNoNumber(t *testing.T) {
	t.Parallel()
	err := run(strings.NewReader("BenchmarkGet 100 25.5.1 ns/op\n"), &strings.Builder{})
	assert.ErrorContains(t, err, `"BenchmarkGet 100 25.5.1 ns/op"`)
}
