package lddynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// allWrites is the weight of a write that excludes all others.
const allWrites = math.MaxInt64

// writes lets updates run at the same time, but an Init alone. Reads never wait for it.
type writes struct {
	turns    *semaphore.Weighted
	arrivals atomic.Int64 // so far
	underWay atomic.Int64 // of these
	toldAt   atomic.Int64 // arrivals when the SDK was last told that the store is available
}

func (w *writes) mayTell() bool {
	arrivals := w.arrivals.Load()
	if w.underWay.Load() > 0 || w.toldAt.Load() == arrivals {
		return false
	}
	w.toldAt.Store(arrivals)
	return true
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
	if update.fault != nil {
		return s.keepUnstorable(r, &update), nil //nolint:nilerr // no retry would mend it
	}
	known, isNew := r.keep(&update)
	if !isNew && known.isUnsaved() {
		return known.item, nil // it is newer
	}
	err := s.inTurn(1, func(ctx context.Context) error {
		if now := r.record(update.row.key); isNew && (now == nil || now.change != known.change) {
			return nil // what came later has taken its place
		}
		_, err := s.put(ctx, s.outage.run, r, &update, known)
		return err
	})
	if err != nil {
		err = s.unsavedError(fmt.Sprintf("update %s to version %s", update.row.rowKey, update.row.version), err)
	}
	return r.record(update.row.key).itemOrNil(), err
}

// keepUnstorable keeps an item that can't be stored, unless the table has a newer one,
// and returns what is served from now on.
func (s *store) keepUnstorable(r *replica, item *received) ld.VersionedData {
	if canBeSortKey(item.row.key) {
		_, _ = s.load(r, item.row.key, nil)
	}
	if rec, isNew := r.keep(item); !isNew {
		return rec.itemOrNil()
	}
	s.logUnstorable(item)
	s.wake()
	return item.item
}

// inTurn makes a write, of something that is kept, when it is its turn. In stores of a
// factory an update waits for a second at most, and an Init as long for the first answer:
// then what is kept waits, and its sender doesn't.
func (s *store) inTurn(weight int64, write func(ctx context.Context) error) error {
	s.writes.arrivals.Add(1)
	s.writes.underWay.Add(1)
	defer s.writes.underWay.Add(-1)
	ctx := s.ctx
	switch answers := s.outage.answers.Load(); {
	case s.reportsUnsaved:
	case weight == 1:
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, allPatience)
		defer cancel()
	default:
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer time.AfterFunc(allPatience, func() {
			if s.outage.answers.Load() == answers {
				cancel()
			}
		}).Stop()
	}
	defer s.wake() // for what waits, or no longer does
	if err := s.writes.turns.Acquire(ctx, weight); err != nil {
		return err
	}
	defer s.writes.turns.Release(weight)
	return write(ctx)
}

// unsavedError returns what the SDK is told of a write that failed. What waits is a
// success for it, because it could do nothing but send it again.
func (s *store) unsavedError(what string, err error) error {
	switch {
	case s.isClosed() || s.isSuccessor:
		return err
	case s.reportsUnsaved:
		return fmt.Errorf("%s: will be written when the table can be used again: %w", what, err)
	default:
		return nil
	}
}

// errOddVersion is why an item can't be stored if the row in its place has a version that
// is no integer.
var errOddVersion = errors.New("the row in its place has a version that is no integer")

// put writes an item unless the table has a row of the same version or a newer one, and
// notes which of the two the table has then. If the write is refused, but the row that it
// then reads is older or gone, it tries again. A malformed row of the same version is
// replaced.
func (s *store) put(ctx context.Context, run runner, r *replica, item *received, waiting *record) (stored bool, err error) {
	key := item.row.key
	since := r.begin(true)
	if waiting != nil && waiting.state == waits {
		since.changes = waiting.change
	}
	write := s.table.putIfNewer
	for refusedBy := (rowID{}); ; {
		err := run(ctx, target{putItem, item.row.rowKey}, func() (err error) {
			stored, err = write(ctx, item.row)
			return err
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
			if f, err = s.find(ctx, run, r, key, true); err != nil {
				return false, err
			}
		}
		switch {
		case stored || (f.fault == nil && !f.row.isNone() && f.row.version >= item.item.GetVersion()):
			s.note(r, since, &f)
			return stored, nil
		case !f.row.isNone() && (f.row.isSame(refusedBy) || (f.fault != nil && f.row.version > item.item.GetVersion())):
			s.note(r, since, &f)
			s.refuse(r, item, cmp.Or(f.fault, errOddVersion))
			return false, nil
		case f.fault != nil:
			write = s.table.putIfAsNew
		default:
			write = s.table.putIfNewer
		}
		refusedBy = f.row
	}
}

// note stores what a write has found.
func (s *store) note(r *replica, since moment, f *found) {
	r.noteWrite(since, f)
	s.logMalformed(*f)
}

// refuse notes that DynamoDB can't hold an item.
func (s *store) refuse(r *replica, item *received, reason error) {
	item.fault = fmt.Errorf("%s can't be stored: %w", item.row.rowKey, reason)
	if r.refuse(item) {
		s.logUnstorable(item)
		s.wake()
	}
}

func (s *store) logUnstorable(item *received) {
	s.loggers.Errorf("Table %q, version %d: %s; only this process has the item", s.table.name, item.item.GetVersion(), item.fault)
}

// successor returns the store that answers one call after this one is closed: it keeps
// nothing, does nothing in the background, and reports what the table refuses.
func (s *store) successor() *store {
	next := newStore(s.table, s.loggers, nil)
	next.prefix, next.reportsUnsaved, next.isSuccessor = s.prefix, true, true
	return next
}
