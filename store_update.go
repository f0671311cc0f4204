package lddynamodb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

const (
	// allWrites is the weight of a write that excludes all others.
	allWrites = math.MaxInt64
	// maxPuts is how often an item is tried to be put in the place of an older row.
	maxPuts = 3
)

// writes lets updates run at the same time, but an Init alone. Reads never wait for it.
type writes struct {
	turns    *semaphore.Weighted
	underWay atomic.Int64
	mayTell  atomic.Bool // there was one since the SDK was last told that the store is available
}

// UpsertInternal stores an item unless the table has the same version of it or a newer one, and returns what is served
// from now on. The item is served before it is written, and waits if it can't be.
func (s *store) UpsertInternal(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
	s = s.orSuccessor()
	r := s.replica(kind)
	update := receive(r.namespace, item)
	known, isNew := r.keep(update)
	switch {
	case update.fault != nil && s.isSuccessor:
		return nil, update.fault // nobody keeps it
	case update.fault != nil, !isNew && known.isUnsaved():
		s.wake()
		return known.item, nil // it can't be written, or need not be
	}
	ctx := s.ctx
	if !s.reportsUnsaved {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, allPatience)
		defer cancel()
	}
	err := s.inTurn(ctx, 1, func() error { return s.put(ctx, s.outage.run, r, update) })
	if err != nil {
		err = s.unsavedError(fmt.Sprintf("update %s to version %s", update.row.rowKey, update.row.version), err)
	}
	return r.record(update.row.key).itemOrNil(), err
}

// inTurn makes a write, of something that is kept, when it is its turn.
func (s *store) inTurn(ctx context.Context, weight int64, write func() error) error {
	s.writes.mayTell.Store(true)
	s.writes.underWay.Add(1)
	defer s.writes.underWay.Add(-1)
	defer s.wake() // for what waits, or no longer does
	if err := s.writes.turns.Acquire(ctx, weight); err != nil {
		return err
	}
	defer s.writes.turns.Release(weight)
	return write()
}

// unsavedError returns what the SDK is told of a write. What waits is a success: it could do nothing but send it again.
func (s *store) unsavedError(what string, err error) error {
	switch {
	case err == nil || s.isClosed() || s.isSuccessor:
		return err
	case s.reportsUnsaved:
		return fmt.Errorf("%s: will be written when the table can be used again: %w", what, err)
	default:
		return nil
	}
}

// put writes an item unless the table has a row that is as new, which it then notes. If that is older, it tries again.
func (s *store) put(ctx context.Context, run runner, r *replica, item *received) error {
	since := r.begin()
	for range maxPuts {
		stored := false
		_, err := run(ctx, target{putItem, item.row.rowKey}, func() (_ *response, err error) {
			stored, err = s.table.putIfNewer(ctx, item.row)
			return nil, err
		})
		if isInvalidItem(err) {
			r.refuse(item, err)
			return nil
		}
		f := found{key: item.row.key, row: item.id, item: item.item}
		if err == nil && !stored {
			f, err = s.find(ctx, run, r, item.row.key, true)
		}
		switch {
		case err != nil:
			return err
		case f.fault != nil:
			r.noteWrite(since, f)
			r.refuse(item, f.fault)
			return nil //nolint:nilerr // the item is kept as unstorable
		case !f.row.isNone() && f.row.version >= item.item.GetVersion():
			r.noteWrite(since, f)
			return nil
		}
	}
	r.refuse(item, errors.New("the row in its place is older, but DynamoDB doesn't find that"))
	return nil
}
