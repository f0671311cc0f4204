package main

import (
	"iter"
	"math/rand/v2"
	"time"
)

// An item of the package's cache expires at a random moment of the last part of its
// TTL: in the second half the first time that a process stores it, and from then on
// in the last tenth.
const (
	firstSpread = 2
	spread      = 10
)

// A fleet is a number of processes in daemon mode that evaluate all their flags
// all the time, so that each is read at the moment when it expires. A read costs
// one unit and takes no time, and DynamoDB throttles none.
type fleet struct {
	processes, flags int
	startWithin      time.Duration
	ttl              time.Duration
	isSpread         bool // false: everything expires when its TTL is over
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
		part := f.ttl / firstSpread
		for moment := start; moment < end && yield(moment); part = f.ttl / spread {
			moment += f.ttl
			if f.isSpread {
				moment -= randomUpTo(part, random)
			}
		}
	}
}

func randomUpTo(most time.Duration, random *rand.Rand) time.Duration {
	return time.Duration(random.Int64N(int64(most) + 1))
}
