package lddynamodb

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A dataSetState is what a store knows of the data set as a whole.
type dataSetState struct {
	known     atomic.Bool // there is one: here, or in the table
	received  atomic.Bool // by this process, so it may write it
	isMissing atomic.Bool // in the table, when this process last looked
	refilling sync.Mutex
	initWaits atomic.Bool // the row that says that it is complete is to be written
	reads     singleflight.Group
	askAgain  atomic.Int64 // until then there is none without a request, in Unix nanoseconds
}

// InitializedInternal reports whether there is a full data set. It remembers a yes for ever, and a no for one TTL.
// A read that fails is not remembered: while the table is known to fail, none is made.
func (s *store) InitializedInternal() bool {
	if s.data.known.Load() {
		return true
	}
	s = s.orSuccessor()
	_, _, _ = s.data.reads.Do("", func() (any, error) {
		if s.data.known.Load() || isFresh(s.data.askAgain.Load(), DefaultCacheTTL, time.Now().UnixNano()) {
			return nil, nil
		}
		inited, err := s.isInited(s.ctx, s.outage.run)
		switch {
		case inited:
			s.data.known.Store(true)
		case err != nil:
			s.wake()
		default:
			pause := DefaultCacheTTL // a process must notice at some time
			if s.cacheTTL >= 0 {
				pause = min(pause, s.cacheTTL)
			}
			s.data.askAgain.Store(time.Now().Add(pause).UnixNano())
		}
		return nil, nil
	})
	return s.data.known.Load()
}

// isInited reads whether the table says that it holds a full data set.
func (s *store) isInited(ctx context.Context, run runner) (bool, error) {
	response, err := s.getRow(ctx, run, s.initedKey(), true)
	if err != nil || len(response.rows) == 0 {
		return false, err
	}
	s.data.isMissing.Store(false)
	return true, nil
}

// checkDataSet is called when rows are missing, or may be, and reports whether the table has the data set that
// this process has received. If it has lost that, everything waits to be written again.
func (s *store) checkDataSet() (isThere bool, err error) {
	if !s.data.received.Load() || s.cacheTTL == 0 {
		return false, nil // without a cache, the SDK has to send it again
	}
	inited, err := s.isInited(s.ctx, s.outage.ask)
	switch {
	case isDenial(err):
		return false, nil
	case err != nil || inited || !s.writes.turns.TryAcquire(1): // an Init finds out for itself
		return inited, err
	}
	defer s.writes.turns.Release(1)
	s.data.refilling.Lock() // a read whose row is gone waits until the item does
	defer s.data.refilling.Unlock()
	if s.data.isMissing.Swap(true) {
		return false, nil
	}
	for _, r := range *s.replicas.Load() {
		r.refill()
	}
	s.loggers.Warnf("Table %q holds no complete data set; this process fills it", s.table.name)
	s.data.initWaits.Store(true)
	s.wake()
	return false, nil
}

// lookAtStart finds out whether the table can be used. In daemon mode it warns if the table holds no data set.
// Credentials need not allow a daemon to read the row that tells, so a failure of that read is ignored.
func (s *store) lookAtStart(isDaemon bool) {
	flags := rowKey{namespace: s.prefixed(ld.Features.GetNamespace())}
	s.look(fact{target: target{getItem, flags}, lasts: true})
	switch {
	case s.outage.isKnown():
		s.wake()
	case isDaemon:
		if inited, err := s.isInited(s.ctx, s.outage.ask); err == nil && !inited {
			s.loggers.Warnf("Table %q holds no data set under the prefix %q: no process that is connected to LaunchDarkly has "+
				"filled it yet, or the table's name, the region or the prefix is wrong", s.table.name, s.prefix)
		}
	}
}
