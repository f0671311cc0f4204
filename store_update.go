package lddynamodb

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// allWrites is the weight of a write that excludes all others.
const allWrites = math.MaxInt64

// writes lets updates run at the same time, but an Init alone. That is no lock:
// nothing that evaluates waits for it.
type writes struct {
	turns    *semaphore.Weighted
	arrivals atomic.Int64 // so far
	underWay atomic.Int64 // of these
	toldAt   atomic.Int64 // arrivals when the SDK was last told that the store is available
	ended    atomic.Int64 // when the latest request that writes ended, in Unix nanoseconds
	sending  atomic.Int64 // requests that write
}

func (w *writes) mayTell() bool {
	arrivals := w.arrivals.Load()
	if w.underWay.Load() > 0 || w.toldAt.Load() == arrivals {
		return false
	}
	w.toldAt.Store(arrivals)
	return true
}

// send makes a request that writes.
func (w *writes) send(request func() error) error {
	w.sending.Add(1)
	defer func() {
		w.ended.Store(time.Now().UnixNano())
		w.sending.Add(-1)
	}()
	return request()
}

// areRecent reports whether eventually consistent reads may miss a write.
func (w *writes) areRecent() bool {
	return w.sending.Load() > 0 || time.Since(time.Unix(0, w.ended.Load())) < replicationLag
}

// UpsertInternal stores an item unless the table has the same version of it or a
// newer one, and returns what is served from now on. The item is served before it is
// written, and waits if it can't be.
func (s *store) UpsertInternal(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
	if s.isClosed() {
		return s.successor().UpsertInternal(kind, item)
	}
	r := s.replica(kind)
	update := receive(r.namespace, item)
	known, isNew := r.keep(&update)
	err := s.finish(1, func() error { return s.update(r, &update, known, isNew) })
	return r.record(update.row.key).known(), s.unsavedError(err, fmt.Sprintf("update %s to version %s", update.row.rowKey, update.row.version))
}

// update writes an item that was kept, unless what came later has taken its place.
func (s *store) update(r *replica, item *received, known *record, isNew bool) error {
	if now := r.record(item.row.key); isNew && (now == nil || now.change != known.change) {
		return nil
	}
	switch {
	case item.fault == nil && !isNew && known.isKept():
		return nil // there is a newer one
	case item.fault == nil:
		_, err := s.put(s.outage.run, r, item, known)
		return err
	case isNew:
		s.logUnstorable(item)
		s.wake()
		if canBeSortKey(item.row.key) {
			_, _ = s.load(r, item.row.key) // the table may have a newer one
		}
	}
	return nil
}

// finish makes a write, of something that is kept, when it is its turn. Stores of a
// factory wait no longer if there is no answer for some time: then the write goes on in
// the background.
func (s *store) finish(weight int64, write func() error) error {
	s.writes.arrivals.Add(1)
	s.writes.underWay.Add(1)
	run := func() (err error) {
		defer s.writes.underWay.Add(-1)
		if err := s.writes.turns.Acquire(s.ctx, weight); err != nil {
			return err
		}
		hasFailed := true // also if the client panics
		defer func() {
			s.writes.turns.Release(weight)
			if hasFailed {
				s.wake()
			}
		}()
		err = write()
		hasFailed = err != nil
		return err
	}
	if s.reportsUnsaved {
		return run()
	}
	f := newFlight(s.outage.answers.Load)
	if !s.background.start(func() { f.run(run) }) {
		return run()
	}
	if !f.wait(allPatience) {
		return nil
	}
	return f.err
}

// unsavedError returns what the SDK is told of a write that failed. What waits is a
// success for it, because it could do nothing but send it again.
func (s *store) unsavedError(err error, what string) error {
	switch {
	case err == nil || s.isClosed() || s.isSuccessor:
		return err
	case s.reportsUnsaved:
		return &unsavedError{what, err}
	default:
		return nil
	}
}

// put writes an item unless the row is as new, and notes which of them the table has
// then. It tries again if, by then, the row that had been newer is gone. An item
// that is as new as a malformed row takes its place.
func (s *store) put(run runner, r *replica, item *received, waiting *record) (stored bool, err error) {
	key := item.row.key
	since := r.begin()
	if waiting != nil && waiting.state == waits {
		since = waiting.change
	}
	write := s.table.putIfNewer
	for {
		err := run(s.ctx, target{putItem, item.row.rowKey}, func() error {
			return s.writes.send(func() (err error) {
				stored, err = write(s.ctx, item.row)
				return err
			})
		})
		if isInvalidItem(err) {
			s.refuse(r, item, err)
			return false, nil
		}
		if err != nil {
			return false, err
		}
		f := found{key: key, row: item.id, item: item.item, own: true}
		if !stored {
			if f, err = s.find(run, r, key, true); err != nil {
				return false, err
			}
		}
		switch {
		case stored || (f.fault == nil && !f.row.isNone() && f.row.version >= item.item.GetVersion()):
			s.note(r, since, &f)
			return stored, nil
		case f.fault != nil && f.row.version == item.item.GetVersion():
			write = s.table.putIfAsNew
		case f.fault != nil && f.row.version > item.item.GetVersion():
			s.note(r, since, &f)
			s.refuse(r, item, f.fault)
			return false, nil
		default:
			write = s.table.putIfNewer
		}
	}
}

// note stores what a write has found.
func (s *store) note(r *replica, since uint64, f *found) {
	r.noteWrite(since, f)
	s.logMalformed(*f)
}

// refuse notes that DynamoDB can't hold an item.
func (s *store) refuse(r *replica, item *received, reason error) {
	item.fault = &unstorableError{item.row.rowKey, reason.Error()}
	if r.refuse(item) {
		s.logUnstorable(item)
		s.wake()
	}
}

func (s *store) logUnstorable(item *received) {
	s.loggers.Errorf("Version %d can't be stored in table %q, so only this process has it: %s",
		item.item.GetVersion(), s.table.name, item.fault)
}

// successor returns the store that answers one call after this one is closed: it keeps
// nothing, does nothing in the background, and reports what the table refuses.
func (s *store) successor() *store {
	next := newStore(s.table, s.loggers, nil)
	next.prefix, next.reportsUnsaved, next.isSuccessor = s.prefix, true, true
	return next
}
