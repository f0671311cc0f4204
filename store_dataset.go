package lddynamodb

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// maxErrorPause is for how long at most Initialized is false without a request
// after one that failed.
const maxErrorPause = time.Second

var errDataSetGone = errors.New("the table holds no data set any more")

// A dataSetState is what a store knows of the data set as a whole.
type dataSetState struct {
	known     atomic.Bool // there is one: here, or in the table
	received  atomic.Bool // by this process, so it may write it
	initWaits atomic.Bool // the row that says that it is complete is to be written
	reads     singleflight.Group
	askAgain  atomic.Int64 // until then there is none without a request, in Unix nanoseconds
}

// InitializedInternal reports whether there is a full data set. A yes is for ever, a
// no for one TTL.
func (s *store) InitializedInternal() bool {
	if s.data.known.Load() {
		return true
	}
	if s.isClosed() {
		return s.successor().InitializedInternal()
	}
	known, _, _ := s.data.reads.Do("", func() (interface{}, error) {
		if !s.data.known.Load() && !isFresh(s.data.askAgain.Load(), DefaultCacheTTL, time.Now().UnixNano()) {
			s.readInitialized()
		}
		return s.data.known.Load(), nil
	})
	return known.(bool)
}

func (s *store) readInitialized() {
	inited, err := s.isInited(s.outage.run)
	if inited {
		s.data.known.Store(true)
		return
	}
	pause := s.ttl
	if pause < 0 || pause > DefaultCacheTTL {
		pause = DefaultCacheTTL // a process must notice at some time
	}
	if err != nil {
		pause = min(pause, maxErrorPause)
		s.wake()
	}
	s.data.askAgain.Store(time.Now().Add(pause).UnixNano())
}

// isInited reads whether the table says that it holds a full data set.
func (s *store) isInited(run runner) (bool, error) {
	response, err := s.getRow(run, s.initedKey(), true)
	if err != nil {
		return false, err
	}
	defer response.release()
	return len(response.rows) > 0, nil
}

// checkDataSet is called when rows are missing, or may be. If the table doesn't hold
// the data set that this process has received, everything waits to be written again.
func (s *store) checkDataSet(run runner) error {
	if !s.data.received.Load() {
		return nil
	}
	inited, err := s.isInited(run)
	switch {
	case isDenial(err), err == nil && inited:
		return nil
	case err != nil:
		return err
	case s.ttl == 0:
		return errDataSetGone // the SDK sends it again
	}
	s.loggers.Warnf("Table %q holds no data set any more; this process fills it again", s.table.name)
	for _, r := range *s.replicas.Load() {
		r.refill()
	}
	s.data.initWaits.Store(true)
	s.wake()
	return nil
}

// lookAtStart finds out whether the table can be used. In daemon mode it warns if it
// holds no data set. That needs no permission for the row that tells, so it is not the
// one whose failure counts.
func (s *store) lookAtStart(isDaemon bool) {
	of := target{getItem, rowKey{s.namespace(ld.Features), probeKey}}
	if err := s.runQuietly(s.ctx, of, func() error { return s.probe(s.ctx, of) }); err != nil {
		s.wake()
		return
	}
	if !isDaemon {
		return
	}
	unnoted := func(_ context.Context, _ target, request func() error) error { return quietly(request) }
	if inited, err := s.isInited(unnoted); err == nil && !inited {
		s.loggers.Warnf("Table %q holds no data set%s: no process that is connected to LaunchDarkly has "+
			"filled it yet, or the table's name, the region or the prefix is wrong", s.table.name, s.underPrefix())
	}
}

func (s *store) underPrefix() string {
	if s.prefix == "" {
		return ""
	}
	return fmt.Sprintf(" under the prefix %q", s.prefix)
}
