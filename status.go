package lddynamodb

import (
	"sync"
	"time"
)

// unsavedInterval is the least pause between two calls of a listener that differ
// in the number of unsaved items only.
const unsavedInterval = time.Second

// A StoreStatus tells how a store and its table get on. See StatusListener.
type StoreStatus struct {
	// Available is false during an outage: while requests to the table fail, or
	// what it refused is still to be written.
	Available bool
	// Err is the outage's error. Its text says what failed and what to do about
	// it. It is nil if Available is true.
	Err error
	// Unsaved is the number of items that this process serves and the table does
	// not have: those that it refused, and those that it can never hold.
	Unsaved int
}

// A statusTeller tells a listener about changes, in order, one after the other.
// It has a goroutine only while there is something to tell.
type statusTeller struct {
	listener func(StoreStatus)
	closed   <-chan struct{}

	mu      sync.Mutex
	told    StoreStatus // what the listener knows
	toldAt  time.Time
	waiting []StoreStatus
	telling bool
}

func newStatusTeller(listener func(StoreStatus), closed <-chan struct{}) *statusTeller {
	return &statusTeller{listener: listener, closed: closed, told: StoreStatus{Available: true}}
}

// update has the listener told of the status if it has changed. It never waits for
// the listener. A change of the number alone gives way to what comes after it.
func (t *statusTeller) update(current func() StoreStatus) {
	if t.listener == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	status := current() // under the lock, so that no earlier status comes after a later one
	last, before := t.lastTwo()
	switch {
	case sameAvailability(last, status) && last.Unsaved == status.Unsaved:
		return
	case len(t.waiting) > 0 && sameAvailability(before, last):
		t.waiting[len(t.waiting)-1] = status
	default:
		t.waiting = append(t.waiting, status)
	}
	if !t.telling {
		t.telling = true
		go t.tell()
	}
}

// lastTwo returns the latest status, and the one that the listener knows then.
func (t *statusTeller) lastTwo() (last, before StoreStatus) {
	last, before = t.told, t.told
	for _, status := range t.waiting {
		last, before = status, last
	}
	return last, before
}

func sameAvailability(a, b StoreStatus) bool {
	return a.Available == b.Available && remedy(a.Err) == remedy(b.Err)
}

func (t *statusTeller) tell() {
	for {
		status, pause, ok := t.next()
		switch {
		case !ok:
			return
		case pause == 0:
			t.listener(status)
			continue
		}
		select {
		case <-time.After(pause):
		case <-t.closed:
			return
		}
	}
}

// next returns what to tell next, or how long to wait before that.
func (t *statusTeller) next() (status StoreStatus, pause time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.telling = false
		return StoreStatus{}, 0, false
	}
	status = t.waiting[0]
	if pause = unsavedInterval - time.Since(t.toldAt); pause > 0 && sameAvailability(t.told, status) {
		return StoreStatus{}, pause, true
	}
	t.told, t.toldAt, t.waiting = status, time.Now(), t.waiting[1:]
	return status, 0, true
}
