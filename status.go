package lddynamodb

import (
	"sync"
	"time"
)

// unsavedPause is the least pause between two calls of a listener that differ in the
// number of unsaved items only.
const unsavedPause = time.Second

// A StoreStatus is the state of a store and its table. See StatusListener.
type StoreStatus struct {
	// Available is false during an outage: while requests to the table fail, or
	// items wait to be written because they failed.
	Available bool
	// Err is the outage's error. Its text says what failed and what to do about
	// it. It is nil if Available is true.
	Err error
	// Unsaved is the number of items that this process serves and the table does
	// not have: those that wait to be written, and those that DynamoDB can't hold.
	Unsaved int
}

// A statusTeller tells a listener the latest status. It has a goroutine only while
// there is something to tell.
type statusTeller struct {
	listener func(StoreStatus)
	closed   <-chan struct{}

	mu      sync.Mutex
	latest  StoreStatus
	isNew   bool // not told yet
	toldAt  time.Time
	telling bool
}

func newStatusTeller(listener func(StoreStatus), closed <-chan struct{}) *statusTeller {
	return &statusTeller{listener: listener, closed: closed, latest: StoreStatus{Available: true}}
}

// isBehind reports whether the listener is to be told of a status.
func (t *statusTeller) isBehind(status StoreStatus) bool {
	if t.listener == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !isSameStatus(t.latest, status) || t.latest.Unsaved != status.Unsaved
}

// update has the listener told of a status that is new to it. It never waits for the
// listener.
func (t *statusTeller) update(status StoreStatus) {
	if !t.isBehind(status) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if isSameStatus(t.latest, status) && time.Since(t.toldAt) < unsavedPause {
		return
	}
	t.latest, t.isNew, t.toldAt = status, true, time.Now()
	if !t.telling {
		t.telling = true
		go t.tell()
	}
}

func isSameStatus(a, b StoreStatus) bool {
	return a.Available == b.Available && remedy(a.Err) == remedy(b.Err)
}

func (t *statusTeller) tell() {
	for {
		status, ok := t.next()
		if !ok {
			return
		}
		t.listener(status)
	}
}

// next returns what to tell next, if anything.
func (t *statusTeller) next() (status StoreStatus, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.closed:
		t.isNew = false
	default:
	}
	ok = t.isNew
	t.isNew, t.telling = false, ok
	return t.latest, ok
}

// currentStatus returns the status of the store.
func (s *store) currentStatus() StoreStatus {
	status := StoreStatus{Err: s.outage.currentCause()}
	status.Available = status.Err == nil
	for _, r := range *s.replicas.Load() {
		totals := r.totals()
		status.Unsaved += totals.waiting + totals.unstorable
	}
	return status
}
