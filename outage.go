package lddynamodb

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

const (
	// retryInterval is the pause between two tries to use the table again. It is
	// short for an application and long for DynamoDB.
	retryInterval = time.Second
	// denialInterval is that after a denial, which takes somebody to change a
	// policy.
	denialInterval = 5 * time.Second
	// maxPatience is how long a request of the store's own waits for an answer, if
	// RequestTimeout sets no limit.
	maxPatience = 5 * time.Second
	// remindInterval is the pause between two warnings about the same outage.
	remindInterval = 10 * time.Minute
)

// An outage is a time in which requests fail: from the first that failed for
// good until they work again. The store knows which requests that are, and
// doesn't make them meanwhile. It finds out about the end by itself: see
// cache.recover.
type outage struct {
	table   *table
	loggers ldlog.Loggers

	failures   atomic.Pointer[[]failure] // never changed in place; empty outside of outages
	suspecting atomic.Bool               // a call finds out whether others get an answer
	answers    atomic.Int64              // that calls have got so far

	mu     sync.Mutex
	calls  map[*call]bool // under way
	began  time.Time      // zero if there is no outage
	cause  error
	warned time.Time
	ends   int // of outages, in whole or in part, so far
}

// A failure is a request that failed, and what that says about others.
type failure struct {
	target
	everything bool // it is the table that can't be used, not one action
	err        error
	tried      time.Time
}

func (f *failure) covers(t target) bool {
	return f.everything || (f.action == t.action && f.namespace == t.namespace)
}

func (f *failure) isOfWrite() bool { return f.action == putItem || f.action == batchWriteItem }

func (f *failure) isDue() bool { return !isDenial(f.err) || isTimeAfterDenial(f.tried) }

// isTimeAfterDenial tells whether to try again what was denied. Tries come each
// retryInterval, so the one that is nearest to denialInterval is it.
func isTimeAfterDenial(denied time.Time) bool {
	return time.Since(denied) > denialInterval-retryInterval/2
}

func newOutage(table *table, loggers ldlog.Loggers) *outage {
	o := &outage{table: table, loggers: loggers, calls: make(map[*call]bool)}
	o.failures.Store(new([]failure))
	return o
}

// failing returns the failure that covers a target, or nil.
func (o *outage) failing(of target) *failure {
	failures := *o.failures.Load()
	for i := range failures {
		if failures[i].covers(of) {
			return &failures[i]
		}
	}
	return nil
}

func (f *failure) errorFor(of target) error {
	if f.target == of {
		return f.err
	}
	return &untriedError{of, f.err}
}

// failureOf returns the failure that an error of a request is, or nil if it says
// nothing about other requests.
func failureOf(of target, err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{target: of, err: err}
	if _, malformed := asMalformed(err); malformed || (f.isOfWrite() && isInvalidItem(err)) {
		return nil
	}
	f.everything = concernsTable(err)
	return f
}

// fail notes that a request failed for good.
func (o *outage) fail(f failure) {
	if o.add(f) {
		o.loggers.Warnf("Table %q can't be used: %s", o.table.name, f.err)
	}
}

// add returns true if an outage begins.
func (o *outage) add(f failure) (begins bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.tried = time.Now()
	failures := slices.Clone(*o.failures.Load())
	same := slices.IndexFunc(failures, func(known failure) bool {
		return known.everything == f.everything && (f.everything || f.covers(known.target))
	})
	switch {
	case same >= 0:
		failures[same] = f
	case f.everything:
		failures = slices.Insert(failures, 0, f)
	default:
		failures = append(failures, f)
	}
	o.failures.Store(&failures)
	o.cause = failures[0].err
	for c := range o.calls {
		if f.covers(c.of) {
			c.cancel()
		}
	}
	if begins = o.began.IsZero(); begins {
		o.began, o.warned = f.tried, f.tried
	}
	return begins
}

