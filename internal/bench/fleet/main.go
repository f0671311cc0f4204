// Command fleet simulates processes that start together and read the same table,
// with cached items that expire when their TTL is over and with such that expire
// at a random moment before. It prints the read units a second and, with -chart,
// draws them.
package main

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

// duration is how long the fleets are watched.
const duration = 10 * time.Minute

func main() {
	chart := flag.String("chart", "", "draw the chart into this `file`")
	flag.Parse()
	if err := run(os.Stdout, *chart); err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, chart string) error {
	without := fleet{processes: 1_000, flags: 50, startWithin: time.Second, ttl: 15 * time.Second}
	with := without
	with.isSpread = true
	results := []result{
		{"when its TTL is over", simulate(without)},
		{"at a random moment before that", simulate(with)},
	}
	title := fmt.Sprintf("Read units a second: %s processes with %d flags each, TTL %g s",
		thousands(with.processes), with.flags, with.ttl.Seconds())
	fmt.Fprintln(out, title)
	printTable(out, results, with.ttl)
	if chart == "" {
		return nil
	}
	return drawChart(chart, title, results)
}

// simulate gives the same numbers each time.
func simulate(f fleet) []int { return f.unitsBySecond(duration, rand.New(rand.NewPCG(1, 2))) }
