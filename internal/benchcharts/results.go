package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// results are what benchmarks reported, by name and unit.
type results map[string]map[string]float64

// procs is the suffix that "go test" adds to names where GOMAXPROCS isn't 1.
var procs = regexp.MustCompile(`-\d+$`)

// readResults takes the results out of what "go test -bench" prints, which has
// lines such as "BenchmarkHit/Get-2  100  25.3 ns/op  0 B/op  0 allocs/op". Of
// several runs the fastest counts: what else the machine does only slows it down.
func readResults(output io.Reader) (results, error) {
	r := make(results)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		units, err := readUnits(fields[2:])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		name := procs.ReplaceAllString(fields[0], "")
		if before, ok := r[name]; !ok || units["ns/op"] < before["ns/op"] {
			r[name] = units
		}
	}
	return r, lines.Err()
}

// readUnits takes pairs of a value and its unit.
func readUnits(fields []string) (map[string]float64, error) {
	units := make(map[string]float64)
	for i := 0; i < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil, err
		}
		units[fields[i+1]] = value
	}
	return units, nil
}

// get returns what a benchmark reported in a unit.
func (r results) get(name, unit string) (float64, error) {
	value, ok := r[name][unit]
	if !ok {
		return 0, fmt.Errorf("the benchmarks' output has no %s of %s", unit, name)
	}
	return value, nil
}
