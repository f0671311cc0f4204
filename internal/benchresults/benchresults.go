// Package benchresults reads what "go test -bench" prints.
package benchresults

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Result is what a benchmark reported.
type Result struct {
	Name   string             // "BenchmarkInit/flags=100/ours"
	Values map[string]float64 // by unit: "ns/op", "allocs/op"
}

// Results are in the order in which the benchmarks ran.
type Results []Result

// processors is what "go test" adds to names where GOMAXPROCS isn't 1.
var processors = regexp.MustCompile(`-\d+$`)

// Read takes the results out of lines such as "BenchmarkHit/Get-2  100  25.3
// ns/op  0 B/op  0 allocs/op", and passes over all others. Of several runs the
// fastest counts: what else the machine does only slows it down.
func Read(output io.Reader) (Results, error) {
	var results Results
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		values, err := readValues(fields[2:])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		name := processors.ReplaceAllString(fields[0], "")
		switch i := results.index(name); {
		case i < 0:
			results = append(results, Result{name, values})
		case values["ns/op"] < results[i].Values["ns/op"]:
			results[i].Values = values
		}
	}
	return results, lines.Err()
}

// readValues takes pairs of a value and its unit.
func readValues(fields []string) (map[string]float64, error) {
	values := make(map[string]float64)
	for i := 0; i < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil, err
		}
		values[fields[i+1]] = value
	}
	return values, nil
}

// Value returns what a benchmark reported in a unit.
func (rs Results) Value(name, unit string) (float64, error) {
	if i := rs.index(name); i >= 0 {
		if value, ok := rs[i].Values[unit]; ok {
			return value, nil
		}
	}
	return 0, fmt.Errorf("the benchmarks' output has no %s of %s", unit, name)
}

func (rs Results) index(name string) int {
	return slices.IndexFunc(rs, func(r Result) bool { return r.Name == name })
}
