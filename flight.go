package lddynamodb

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// getPatience is how long a Get waits for the table if the item is known.
	// DynamoDB answers in milliseconds.
	getPatience = 250 * time.Millisecond
	// allPatience is how long an All waits for the next page, and an Init or update
	// for the next answer.
	allPatience = time.Second
	// closePatience is how long Close waits for requests that it has ended.
	closePatience = 5 * time.Second
	// maxRefreshes bounds how many reads nobody waits for there are at a time.
	maxRefreshes = 16
)

// A flight is work that goes on if its callers stop to wait for it.
type flight struct {
	done     chan struct{}
	began    time.Time
	progress func() int64 // a number that grows while the work proceeds
	err      error        // set before done is closed
}

func newFlight(progress func() int64) *flight {
	return &flight{done: make(chan struct{}), began: time.Now(), progress: progress}
}

// run does the work.
func (f *flight) run(work func() error) {
	defer close(f.done)
	f.err = work()
}

// wait waits for the work's end, and reports whether it came. It gives up when the work
// makes no progress for so long.
func (f *flight) wait(patience time.Duration) bool {
	timer := time.NewTimer(time.Until(f.began.Add(patience)))
	defer timer.Stop()
	for last := f.progress(); !f.isDone(); {
		select {
		case <-f.done:
		case <-timer.C:
			now := f.progress()
			if now == last {
				return false
			}
			last = now
			timer.Reset(patience)
		}
	}
	return true
}

func (f *flight) isDone() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// flights are the reads of a store that are under way, one for each key. They know
// whether the table is slow: then nobody waits for them who knows what to serve.
type flights struct {
	mu       sync.Mutex
	underWay map[flightKey]*flight
	slow     atomic.Bool
}

// A flightKey is what is read: an item or, without a key, all items.
type flightKey struct {
	replica *replica
	key     string
}

// join returns the flight of a key. If there is none it begins one, which its caller
// has to run.
func (s *flights) join(key flightKey, progress func() int64) (f *flight, isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.underWay[key]; f != nil {
		return f, false
	}
	if s.underWay == nil {
		s.underWay = make(map[flightKey]*flight)
	}
	f = newFlight(progress)
	s.underWay[key] = f
	return f, true
}

// end ends a flight. If it was quick, and no other takes long, the table is not slow.
func (s *flights) end(key flightKey, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.underWay, key)
	if !s.slow.Load() || f.err != nil || f.isLate(key) {
		return
	}
	for key, other := range s.underWay {
		if other.isLate(key) {
			return
		}
	}
	s.slow.Store(false)
}

// isLate reports whether the read takes longer than anybody waits who knows what to
// serve.
func (f *flight) isLate(key flightKey) bool { return time.Since(f.began) > patienceFor(key.key) }

func patienceFor(key string) time.Duration {
	if key == "" {
		return allPatience
	}
	return getPatience
}

// areTooMany reports whether no read may begin that nobody waits for.
func (s *flights) areTooMany() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.underWay) >= maxRefreshes
}

// background runs goroutines that a store waits for when it is closed.
type background struct {
	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup
}

// start runs a function, unless the store is closed.
func (b *background) start(run func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.group.Go(run)
	}
	return !b.closed
}

// wait returns when nothing runs any more, nor ever will. It does not wait long for a
// client that doesn't end a request whose context is done.
func (b *background) wait() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.group.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(closePatience):
	}
}
