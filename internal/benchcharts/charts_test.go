package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDrawCharts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, drawCharts(strings.NewReader(benchOutput()), folder))

	init := drawing(t, folder, "init.svg")
	assert.Subset(t, init, []string{"10,000 flags", "one flag changed", "25 %", "0 of 10,002"})
	get := drawing(t, folder, "get.svg")
	assert.Subset(t, get, []string{"100,000 flags", "parallel readers", "80 %", "under 0.1 %"})
}

func TestDrawChartsOfMissingResults(t *testing.T) {
	t.Parallel()
	err := drawCharts(strings.NewReader("PASS\n"), t.TempDir())
	assert.ErrorContains(t, err, "the benchmarks' output has no ns/op of Benchmark")
}

func TestLabels(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"under 0.1 %", "0.1 %", "9.9 %", "10 %", "131 %"},
		[]string{percentLabel(0.04), percentLabel(0.1), percentLabel(9.94), percentLabel(10), percentLabel(131.4)})
	assert.Equal(t, []string{"0", "999", "1,002", "10,002"},
		[]string{thousands(0), thousands(999), thousands(1_002), thousands(10_002)})
}

// benchOutput has made-up results in the form of the real ones.
func benchOutput() string {
	var output strings.Builder
	for _, flags := range []int{100, 1_000, 10_000} {
		for table, written := range map[string]int{"empty": flags + 2, "one-changed": 1, "unchanged": 0} {
			name := fmt.Sprintf("BenchmarkInit/flags=%d/latency=20ms/table=%s", flags, table)
			fmt.Fprintf(&output, "%s/ours-2 5 250 ns/op 3.000 requests/op %d WCU/op\n", name, written)
			fmt.Fprintf(&output, "%s/baseline-2 5 1000 ns/op 43.00 requests/op %d WCU/op\n", name, flags+2)
		}
	}
	for _, flags := range []int{1_000, 100_000} {
		for _, readers := range []string{"sequential", "parallel"} {
			for benchmark, time := range map[string]string{"CachedGet": "80.0", "CachedAll": "0.05"} {
				name := fmt.Sprintf("Benchmark%s/flags=%d/%s", benchmark, flags, readers)
				fmt.Fprintf(&output, "%s/ours-2 1000 %s ns/op\n%s/baseline-2 1000 100 ns/op\n", name, time, name)
			}
		}
	}
	return output.String()
}

func drawing(t *testing.T, folder, name string) []string {
	svg, err := os.ReadFile(filepath.Join(folder, name))
	require.NoError(t, err)
	return textsOf(t, string(svg))
}
