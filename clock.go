package lddynamodb

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// tickInterval is short against common TTLs, and long enough for an idle
	// process not to notice.
	tickInterval = 500 * time.Millisecond
	// nearTicks lets a busy machine be late with three ticks.
	nearTicks = 4
)

// An instant is a point in time on a clock: nanoseconds since it was made.
type instant int64

// never is when what is cached for ever expires.
const never instant = math.MaxInt64

// A clock tells whether an instant is past. It asks the system for the time only
// if the instant is near, because that takes longer than all the rest of a hit.
// For this it has to be told at each tickInterval that time goes on.
type clock struct {
	made time.Time
	tock atomic.Int64 // the instant of the latest tick
	near atomic.Int64 // how long after that an instant is near
}

func newClock() *clock {
	c := &clock{made: time.Now()}
	c.near.Store(int64(nearTicks * tickInterval))
	return c
}

func (c *clock) now() instant { return instant(time.Since(c.made)) }

// in returns the instant after a time to live. A negative one is for ever.
func (c *clock) in(ttl time.Duration) instant {
	if now := c.now(); ttl >= 0 && instant(ttl) < never-now {
		return now + instant(ttl)
	}
	return never
}

// isPast is exact unless ticks are late by more than nearTicks allows, as in the
// first moment after a process was frozen.
func (c *clock) isPast(i instant) bool {
	tock := instant(c.tock.Load())
	switch {
	case i <= tock:
		return true
	case i-tock > instant(c.near.Load()):
		return false
	default:
		return i <= c.now()
	}
}

func (c *clock) tick() { c.tock.Store(int64(c.now())) }

// stop makes the clock exact without ticks: everything is near but never.
func (c *clock) stop() { c.near.Store(int64(never - 1)) }