// remove notes that requests work again.
func (o *outage) remove(works func(failure) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := *o.failures.Load()
	failures := slices.DeleteFunc(slices.Clone(known), works)
	if len(failures) < len(known) {
		o.failures.Store(&failures)
		o.ends++
	}
	if len(failures) > 0 {
		o.cause = failures[0].err
	}
}

// retryReads tries again what failed, if it is time to. What failed to write is
// tried by writing it: see core.writeUnsaved.
func (o *outage) retryReads(ctx context.Context) {
	for _, f := range *o.failures.Load() {
		if !f.isDue() || (f.isOfWrite() && !f.everything) {
			continue
		}
		err := o.probe(ctx, f.target)
		if ctx.Err() != nil {
			return
		}
		still := failureOf(f.target, err)
		if still == nil || (f.everything && !still.everything) {
			o.remove(func(known failure) bool { return known.everything || (!f.everything && known.covers(f.target)) })
		}
		if still != nil && (still.everything || !still.isOfWrite()) {
			o.fail(*still)
		}
	}
}

// probe makes a request each second until one is answered, for as long as a call
// may take. So a network that works again is noticed at once, and a slow one too.
func (o *outage) probe(ctx context.Context, of target) error {
	ctx, cancel := context.WithTimeout(ctx, o.patience())
	defer cancel()
	answers := make(chan error)
	var probes sync.WaitGroup
	defer probes.Wait()
	defer cancel()
	ticker := time.NewTicker(retryInterval)
	defer ticker.Stop()
	for {
		probes.Go(func() {
			err := o.table.probe(ctx, of)
			select {
			case answers <- err:
			case <-ctx.Done():
			}
		})
		select {
		case err := <-answers:
			return err
		case <-ticker.C:
		case <-ctx.Done():
			return &tableError{of, o.table.name, &timeoutError{after: o.patience(), cause: ctx.Err()}}
		}
	}
}

// patience is how long a request may take without an answer.
func (o *outage) patience() time.Duration {
	if o.table.timeout == 0 {
		return maxPatience
	}
	return o.table.timeout
}

// allowsWrites tells whether it is time to try a write again.
func (o *outage) allowsWrites() bool {
	return !slices.ContainsFunc(*o.failures.Load(), func(f failure) bool {
		return f.everything || (f.isOfWrite() && !f.isDue())
	})
}

func (o *outage) isGoingOn() bool { return o.currentCause() != nil }

// currentCause returns why the table can't be used, or nil if it can.
func (o *outage) currentCause() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.began.IsZero() {
		return nil
	}
	return o.cause
}

// remind warns again of an outage that lasts.
func (o *outage) remind() {
	o.mu.Lock()
	now := time.Now()
	lasted, cause := now.Sub(o.began), o.cause
	due := !o.began.IsZero() && now.Sub(o.warned) >= remindInterval
	if due {
		o.warned = now
	}
	o.mu.Unlock()
	if due {
		o.loggers.Warnf("Table %q has not been usable for %s: %s", o.table.name, lasted.Round(time.Second), cause)
	}
}

// end ends the outage if nothing is known to fail any more.
func (o *outage) end(written int) (ended bool) {
	o.mu.Lock()
	lasted, over := time.Since(o.began), !o.began.IsZero() && len(*o.failures.Load()) == 0
	if over {
		o.began = time.Time{}
	}
	o.mu.Unlock()
	if over {
		o.loggers.Infof("Table %q can be used again, after %s; items that were written late: %d",
			o.table.name, lasted.Round(time.Millisecond), written)
	}
	return over
}

// probe reads as little as it can with the action of a target. For one that
// writes, it reads the row.
func (t *table) probe(ctx context.Context, of target) error {
	var response *response
	var err error
	if of.action == query {
		response, err = t.query(ctx, of.namespace, true, nil, 1)
	} else {
		if of.key == "" {
			of.key = initedKey // of a batch: any key will do
		}
		response, err = t.get(ctx, of.rowKey, true)
	}
	if err == nil {
		response.release()
	}
	return err
}
