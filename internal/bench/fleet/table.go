package main

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// A result is what was counted of a fleet.
type result struct {
	expiry string // when its cached items expire
	units  []int  // by second
}

func (r result) highest() int { return slices.Max(r.units) }

func (r result) mean() int {
	sum := 0
	for _, units := range r.units {
		sum += units
	}
	return sum / len(r.units)
}

// percentile returns what that many percent of the seconds do not exceed.
func (r result) percentile(percent int) int {
	sorted := slices.Sorted(slices.Values(r.units))
	return sorted[(len(sorted)*percent+99)/100-1]
}

// minute returns the seconds of a minute, the first of which is 1.
func (r result) minute(number int) result {
	return result{r.expiry, r.units[(number-1)*60 : number*60]}
}

// after returns the seconds after the first ones.
func (r result) after(first time.Duration) result {
	return result{r.expiry, r.units[first/time.Second:]}
}

// printTable prints a column for each result.
func printTable(out io.Writer, results []result, ttl time.Duration) {
	row := func(label string, cell func(result) string) {
		fmt.Fprintf(out, "%-24s", label)
		for _, r := range results {
			fmt.Fprintf(out, "%*s", len(r.expiry)+3, cell(r))
		}
		fmt.Fprintln(out)
	}
	number := func(label string, value func(result) int) {
		row(label, func(r result) string { return thousands(value(r)) })
	}
	row("a flag expires", func(r result) string { return r.expiry })
	number("mean", result.mean)
	number("99th percentile", func(r result) int { return r.percentile(99) })
	number("highest", result.highest)
	number("highest after one TTL", func(r result) int { return r.after(ttl).highest() })
	for minute := 1; minute <= len(results[0].units)/60; minute++ {
		number(fmt.Sprint("highest in minute ", minute), func(r result) int { return r.minute(minute).highest() })
	}
}

// thousands writes a number below a million with a comma.
func thousands(n int) string {
	if n < 1_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1_000, n%1_000)
}
