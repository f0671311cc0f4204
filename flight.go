package lddynamodb

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// getPatience is how long a Get waits for the table if the item is known. DynamoDB answers in milliseconds.
	getPatience = 250 * time.Millisecond
	// allPatience is how long an All waits for the next page, an Init for the first answer, and an update for the write.
	allPatience = time.Second
	// closePatience is how long Close waits for requests that it has ended.
	closePatience = 5 * time.Second
	// maxRefreshes bounds how many reads nobody waits for there are at a time.
	maxRefreshes = 16
)

// A flight is a read that goes on if its callers stop to wait for it.
type flight struct {
	flightKey
	began time.Time
	pages atomic.Int64 // that have come so far
	done  chan struct{}
	err   error // set before done is closed
}

// A flightKey is what is read: an item or, without a key, all items.
type flightKey struct {
	replica *replica
	key     string
}

// wait waits for the end of the read, and reports whether it came before the answer, or the next page, took too long.
func (f *flight) wait() bool {
	for pages, began := f.pages.Load(), f.began; ; began = time.Now() {
		select {
		case <-f.done:
			return true
		case <-time.After(time.Until(began.Add(f.patience()))):
		}
		if now := f.pages.Load(); now != pages {
			pages = now
			continue
		}
		select {
		case <-f.done: // both at once
			return true
		default:
			return false
		}
	}
}

// patience is how long somebody waits who knows what to serve.
func (f *flight) patience() time.Duration {
	if f.key == "" {
		return allPatience
	}
	return getPatience
}

func (f *flight) isLate() bool { return time.Since(f.began) > f.patience() }

// flights are the reads under way, one for each key. While the table is slow, only those wait who know nothing to serve.
type flights struct {
	mu       sync.Mutex
	underWay map[flightKey]*flight
	slow     atomic.Bool
}

// join returns the flight of a key. If there is none it begins one, which its caller has to carry out.
func (s *flights) join(key flightKey) (f *flight, isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.underWay[key]; f != nil {
		return f, false
	}
	f = &flight{flightKey: key, began: time.Now(), done: make(chan struct{})}
	s.underWay[key] = f
	return f, true
}

// end ends a flight. If it was quick, and no other takes long, the table is not slow.
func (s *flights) end(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.underWay, f.flightKey)
	isSlow := f.err != nil || f.isLate()
	for _, other := range s.underWay {
		isSlow = isSlow || other.isLate()
	}
	if !isSlow {
		s.slow.Store(false)
	}
	close(f.done)
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

// wait returns when nothing runs any more, nor ever will, or after a while if a client ignores that a context is done.
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
