package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// A measurement is one of the results of one benchmark.
type measurement struct {
	benchmark string // without the store: "Init/flags=100/table=empty"
	unit      string // as benchfmt has it: "sec/op"
	store     string
}

// results has what was measured, once for each run of a benchmark.
type results struct {
	benchmarks []string // in the order in which they ran
	values     map[measurement][]float64
}

func readResults(in io.Reader) (*results, error) {
	rs := &results{values: make(map[measurement][]float64)}
	known := make(map[string]bool)
	reader := benchfmt.NewReader(in, "standard input")
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, record
		case *benchfmt.Result:
			benchmark, store := splitName(record.Name)
			if !known[benchmark] {
				known[benchmark] = true
				rs.benchmarks = append(rs.benchmarks, benchmark)
			}
			for _, value := range record.Values {
				m := measurement{benchmark, value.Unit, store}
				rs.values[m] = append(rs.values[m], value.Value)
			}
		}
	}
	if len(rs.benchmarks) == 0 {
		return nil, errors.New("there are no results of benchmarks")
	}
	return rs, reader.Err()
}

// splitName takes "store=..." out of a benchmark's name, and the number of
// processors.
func splitName(name benchfmt.Name) (benchmark, store string) {
	base, parts := name.Parts()
	benchmark = string(base)
	for _, part := range parts {
		if value, isStore := strings.CutPrefix(string(part), "/store="); isStore {
			store = value
		} else if part[0] == '/' {
			benchmark += string(part)
		}
	}
	return benchmark, store
}

// median returns the median of all runs.
func (rs *results) median(m measurement) (value float64, ok bool) {
	values, ok := rs.values[m]
	if !ok {
		return 0, false
	}
	sample := benchmath.NewSample(values, &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(sample, 0.95).Center, true
}

// compare returns the value of one store, and that of another to compare it with.
func (rs *results) compare(benchmark, unit, store, with string) (value, baseline float64, err error) {
	value, ok := rs.median(measurement{benchmark, unit, store})
	baseline, okToo := rs.median(measurement{benchmark, unit, with})
	if !ok || !okToo {
		return 0, 0, fmt.Errorf("there is no %s of %s for both %s and %s", unit, benchmark, store, with)
	}
	return value, baseline, nil
}
