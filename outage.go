package lddynamodb

import (
	"sync"
	"sync/atomic"
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

const (
	// calmAfter is how long the table must have worked for the next outage not
	// to count as a relapse.
	calmAfter = 30 * time.Second
	// minHold and maxHold bound how long the end of a relapse is held back. The
	// SDK reconnects and runs Init at every end, or a backlog is tried again: where
	// reads work but writes are denied, that would be twice a second.
	minHold = time.Second
	maxHold = 5 * time.Second
	// unnoticedAfter is when an outage that the SDK asks no more about counts as
	// over: it may have failed a request at the moment when the SDK took the end of
	// an earlier one in.
	unnoticedAfter = time.Minute
	// remindAfter is the pause between two reports of the same outage.
	remindAfter = time.Second
)

// An outage is a time in which the table can't be used: from a request that
// failed to an availability check that succeeds, which the SDK makes twice a
// second once it knows. It is logged at its beginning and at its end.
type outage struct {
	table   string
	loggers ldlog.Loggers

	// report makes the SDK learn of an error. The SDK's wrapper knows only the
	// errors that a core returns to it, and some end up in no caller's hands.
	report func(error)

	// failsReads is false where only updates fail. Then it is worth while to read.
	failsReads atomic.Bool

	mu       sync.Mutex
	cause    error
	began    time.Time
	asked    time.Time // by the SDK, whether it is over
	ended    time.Time
	relapses int
	relapsed time.Time
	reported time.Time
}

// begin notes that a request failed: one of a read, or one of an update.
func (o *outage) begin(cause error, ofRead bool) {
	if o.tryBegin(cause, ofRead) {
		o.loggers.Warnf("Table %q can't be used: %s", o.table, cause)
	}
}

func (o *outage) tryBegin(cause error, ofRead bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ofRead {
		o.failsReads.Store(true) // until end, which has the lock too
	}
	if o.cause != nil && time.Since(o.asked) < unnoticedAfter {
		return false
	}
	o.cause, o.asked = cause, time.Now()
	o.began, o.reported = o.asked, time.Time{}
	if o.began.Sub(o.ended) < calmAfter {
		o.countRelapse()
	} else {
		o.relapses = 0
	}
	return true
}

// relapse notes that the table could be read, but did not take what it had
// refused before.
func (o *outage) relapse() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.countRelapse()
}

func (o *outage) countRelapse() {
	o.relapses++
	o.relapsed = time.Now()
}

// held tells whether it is too soon after a relapse for the outage to end.
func (o *outage) held() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = time.Now()
	if o.cause == nil || o.relapses == 0 {
		return false
	}
	hold := min(minHold<<min(o.relapses-1, 8), maxHold)
	return time.Since(o.relapsed) < hold
}

// end notes that the table can be used again.
func (o *outage) end() {
	if lasted, ended := o.tryEnd(); ended {
		o.loggers.Infof("Table %q can be used again, after %s", o.table, lasted.Round(time.Millisecond))
	}
}

func (o *outage) tryEnd() (lasted time.Duration, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cause == nil {
		return 0, false
	}
	o.cause, o.ended = nil, time.Now()
	o.failsReads.Store(false)
	return o.ended.Sub(o.began), true
}

// remind reports the ongoing outage, if any, now and then. It is called where
// an error was kept from the caller. Once is not enough: the SDK may just be
// taking the end of an earlier outage in.
func (o *outage) remind() {
	if cause := o.toReport(); cause != nil {
		o.report(cause)
	}
}

func (o *outage) toReport() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cause == nil || time.Since(o.reported) < remindAfter {
		return nil
	}
	o.reported = time.Now()
	return o.cause
}

// An outageReport is a kind without items. Reading it through the SDK's wrapper
// ends in the outage's error, so that the wrapper learns of it.
type outageReport struct{ cause error }

func (outageReport) GetNamespace() string                         { return "" }
func (outageReport) GetDefaultItem() interface{}                  { return nil }
func (outageReport) MakeDeletedItem(string, int) ld.VersionedData { return nil }
