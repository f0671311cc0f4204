package lddynamodb

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

const (
	// denialPause is the least time between two tries of what was denied, because it
	// takes somebody to change a policy.
	denialPause = 5 * time.Second
	// reminderPause is the time between two warnings about the same outage.
	reminderPause = 10 * time.Minute
	// maxBlips bounds what is remembered of requests that failed for a moment.
	maxBlips = 100
)

// An outage knows which requests fail, as facts. While a fact is known, requests that
// it concerns aren't made. A fact becomes an outage, which is logged, when it is
// confirmed.
type outage struct {
	table   string
	loggers ldlog.Loggers

	facts   atomic.Pointer[[]fact] // never changed in place
	answers atomic.Int64           // of DynamoDB so far
	doubt   atomic.Pointer[target] // one of the blips that has failed again, since the latest look

	mu     sync.Mutex
	blips  map[target]bool // facts that were not confirmed: their rows may be the cause
	began  time.Time       // zero if there is no outage
	cause  error
	warned time.Time

	written atomic.Int64 // items that had to wait, in this outage
}

// A fact is a request that failed, and what that says about others.
type fact struct {
	target
	ofTable bool // it is the table that can't be used, not one action on one partition
	lasts   bool // a look has confirmed it
	err     error
	tried   time.Time // last
}

func newOutage(table string, loggers ldlog.Loggers) *outage {
	o := &outage{table: table, loggers: loggers, blips: make(map[target]bool)}
	o.facts.Store(new([]fact))
	return o
}

func (f *fact) concerns(of target) bool {
	return f.ofTable || (f.action == of.action && f.namespace == of.namespace)
}

func (f *fact) isOfWrite() bool {
	return !f.ofTable && (f.action == putItem || f.action == batchWriteItem)
}

// isSame reports whether two facts are the same one, whatever their errors.
func (f *fact) isSame(other fact) bool {
	return f.ofTable == other.ofTable && (f.ofTable || f.concerns(other.target))
}

// isDue reports whether it is time to try again. The first look comes at once.
func (f *fact) isDue() bool {
	return !f.lasts || !isDenial(f.err) || time.Since(f.tried) > denialPause-maxPause/2
}

// ofTable returns the fact that the table can't be used, or nil.
func (o *outage) ofTable() *fact {
	if facts := *o.facts.Load(); len(facts) > 0 && facts[0].ofTable {
		return &facts[0]
	}
	return nil
}

// fact returns the fact that concerns a request, or nil.
func (o *outage) fact(of target) *fact {
	facts := *o.facts.Load()
	for i := range facts {
		if facts[i].concerns(of) {
			return &facts[i]
		}
	}
	return nil
}

// known returns the error of a request that is known to fail, or nil.
func (o *outage) known(of target) error {
	if f := o.fact(of); f != nil {
		return f.errorOf(of)
	}
	return nil
}

// errorOf returns the error of a request that the fact concerns.
func (f *fact) errorOf(of target) error {
	if f.target == of {
		return f.err
	}
	return fmt.Errorf("%s was not tried, because another request failed: %w", of, f.err)
}

// run makes a request unless it is known to fail.
func (o *outage) run(ctx context.Context, of target, request func() error) error {
	if err := o.known(of); err != nil {
		return err
	}
	return o.try(ctx, of, request)
}

// ask makes a request unless it is known to fail. Its result says nothing about other
// requests.
func (o *outage) ask(_ context.Context, of target, request func() error) error {
	if err := o.known(of); err != nil {
		return err
	}
	return request()
}

// try makes a request even if it is known to fail. Nothing is learned from a request
// whose caller gave up.
func (o *outage) try(ctx context.Context, of target, request func() error) error {
	answers := o.answers.Load()
	err := request()
	if ctx.Err() == nil {
		o.note(of, answers, err)
	}
	return err
}

