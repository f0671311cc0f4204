package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTables(t *testing.T) {
	t.Parallel()
	const printed = `goos: linux
BenchmarkGetHit/flags=1000/store=ours-2    	 1000	 20.0 ns/op	 0 allocs/op
BenchmarkGetHit/flags=1000/store=ours-2    	 1000	 25.0 ns/op	 0 allocs/op
BenchmarkGetHit/flags=1000/store=ours-2    	 1000	 90.0 ns/op	 0 allocs/op
BenchmarkGetHit/flags=1000/store=original-2	 1000	100.0 ns/op	 1 allocs/op
BenchmarkGetHit/flags=1000/store=memory-2  	 1000	 50.0 ns/op	 0 allocs/op
BenchmarkUpdate/store=ours-2    	 1000	 50.0 ns/op
BenchmarkUpdate/store=awsv2-2   	 1000	 60.0 ns/op
BenchmarkUpdate/store=original-2	 1000	100.0 ns/op
BenchmarkInit/store=ours     	 1	 171301468 ns/op	   1.000 WCU/op
BenchmarkInit/store=original 	 1	1613232887 ns/op	1102 WCU/op
PASS
`
	var tables strings.Builder
	require.NoError(t, run(strings.NewReader(printed), &tables, ""))
	for _, row := range []string{
		"GetHit/flags=1000 25.00n 100.0n 25% 50.00n 50%", // the median of the runs
		"GetHit/flags=1000 0 1 0% 0",
		"Update 50.00n 100.0n 50% Update, AWS SDK v2 60.00n 100.0n 60%",
		"Init 171.3m 1.613 11%",
		"Init 1 1102 under 0.1%",
	} {
		assert.Contains(t, strings.Join(strings.Fields(tables.String()), " "), row)
	}
}

func TestNoResults(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, run(strings.NewReader("FAIL\n"), io.Discard, ""), "there are no results of benchmarks")
}

func TestMissingResults(t *testing.T) {
	t.Parallel()
	err := run(strings.NewReader("BenchmarkGetHit/store=ours 1 20.0 ns/op\n"), io.Discard, t.TempDir())
	assert.ErrorContains(t, err, "there is no ")
}

func TestCharts(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, run(strings.NewReader(madeUpResults()), io.Discard, folder))
	for name, wanted := range map[string][]string{
		"init.svg":    {"Write units", "10,000 flags", "one flag changed", "25%", "0%"},
		"get.svg":     {"Time of an All", "1,000 flags", "many goroutines", "25%"},
		"refresh.svg": {"Allocations", "first read", "300%"},
	} {
		assert.Subset(t, textsOf(t, filepath.Join(folder, name)), wanted, name)
	}
}

// madeUpResults has all that the charts show.
func madeUpResults() string {
	var printed strings.Builder
	add := func(benchmark string, written int) {
		fmt.Fprintf(&printed, "Benchmark%s/store=ours-2 5 250 ns/op 30 cpu-ns/op 300 allocs/op %d WCU/op\n", benchmark, written)
		for _, store := range []string{"original", "memory"} {
			fmt.Fprintf(&printed, "Benchmark%s/store=%s-2 5 1000 ns/op 60 cpu-ns/op 100 allocs/op 112 WCU/op\n", benchmark, store)
		}
	}
	for _, flags := range []int{100, 1_000, 10_000} {
		add(fmt.Sprintf("Init/flags=%d/table=empty", flags), 112)
		add(fmt.Sprintf("Init/flags=%d/table=changed", flags), 1)
		add(fmt.Sprintf("Init/flags=%d/table=unchanged", flags), 0)
		for _, goroutines := range []string{"one", "many"} {
			add(fmt.Sprintf("GetHit/flags=%d/goroutines=%s", flags, goroutines), 0)
			add(fmt.Sprintf("AllHit/flags=%d/goroutines=%s", flags, goroutines), 0)
		}
	}
	add("FirstAll/flags=1000", 0)
	add("RefreshAll/flags=1000/changed=1", 0)
	add("RefreshAll/flags=1000/changed=0", 0)
	return printed.String()
}

// textsOf returns the texts in an SVG file, and fails if it is no XML.
func textsOf(t *testing.T, path string) (texts []string) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	for decoder := xml.NewDecoder(file); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		require.NoError(t, err)
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
}
