package main

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// A result is what a benchmark reported.
type result struct {
	name   string             // "BenchmarkInit/flags=100/ours"
	values map[string]float64 // by unit
}

// isOurs tells whether the result is to be compared with another.
func (r result) isOurs() bool { return path.Base(r.name) == "ours" }

// isRivalOf tells whether a result is what one of ours is compared with.
func (r result) isRivalOf(ours result) bool {
	return !r.isOurs() && path.Dir(r.name) == path.Dir(ours.name)
}

// processors is what go test adds to a benchmark's name.
var processors = regexp.MustCompile(`-\d+$`)

// readResults picks the results out of what go test prints.
func readResults(in io.Reader) ([]result, error) {
	var results []result
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		r := result{name: processors.ReplaceAllString(fields[0], ""), values: make(map[string]float64)}
		for i := 2; i < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
			}
			r.values[fields[i+1]] = value
		}
		results = append(results, r)
	}
	return results, lines.Err()
}
