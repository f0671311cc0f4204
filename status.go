package lddynamodb

import "sync"

// A StoreStatus is the state of a store and its table. See StatusListener.
type StoreStatus struct {
	// Available is false during an outage: while requests fail, or items wait to be written because they failed.
	Available bool
	// Err is the outage's error. Its text says what failed and what to do about it. It is nil if Available is true.
	Err error
	// Unsaved is how many items this process alone has: those that wait to be written, or that DynamoDB can't hold.
	Unsaved int
}

// A told is what the listener was told last.
type told struct {
	mu      sync.Mutex
	status  StoreStatus
	telling bool // the listener is still being called
}

// status returns the status of the store.
func (s *store) status() StoreStatus {
	waiting, unstorable := s.unsaved()
	cause := s.outage.currentCause()
	return StoreStatus{Available: cause == nil, Err: cause, Unsaved: waiting + unstorable}
}

// hasNews reports whether the listener is to be told of something.
func (s *store) hasNews() bool {
	if s.statusListener == nil {
		return false
	}
	s.told.mu.Lock()
	defer s.told.mu.Unlock()
	return !s.told.telling && s.told.status != s.status()
}

// tellStatus has the listener told of a status that is new to it, without waiting: it may take long, or close the store.
func (s *store) tellStatus() {
	if !s.hasNews() {
		return
	}
	s.told.mu.Lock()
	defer s.told.mu.Unlock()
	status := s.status()
	s.told.status, s.told.telling = status, true
	go func() {
		if !s.isClosed() {
			s.statusListener(status)
		}
		s.told.mu.Lock()
		s.told.telling = false
		s.told.mu.Unlock()
		s.wake() // there may be news by now
	}()
}
