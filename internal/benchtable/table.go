package main

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/benchresults"
)

// columns are the units that benchmarks here report, as far as a reader needs
// them, in the table's order.
var columns = []struct {
	unit, title string
	format      func(float64) string
}{
	{"ns/op", "time", formatTime},
	{"requests/op", "requests", formatNumber},
	{"RCU/op", "read units", formatNumber},
	{"WCU/op", "write units", formatNumber},
	{"B/op", "memory", formatBytes},
	{"allocs/op", "allocations", formatNumber},
}

// printTable prints a line for each result but those that are there for the
// sake of comparison.
func printTable(out io.Writer, results benchresults.Results) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	heading := []string{""}
	for _, column := range columns {
		heading = append(heading, column.title)
	}
	fmt.Fprintln(table, strings.Join(heading, "\t"))
	for _, r := range results {
		if slices.ContainsFunc(results, func(ours benchresults.Result) bool { return isOurs(ours) && isRival(r, ours) }) {
			continue
		}
		fmt.Fprintln(table, strings.Join(cells(r, results), "\t"))
	}
	return table.Flush()
}

// isOurs tells whether a result is to be compared with another.
func isOurs(r benchresults.Result) bool { return path.Base(r.Name) == "ours" }

// isRival tells whether a result is what one of ours is compared with.
func isRival(r, ours benchresults.Result) bool {
	return !isOurs(r) && path.Dir(r.Name) == path.Dir(ours.Name)
}

func cells(r benchresults.Result, results benchresults.Results) []string {
	name, rival := strings.TrimPrefix(r.Name, "Benchmark"), benchresults.Result{}
	if i := slices.IndexFunc(results, func(other benchresults.Result) bool { return isRival(other, r) }); isOurs(r) && i >= 0 {
		rival = results[i]
		name = fmt.Sprintf("%s (%% of %s)", path.Dir(name), path.Base(rival.Name))
	}
	cells := []string{name}
	for _, column := range columns {
		value, ok := r.Values[column.unit]
		if !ok {
			cells = append(cells, "")
			continue
		}
		cell := column.format(value)
		if theirs := rival.Values[column.unit]; theirs > 0 {
			cell += fmt.Sprintf(" (%s %%)", digits(100*value/theirs))
		}
		cells = append(cells, cell)
	}
	return cells
}

func formatNumber(value float64) string { return fmt.Sprintf("%.0f", value) }
func formatTime(value float64) string   { return formatUnit(value, "ns", "µs", "ms", "s") }
func formatBytes(value float64) string  { return formatUnit(value, "B", "kB", "MB", "GB") }

// formatUnit uses the largest of some units, each a thousand times the one
// before it, that leaves a value of one or more.
func formatUnit(value float64, units ...string) string {
	for value >= 1000 && len(units) > 1 {
		value /= 1000
		units = units[1:]
	}
	return digits(value) + " " + units[0]
}

// digits is a number with three digits, or more before the point.
func digits(value float64) string {
	switch {
	case value >= 100 || value == 0:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}
