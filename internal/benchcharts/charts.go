package main

import (
	"fmt"
	"strconv"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/benchresults"
)

// initLatency is what the benchmarks add to each request in the chart's cases.
const initLatency = "20ms"

// initChart compares an Init with the plain way.
func initChart(results benchresults.Results) (chart, error) {
	c := chart{
		title:    "An Init, against the plain way to write all rows",
		baseline: "the plain way",
		panels:   []string{"Time, at 20 ms a request", "Write units"},
	}
	for _, flags := range []int{100, 1_000, 10_000} {
		g := group{label: thousands(flags) + " flags"}
		for _, table := range []struct{ name, label string }{
			{"empty", "empty table"}, {"one-changed", "one flag changed"}, {"unchanged", "nothing changed"},
		} {
			name := fmt.Sprintf("BenchmarkInit/flags=%d/latency=%s/table=%s", flags, initLatency, table.name)
			time, err := compare(results, name, "ns/op")
			if err != nil {
				return chart{}, err
			}
			units, err := compare(results, name, "WCU/op")
			if err != nil {
				return chart{}, err
			}
			g.rows = append(g.rows, row{table.label, []bar{
				{time.percent(), percentLabel(time.percent())},
				{units.percent(), thousands(int(units.ours)) + " of " + thousands(int(units.baseline))},
			}})
		}
		c.groups = append(c.groups, g)
	}
	return c, nil
}

// getChart compares reads that the cache answers with the in-memory store's.
func getChart(results benchresults.Results) (chart, error) {
	c := chart{
		title:    "A read from the cache, against the SDK's in-memory store",
		baseline: "in-memory store",
		panels:   []string{"Time of a Get", "Time of an All"},
	}
	for _, flags := range []int{1_000, 100_000} {
		g := group{label: thousands(flags) + " flags"}
		for _, readers := range []struct{ name, label string }{
			{"sequential", "one reader"}, {"parallel", "parallel readers"},
		} {
			read := row{label: readers.label}
			for _, benchmark := range []string{"CachedGet", "CachedAll"} {
				time, err := compare(results, fmt.Sprintf("Benchmark%s/flags=%d/%s", benchmark, flags, readers.name), "ns/op")
				if err != nil {
					return chart{}, err
				}
				read.bars = append(read.bars, bar{time.percent(), percentLabel(time.percent())})
			}
			g.rows = append(g.rows, read)
		}
		c.groups = append(c.groups, g)
	}
	return c, nil
}

// A comparison is a value of this package's and the one to compare it with.
type comparison struct{ ours, baseline float64 }

func compare(results benchresults.Results, benchmark, unit string) (c comparison, err error) {
	if c.ours, err = results.Value(benchmark+"/ours", unit); err != nil {
		return c, err
	}
	c.baseline, err = results.Value(benchmark+"/baseline", unit)
	return c, err
}

func (c comparison) percent() float64 { return 100 * c.ours / c.baseline }

func percentLabel(percent float64) string {
	switch {
	case percent < 0.1:
		return "under 0.1 %"
	case percent < 10:
		return fmt.Sprintf("%.1f %%", percent)
	default:
		return fmt.Sprintf("%.0f %%", percent)
	}
}

// thousands writes a number below a million with a comma.
func thousands(n int) string {
	if n < 1_000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1_000, n%1_000)
}
