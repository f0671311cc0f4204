package main

import (
	"fmt"
	"strconv"
)

// initLatency is what the benchmarks add to each request in the chart's cases.
const initLatency = "20ms"

// initChart compares an Init with the plain way.
func initChart(r results) (chart, error) {
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
			time, err := r.comparison(name, "ns/op")
			if err != nil {
				return chart{}, err
			}
			units, err := r.comparison(name, "WCU/op")
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
func getChart(r results) (chart, error) {
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
				time, err := r.comparison(fmt.Sprintf("Benchmark%s/flags=%d/%s", benchmark, flags, readers.name), "ns/op")
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

func (r results) comparison(benchmark, unit string) (c comparison, err error) {
	if c.ours, err = r.get(benchmark+"/ours", unit); err != nil {
		return c, err
	}
	c.baseline, err = r.get(benchmark+"/baseline", unit)
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
