package benchresults

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	t.Parallel()
	r, err := Read(strings.NewReader(`goos: linux
pkg: example.com/p
BenchmarkGet/1000/ours-2         	  100	        25.5 ns/op	       0 B/op	       0 allocs/op
BenchmarkInit/1000/plain         	    1	 840000000 ns/op	  1001 WCU/op
--- BENCH: BenchmarkInit/1000/plain
PASS
ok  	example.com/p	1.2s
`))
	require.NoError(t, err)
	assert.Equal(t, Results{
		{"BenchmarkGet/1000/ours", map[string]float64{"ns/op": 25.5, "B/op": 0, "allocs/op": 0}},
		{"BenchmarkInit/1000/plain", map[string]float64{"ns/op": 840000000, "WCU/op": 1001}},
	}, r)

	value, err := r.Value("BenchmarkInit/1000/plain", "WCU/op")
	require.NoError(t, err)
	assert.InDelta(t, 1001, value, 0)
	_, err = r.Value("BenchmarkInit/1000/plain", "RCU/op")
	require.EqualError(t, err, "the benchmarks' output has no RCU/op of BenchmarkInit/1000/plain")
	_, err = r.Value("BenchmarkInit/1000", "WCU/op")
	assert.EqualError(t, err, "the benchmarks' output has no WCU/op of BenchmarkInit/1000")
}

func TestFastestOfSeveralRunsCounts(t *testing.T) {
	t.Parallel()
	r, err := Read(strings.NewReader(`
BenchmarkGet-2  100  25.5 ns/op  3 allocs/op
BenchmarkGet-2  100  24.5 ns/op  2 allocs/op
BenchmarkGet-2  100  26.5 ns/op  4 allocs/op
`))
	require.NoError(t, err)
	assert.Equal(t, Results{{"BenchmarkGet", map[string]float64{"ns/op": 24.5, "allocs/op": 2}}}, r)
}

func TestReadThatAreCutOff(t *testing.T) {
	t.Parallel()
	_, err := Read(strings.NewReader("BenchmarkGet 100 25.5.1 ns/op\n"))
	assert.ErrorContains(t, err, "25.5.1")
}
