package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchunit"
)

// units are what the benchmarks report, in the order of the tables.
var units = []struct {
	name, title string
	format      func(value float64) string
}{
	{"sec/op", "time (s)", scaled},
	{"cpu-sec/op", "CPU time (s)", scaled},
	{"allocs/op", "allocations", whole},
	{"B/op", "memory allocated (bytes)", scaled},
	{"held-B/op", "memory held (bytes)", scaled},
	{"requests/op", "requests", whole},
	{"RCU/op", "read units", whole},
	{"WCU/op", "write units", whole},
	{"answered/op", "reads that got the flag", func(share float64) string { return percent(share, 1) }},
}

func scaled(value float64) string { return benchunit.Scale(value, benchunit.Decimal) }
func whole(value float64) string  { return fmt.Sprintf("%.0f", value) }

// printTables prints a table for each unit, with the stores side by side, and
// how much of the others' values ours are.
func (rs *results) printTables(out io.Writer) error {
	for _, unit := range units {
		rows := rs.tableRows(unit.name, unit.format)
		if len(rows) == 0 {
			continue
		}
		table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
		fmt.Fprintf(table, "%s\tours\toriginal\tours is\tin memory\tours is\n", unit.title)
		for _, row := range rows {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	return nil
}

func (rs *results) tableRows(unit string, format func(value float64) string) (rows [][]string) {
	for _, benchmark := range rs.benchmarks {
		for _, ours := range []struct{ store, label string }{{"ours", ""}, {"awsv2", ", AWS SDK v2"}} {
			measured, ok := rs.median(measurement{benchmark, unit, ours.store})
			if !ok {
				continue
			}
			row := []string{benchmark + ours.label, format(measured)}
			for _, store := range []string{"original", "memory"} {
				if value, ok := rs.median(measurement{benchmark, unit, store}); ok {
					row = append(row, format(value), percent(measured, value))
				}
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// percent is how much a value is of another one.
func percent(value, of float64) string {
	switch share := 100 * value / of; {
	case of == 0:
		return ""
	case value == 0:
		return "0%"
	case share < 0.1:
		return "under 0.1%"
	case share < 10:
		return fmt.Sprintf("%.1f%%", share)
	default:
		return fmt.Sprintf("%.0f%%", share)
	}
}
