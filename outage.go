package lddynamodb

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go/aws/request"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

const (
	// retryInterval is the pause between two tries to use the table again. It is
	// short for an application and long for DynamoDB.
	retryInterval = time.Second
	// denialInterval is that after a denial, which takes somebody to change a
	// policy.
	denialInterval = 5 * time.Second
	// noAnswerAfter is when a call without an answer makes the store find out
	// whether others get one. DynamoDB answers in milliseconds.
	noAnswerAfter = 2 * time.Second
	// minPatience is how long the store waits for that answer. Together with
	// noAnswerAfter it is the longest that a dead network holds up a call.
	minPatience = time.Second
	// remindInterval is the pause between two warnings about the same outage.
	remindInterval = 10 * time.Minute
)

// An operation makes a request, with the given options.
type operation func(ctx context.Context, options ...request.Option) error

// An outage is a time in which requests fail: from the first that failed for
// good until they work again. The store knows which requests that are, and
// doesn't make them meanwhile. It finds out about the end by itself: see
// cache.recover.
type outage struct {
	table   *table
	loggers ldlog.Loggers

	failures   atomic.Pointer[[]failure] // never changed in place; empty outside of outages
	suspecting atomic.Bool               // a call finds out whether others get an answer

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

func (f *failure) isDue() bool { return !isDenial(f.err) || time.Since(f.tried) >= denialInterval }

func newOutage(table *table, loggers ldlog.Loggers) *outage {
	o := &outage{table: table, loggers: loggers, calls: make(map[*call]bool)}
	o.failures.Store(new([]failure))
	return o
}

// guard runs an operation unless it is known to fail. One that fails for good is
// tried again at once; if that fails too, an outage begins. An outage that begins
// meanwhile ends the operation. A failure tells about the time when its request
// began, so after the end of an outage the operation is run once more.
func (o *outage) guard(ctx context.Context, of target, op operation) error {
	for {
		if f := o.failing(of); f != nil {
			return f.errorFor(of)
		}
		c := o.begin(ctx, of)
		err := c.run(op)
		if c.isFailure(err) && c.ctx.Err() == nil && !c.isOutdated() {
			err = c.run(op, withoutRetries)
		}
		if !c.isFailure(err) {
			c.end()
			return err
		}
		if c.ctx.Err() == nil {
			c.fail(err)
		}
		c.end()
	}
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

// A call is an operation under way.
type call struct {
	outage *outage
	of     target
	parent context.Context
	ctx    context.Context // done when an outage begins that covers the target
	cancel context.CancelFunc
	ends   int // when it began
	failed int // attempts that DynamoDB did not answer
}

func (o *outage) begin(ctx context.Context, of target) *call {
	c := &call{outage: o, of: of, parent: ctx}
	c.ctx, c.cancel = context.WithCancel(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	c.ends = o.ends
	o.calls[c] = true
	return c
}

func (c *call) end() {
	c.cancel()
	c.outage.mu.Lock()
	defer c.outage.mu.Unlock()
	delete(c.outage.calls, c)
}

// isOutdated tells whether an outage has ended since the call began.
func (c *call) isOutdated() bool {
	c.outage.mu.Lock()
	defer c.outage.mu.Unlock()
	return c.ends != c.outage.ends
}

// isFailure tells whether an error counts against the table.
func (c *call) isFailure(err error) bool {
	return err != nil && c.parent.Err() == nil && reachOf(c.of, err) > 0
}

// run makes the operation's request, and looks whether others get an answer if
// this one gets none.
func (c *call) run(op operation, options ...request.Option) error {
	ctx, cancel := context.WithCancel(c.ctx)
	suspected := make(chan struct{})
	timer := time.AfterFunc(noAnswerAfter, func() {
		defer close(suspected)
		c.suspect(ctx)
	})
	err := op(c.ctx, append(options, func(r *request.Request) {
		r.Handlers.Retry.PushFront(func(r *request.Request) {
			c.attemptFailed(r.Error)
			if timer.Stop() {
				timer.Reset(noAnswerAfter)
			}
		})
	})...)
	cancel()
	if !timer.Stop() {
		<-suspected
	}
	return err
}

// attemptFailed ends the call if DynamoDB could not be reached twice: the other
// retries would only make the caller wait.
func (c *call) attemptFailed(err error) {
	if c.ctx.Err() != nil || !isUnreachable(err) {
		return
	}
	c.failed++
	if c.failed == 2 {
		c.fail(&tableError{c.of, c.outage.table.name, err})
		c.cancel()
	}
}

func (c *call) suspect(ctx context.Context) {
	if !c.outage.suspecting.CompareAndSwap(false, true) {
		return
	}
	defer c.outage.suspecting.Store(false)
	probe, cancel := context.WithTimeout(ctx, minPatience)
	defer cancel()
	err := c.outage.table.probe(probe, c.of)
	if ctx.Err() == nil && reachOf(c.of, err) == ofEverything {
		c.fail(err)
	}
}

// fail has the outage begin, unless an earlier one has ended since the call
// began.
func (c *call) fail(err error) {
	if !c.isOutdated() {
		c.outage.fail(c.of, err)
	}
}

// What a failure says about other requests.
const (
	ofNothing    = iota
	ofAction     // those with the same action in the same namespace fail too
	ofEverything // all fail
)

func reachOf(of target, err error) int {
	_, malformed := asMalformed(err)
	f := failure{target: of}
	switch {
	case err == nil, malformed, f.isOfWrite() && isInvalidItem(err):
		return ofNothing
	case isThrottle(err), isDenial(err):
		return ofAction
	default:
		return ofEverything
	}
}

// fail notes that a request failed for good.
func (o *outage) fail(of target, err error) {
	o.failWith(failure{target: of, everything: reachOf(of, err) == ofEverything, err: err})
}

func (o *outage) failWith(f failure) {
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
		reach := reachOf(f.target, err)
		if f.everything && reach != ofEverything {
			o.remove(func(known failure) bool { return known.everything })
		} else if reach == ofNothing {
			o.remove(func(known failure) bool { return known.covers(f.target) })
		}
		if reach == ofEverything || (reach == ofAction && !f.isOfWrite()) {
			o.fail(f.target, err)
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
		return DefaultRequestTimeout
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
		o.loggers.Infof("Table %q can be used again, after %s; %d items were written that it had not taken",
			o.table.name, lasted.Round(time.Millisecond), written)
	}
	return over
}