// note learns from the result of a request. The number of answers is the one when it
// began.
func (o *outage) note(of target, answers int64, err error) {
	if concernsTable(err) {
		o.mu.Lock()
		defer o.mu.Unlock()
		switch {
		case o.answers.Load() != answers: // others were answered, so it is this row
		case o.blips[of]:
			o.doubt.Store(&of) // is it still only this row?
		default:
			o.add(of, err)
		}
		return
	}
	o.answers.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		delete(o.blips, of)
	}
	o.remove(func(f fact) bool { return f.ofTable || (err == nil && f.concerns(of)) })
	isOfItem := isInvalidItem(err) && (of.action == putItem || of.action == batchWriteItem)
	if err != nil && !isOfItem {
		o.add(of, err)
	}
}

// add adds a fact. A fact that is known already keeps its request and error if the new
// error has the same remedy, so that the log shows the first request that failed. The
// caller has the lock.
func (o *outage) add(of target, err error) {
	f := fact{target: of, ofTable: concernsTable(err), err: err, tried: time.Now()}
	facts := slices.Clone(*o.facts.Load())
	if i := slices.IndexFunc(facts, f.isSame); i >= 0 {
		f.lasts = facts[i].lasts
		if remedy(facts[i].err) == remedy(err) {
			f.target, f.err = facts[i].target, facts[i].err
		}
		facts = slices.Delete(facts, i, i+1)
	}
	if f.ofTable {
		facts = slices.Insert(facts, 0, f)
	} else {
		facts = append(facts, f)
	}
	o.facts.Store(&facts)
}

// remove removes facts that don't hold any more. The caller has the lock.
func (o *outage) remove(ended func(fact) bool) {
	if known := *o.facts.Load(); slices.ContainsFunc(known, ended) {
		facts := slices.DeleteFunc(slices.Clone(known), ended)
		o.facts.Store(&facts)
	}
}

// forget removes facts that nobody would find to have ended, because nothing needs what
// they are about.
func (o *outage) forget(isObsolete func(fact) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remove(isObsolete)
}

// excuse notes that the first look at a fact was answered: if the same request fails
// again, it may be because of its row.
func (o *outage) excuse(f fact) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !f.ofTable || f.lasts || f.key == probeKey || o.ofTable() != nil {
		return
	}
	if len(o.blips) == maxBlips {
		clear(o.blips)
	}
	o.blips[f.target] = true
}

// confirm begins an outage if one of the facts that were known before the latest look
// still holds, or if what waits could not be written. It reminds of one that lasts.
func (o *outage) confirm(before []fact, unwritten error) {
	o.mu.Lock()
	cause := unwritten
	facts := slices.Clone(*o.facts.Load())
	for i := len(facts) - 1; i >= 0; i-- {
		if slices.ContainsFunc(before, facts[i].isSame) {
			facts[i].lasts = true
			cause = facts[i].err
		}
	}
	o.facts.Store(&facts)
	text, now := "", time.Now()
	switch {
	case cause == nil:
	case o.cause == nil:
		o.began, o.warned = now, now
		o.written.Store(0)
		text = "can't be used"
	case now.Sub(o.warned) >= reminderPause:
		o.warned = now
		text = fmt.Sprintf("still can't be used, after %s", now.Sub(o.began).Round(time.Second))
	}
	if cause != nil && (o.cause == nil || remedy(cause) != remedy(o.cause)) {
		o.cause = cause
	}
	o.mu.Unlock()
	if text != "" {
		o.loggers.Warnf("Table %q %s: %s", o.table, text, cause)
	}
}

// end ends the outage.
func (o *outage) end() {
	o.mu.Lock()
	wasOutage, lasted := o.cause != nil, time.Since(o.began)
	o.cause = nil
	o.mu.Unlock()
	if wasOutage {
		o.loggers.Warnf("Table %q can be used again, after %s; items that were written late: %d",
			o.table, lasted.Round(time.Millisecond), o.written.Load())
	}
}

// isKnown reports whether any request is known to fail, or may be, or an outage is going
// on.
func (o *outage) isKnown() bool {
	return len(*o.facts.Load()) > 0 || o.doubt.Load() != nil || o.currentCause() != nil
}

// currentCause returns why the table can't be used, or nil if there is no outage.
func (o *outage) currentCause() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cause
}
