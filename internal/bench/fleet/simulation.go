package main

import (
	"iter"
	"math/rand/v2"
	"time"
)

// spread is the part of a TTL, at its end, in which the package lets an entry of
// its cache expire at a random moment.
const spread = 10

// A fleet is a number of processes in daemon mode that evaluate all their flags
// all the time, so that each is read at the moment when it expires. A read costs
// one unit and takes no time, and DynamoDB throttles none.
type fleet struct {
	processes, flags int
	startWithin      time.Duration
	ttl              time.Duration
	spread           int // zero: everything expires when its TTL is over
}

// unitsBySecond returns the read units of each second.
func (f fleet) unitsBySecond(duration time.Duration, random *rand.Rand) []int {
	units := make([]int, duration/time.Second)
	for range f.processes {
		start := randomUpTo(f.startWithin-1, random)
		for range f.flags {
			for moment := range f.reads(start, duration, random) {
				units[moment/time.Second]++
			}
		}
	}
	return units
}

// reads returns when a process that starts at a given moment reads one flag.
func (f fleet) reads(start, end time.Duration, random *rand.Rand) iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		for moment := start; moment < end && yield(moment); {
			moment += f.ttl
			if f.spread > 0 {
				moment -= randomUpTo(f.ttl/time.Duration(f.spread), random)
			}
		}
	}
}

func randomUpTo(most time.Duration, random *rand.Rand) time.Duration {
	return time.Duration(random.Int64N(int64(most) + 1))
}
