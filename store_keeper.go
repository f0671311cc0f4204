package lddynamodb

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

const (
	// firstPause is the time from a failure to the first look at whether it lasts. From one look to the next it
	// grows up to maxPause, which is short for an application and long for DynamoDB.
	firstPause = 100 * time.Millisecond
	maxPause   = time.Second
	// firstPatience is how long the first look waits for an answer. Later ones wait as long as any request.
	firstPatience = time.Second
	// probeKey is that of a row that nobody writes.
	probeKey = "$probe"
)

// wake starts the keeper, the one goroutine that goes on by itself, if there is work for it and it isn't running. It lives
// while a failure is known, something waits to be written or the status listener is to be told.
func (s *store) wake() {
	if !s.isSuccessor && !s.keeperRuns.Load() && s.hasWork() && s.keeperRuns.CompareAndSwap(false, true) {
		s.background.start(s.keep)
	}
}

func (s *store) hasWork() bool {
	return s.outage.isKnown() || s.isWaiting() || s.hasNews()
}

func (s *store) keep() {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return
		}
		s.keepOnce()
		if !s.hasWork() {
			s.keeperRuns.Store(false)
			s.wake() // for work that has just come
			return
		}
	}
}

// keepOnce looks at what failed, writes what waits, and tells of what that shows.
func (s *store) keepOnce() {
	before := *s.outage.facts.Load()
	for _, f := range before {
		if !f.isOfWrite() && f.isDue() {
			s.look(f)
		}
	}
	unwritten := s.writeLate()
	if s.isClosed() {
		return
	}
	s.outage.confirm(before, unwritten)
	s.endOutage()
	s.tellStatus()
}

// look reads a row that isn't there, or one row by a Query, because the row that failed may have a reason of its own.
func (s *store) look(f fact) {
	patience := firstPatience
	if f.lasts {
		patience = cmp.Or(s.table.timeout, DefaultRequestTimeout)
	}
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	of := target{getItem, rowKey{f.namespace, probeKey}}
	request := func() (*response, error) { return s.table.get(ctx, of.rowKey, true) }
	if f.action == query && !f.doubted {
		of = target{query, rowKey{namespace: f.namespace}}
		request = func() (*response, error) { return s.table.query(ctx, of.namespace, true, "", 1) }
	}
	_, _ = s.outage.try(s.ctx, of, request) // which learns from it
}

// writeLate tries once to write each item that waits, and returns the first error. What one kind waits for does
// not keep another one waiting. Last comes the row that says that the data set is complete.
func (s *store) writeLate() (failed error) {
	if !s.isWaiting() || s.outage.ofTable() != nil {
		return nil
	}
	isIntact, unknown := s.checkDataSet() // if it has lost rows, they wait as well
	for _, r := range s.replicasInOrder() {
		failed = cmp.Or(failed, s.writeKindLate(r))
	}
	if failed = cmp.Or(failed, unknown); failed != nil || !s.data.initWaits.Load() {
		return failed
	}
	return s.ifNoInit(func() (err error) {
		known := s.outage.fact(target{putItem, s.initedKey()})
		waiting, _ := s.unsaved()
		switch {
		case waiting > 0:
			return nil // it has come meanwhile
		case isIntact:
		case known != nil && !known.isDue():
			return known.err
		default:
			err = s.putInited(s.ctx, s.outage.try)
		}
		s.data.initWaits.Store(err != nil)
		return err
	})
}

// writeKindLate writes what waits of a kind, in the order of an Init, unless the first item is refused as all would be.
func (s *store) writeKindLate(r *replica) (failed error) {
	of := target{putItem, rowKey{namespace: r.namespace}}
	if known := s.outage.fact(of); known != nil && !known.isDue() {
		return known.err
	}
	for i, wave := range waves(r.waiting(), func(rec *record) ld.VersionedData { return rec.item }) {
		if i == 0 {
			failed = s.writeItemLate(s.outage.try, r, wave[0])
			if s.outage.fact(of) != nil {
				return failed
			}
			wave = wave[1:]
		}
		var group errgroup.Group
		group.SetLimit(maxParallelBatches)
		for _, waiting := range wave {
			group.Go(func() error { return s.writeItemLate(s.outage.run, r, waiting) })
		}
		failed = cmp.Or(failed, group.Wait())
	}
	return failed
}

// writeItemLate writes an item if it still waits.
func (s *store) writeItemLate(run runner, r *replica, waiting *record) error {
	return s.ifNoInit(func() error {
		item := receive(r.namespace, waiting.item)
		known := r.record(item.row.key)
		if known == nil || known.state != waits || known.change != waiting.change {
			return nil
		}
		return s.put(s.ctx, run, r, item)
	})
}

// ifNoInit makes a late write, unless an Init is under way or waits for its turn: it has newer data.
func (s *store) ifNoInit(write func() error) error {
	if !s.writes.turns.TryAcquire(1) {
		return nil
	}
	defer s.writes.turns.Release(1)
	return recovered(write) // a kind may panic
}

// replicasInOrder returns the replicas in Init's order: segments before the flags that use them, and the rest last.
func (s *store) replicasInOrder() []*replica {
	rank := func(r *replica) int {
		return slices.Index([]string{ld.Features.GetNamespace(), ld.Segments.GetNamespace()}, r.name)
	}
	return slices.SortedFunc(slices.Values(*s.replicas.Load()), func(a, b *replica) int { return cmp.Compare(rank(b), rank(a)) })
}

// unsaved returns how many items wait to be written, and how many DynamoDB can't hold.
func (s *store) unsaved() (waiting, unstorable int) {
	for _, r := range *s.replicas.Load() {
		counts := r.totals()
		waiting, unstorable = waiting+counts.waiting, unstorable+counts.unstorable
	}
	return waiting, unstorable
}

// isWaiting reports whether anything waits to be written.
func (s *store) isWaiting() bool {
	waiting, _ := s.unsaved()
	return waiting > 0 || s.data.initWaits.Load()
}

// endOutage ends the outage if nothing fails any more and nothing waits. The table may have come back empty.
func (s *store) endOutage() {
	if s.isWaiting() {
		return
	}
	if s.outage.forget(func(f fact) bool {
		isOfInited := !f.ofTable && f.namespace == s.initedKey().namespace
		return f.isOfWrite() || (isOfInited && s.data.known.Load())
	}) {
		return
	}
	if s.outage.currentCause() != nil {
		if _, err := s.checkDataSet(); err != nil || s.isWaiting() {
			return
		}
	}
	s.outage.end()
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
