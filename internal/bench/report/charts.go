package main

import (
	"fmt"
	"path/filepath"
)

// drawCharts draws the charts of docs/benchmarks.md.
func drawCharts(rs *results, folder string) error {
	for name, newChart := range map[string]func(*results) (chart, error){
		"init.svg":    initChart,
		"get.svg":     hitChart,
		"refresh.svg": refreshChart,
	} {
		c, err := newChart(rs)
		if err != nil {
			return err
		}
		if err := c.save(filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

func initChart(rs *results) (chart, error) {
	c := chart{title: "Init (the SDK's own DynamoDB store: 100%)", panels: []panel{
		{title: "Time, at 20 ms a request", unit: "sec/op"},
		{title: "Write units", unit: "WCU/op"},
	}}
	for _, flags := range []int{100, 1_000, 10_000} {
		for _, table := range []struct{ name, label string }{
			{"empty", "empty table"}, {"changed", "one flag changed"}, {"unchanged", "nothing changed"},
		} {
			c.rows = append(c.rows, row{
				group:      thousands(flags) + " flags",
				label:      table.label,
				benchmarks: []string{fmt.Sprintf("Init/flags=%d/table=%s", flags, table.name)},
			})
		}
	}
	return c, c.compare(rs, "original")
}

func hitChart(rs *results) (chart, error) {
	c := chart{title: "Reads from memory (the SDK's in-memory store: 100%)", panels: []panel{
		{title: "Time of a Get", unit: "sec/op"},
		{title: "Time of an All", unit: "sec/op"},
	}}
	for _, flags := range []int{1_000, 10_000} {
		for _, goroutines := range []struct{ name, label string }{{"one", "one goroutine"}, {"many", "many goroutines"}} {
			name := fmt.Sprintf("Hit/flags=%d/goroutines=%s", flags, goroutines.name)
			c.rows = append(c.rows, row{
				group:      thousands(flags) + " flags",
				label:      goroutines.label,
				benchmarks: []string{"Get" + name, "All" + name},
			})
		}
	}
	return c, c.compare(rs, "memory")
}

func refreshChart(rs *results) (chart, error) {
	c := chart{title: "Reading 1,000 flags (the SDK's own DynamoDB store: 100%)", panels: []panel{
		{title: "CPU time", unit: "cpu-sec/op"},
		{title: "Allocations", unit: "allocs/op"},
	}}
	for _, r := range []struct{ label, benchmark string }{
		{"first read", "FirstAll/flags=1000"},
		{"after a TTL, one flag changed", "RefreshAll/flags=1000/changed=1"},
		{"after a TTL, nothing changed", "RefreshAll/flags=1000/changed=0"},
	} {
		c.rows = append(c.rows, row{label: r.label, benchmarks: []string{r.benchmark}})
	}
	return c, c.compare(rs, "original")
}

// thousands writes a number below a million with a comma.
func thousands(n int) string {
	if n < 1_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1_000, n%1_000)
}
