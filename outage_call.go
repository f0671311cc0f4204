package lddynamodb

import (
	"context"
	"time"
)

const (
	// noAnswerAfter is when a call without an answer makes the store find out
	// whether others get one. DynamoDB answers in milliseconds.
	noAnswerAfter = 2 * time.Second
	// minPatience is how long the store waits for that answer. Together with
	// noAnswerAfter it is the longest that a dead network holds up a call.
	minPatience = time.Second
)

// An operation makes a request.
type operation func(ctx context.Context) error

// guard runs an operation unless it is known to fail. One that fails for good is
// tried again at once; if that fails too, an outage begins. An outage that begins
// meanwhile ends the operation. A failure tells about the time when its request
// began, so after the end of an outage the operation is run once more.
func (o *outage) guard(ctx context.Context, of target, op operation) error {
	for {
		c, known := o.begin(ctx, of)
		if known != nil {
			return known.errorFor(of)
		}
		err := c.run(op)
		if c.isFailure(err) && c.ctx.Err() == nil && !c.isOutdated() {
			err = c.run(op)
		}
		if !c.isFailure(err) {
			o.answers.Add(1)
			c.end()
			return err
		}
		if c.ctx.Err() == nil {
			c.fail(err)
		}
		c.end()
	}
}

// A call is an operation under way.
type call struct {
	outage *outage
	of     target
	parent context.Context
	ctx    context.Context // done when an outage begins that covers the target
	cancel context.CancelFunc
	ends   int // when it began

	answers int64 // to all calls, when DynamoDB was first not reached
}

// begin begins a call, unless it is known to fail. From then on an outage ends it.
func (o *outage) begin(ctx context.Context, of target) (*call, *failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if known := o.failing(of); known != nil {
		return nil, known
	}
	c := &call{outage: o, of: of, parent: ctx, ends: o.ends, answers: o.answers.Load()}
	c.ctx, c.cancel = context.WithCancel(ctx)
	o.calls[c] = true
	return c, nil
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
	return c.parent.Err() == nil && failureOf(c.of, err) != nil
}

// run makes the operation's request, and looks whether others get an answer if
// this one gets none.
func (c *call) run(op operation) error {
	ctx, cancel := context.WithCancel(c.ctx)
	suspected := make(chan struct{})
	timer := time.AfterFunc(noAnswerAfter, func() {
		defer close(suspected)
		c.suspect(ctx)
	})
	err := op(c.ctx)
	cancel()
	if !timer.Stop() {
		<-suspected
	}
	return err
}

func (c *call) suspect(ctx context.Context) {
	if !c.outage.suspecting.CompareAndSwap(false, true) {
		return
	}
	defer c.outage.suspecting.Store(false)
	probe, cancel := context.WithTimeout(ctx, minPatience)
	defer cancel()
	err := c.outage.table.probe(probe, c.of)
	if f := failureOf(c.of, err); ctx.Err() == nil && f != nil && f.everything {
		c.fail(err)
	}
}

// fail has the outage begin, unless an earlier one has ended since the call
// began. If others get answers, it is not the whole table that can't be used.
func (c *call) fail(err error) {
	f := failureOf(c.of, err)
	if f == nil || c.isOutdated() {
		return
	}
	f.everything = f.everything && c.outage.answers.Load() == c.answers
	c.outage.fail(*f)
}
