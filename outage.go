package lddynamodb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

const (
	// denialPause is the least time between two tries of what was denied: it takes somebody to change a policy.
	denialPause = 5 * time.Second
	// reminderPause is the time between two warnings about the same outage.
	reminderPause = 10 * time.Minute
	// doubtPeriod is for how long failures are doubted after one that was over at once, which may be that of a bad row.
	doubtPeriod = time.Hour
)

// An outage knows which requests fail, as facts, and those aren't made. A fact that lasts becomes an outage for the log.
type outage struct {
	table   string
	loggers ldlog.Loggers

	facts   atomic.Pointer[[]fact] // never changed in place
	answers atomic.Int64           // of DynamoDB so far

	mu      sync.Mutex
	refuted time.Time // when last a fact of the table was over before it was confirmed
	began   time.Time // of the outage
	warned  time.Time
	cause   error // nil if there is no outage
}

// A fact is a request that failed, and what that says about others.
type fact struct {
	target
	ofTable bool // it is the table that can't be used, not one action on one partition
	doubted bool // it may be just the row, so it concerns nothing until a look has failed as well
	lasts   bool // a look has confirmed it
	err     error
	tried   time.Time // last
}

func newOutage(table string, loggers ldlog.Loggers) *outage {
	o := &outage{table: table, loggers: loggers}
	o.facts.Store(new([]fact))
	return o
}

func (f *fact) concerns(of target) bool {
	if f.ofTable {
		return !f.doubted
	}
	return f.action == of.action && f.namespace == of.namespace
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

// errorOf returns the error of a request that the fact concerns.
func (f *fact) errorOf(of target) error {
	if f.target == of {
		return f.err
	}
	return fmt.Errorf("%s was not tried, because another request failed: %w", of, f.err)
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

// ofTable returns the fact that the table can't be used, or nil. It comes before all others.
func (o *outage) ofTable() *fact {
	if facts := *o.facts.Load(); len(facts) > 0 && facts[0].ofTable && !facts[0].doubted {
		return &facts[0]
	}
	return nil
}

// A runner makes a request to the table: run, try or ask.
type runner func(ctx context.Context, of target, request func() (*response, error)) (*response, error)

// run makes a request unless it is known to fail.
func (o *outage) run(ctx context.Context, of target, request func() (*response, error)) (*response, error) {
	if f := o.fact(of); f != nil {
		return nil, f.errorOf(of)
	}
	return o.try(ctx, of, request)
}

// ask does the same for a request whose result says nothing about others.
func (o *outage) ask(_ context.Context, of target, request func() (*response, error)) (*response, error) {
	if f := o.fact(of); f != nil {
		return nil, f.errorOf(of)
	}
	return request()
}

// try makes a request even if it is known to fail. Nothing is learned if the caller gave up.
func (o *outage) try(ctx context.Context, of target, request func() (*response, error)) (*response, error) {
	answers := o.answers.Load()
	response, err := request()
	if ctx.Err() == nil {
		o.note(of, answers, err)
	}
	return response, err
}

// note learns from the result of a request. The number of answers is the one when it began.
func (o *outage) note(of target, answers int64, err error) {
	f := fact{target: of, ofTable: err != nil && concernsTable(err), err: err}
	o.mu.Lock()
	defer o.mu.Unlock()
	if f.ofTable {
		if o.answers.Load() == answers { // else others were answered, so it is this row
			f.doubted = o.ofTable() == nil && of.key != probeKey && time.Since(o.refuted) < doubtPeriod
			o.add(f)
		}
		return
	}
	o.answers.Add(1)
	if known := o.ofTable(); known != nil && !known.lasts {
		o.refuted = time.Now()
	}
	o.remove(func(known fact) bool { return known.ofTable || (err == nil && known.concerns(of)) })
	if err != nil && (!isInvalidItem(err) || !f.isOfWrite()) { // else it is the item
		o.add(f)
	}
}

// add adds a fact. One that is known keeps its request and error if the remedy is the same: the log shows the first.
func (o *outage) add(f fact) {
	f.tried = time.Now()
	facts := slices.Clone(*o.facts.Load())
	if i := slices.IndexFunc(facts, f.isSame); i >= 0 {
		f.lasts = facts[i].lasts
		if remedy(facts[i].err) == remedy(f.err) {
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

// remove removes facts. The caller has the lock.
func (o *outage) remove(ended func(fact) bool) {
	if facts := *o.facts.Load(); slices.ContainsFunc(facts, ended) {
		facts = slices.DeleteFunc(slices.Clone(facts), ended)
		o.facts.Store(&facts)
	}
}

// forget removes facts that nobody would see end, because nothing needs the requests. It reports whether any are left.
func (o *outage) forget(isObsolete func(fact) bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remove(isObsolete)
	return len(*o.facts.Load()) > 0
}

// confirm begins an outage if a fact has outlived a look, or what waits was not written. It reminds of one that lasts.
func (o *outage) confirm(before []fact, unwritten error) {
	o.mu.Lock()
	var cause error
	facts := slices.Clone(*o.facts.Load())
	for i, f := range facts {
		if !f.doubted && slices.ContainsFunc(before, f.isSame) {
			facts[i].lasts = true
			cause = cmp.Or(cause, f.err)
		}
	}
	o.facts.Store(&facts)
	cause = cmp.Or(cause, unwritten)
	text, now := "", time.Now()
	switch {
	case cause == nil:
	case o.cause == nil:
		text, o.began, o.warned = "can't be used", now, now
	case now.Sub(o.warned) >= reminderPause:
		text, o.warned = fmt.Sprintf("still can't be used, after %s", now.Sub(o.began).Round(time.Second)), now
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
		o.loggers.Warnf("Table %q can be used again, after %s", o.table, lasted.Round(time.Millisecond))
	}
}

// isKnown reports whether any request is known to fail, or doubted, or an outage is going on.
func (o *outage) isKnown() bool {
	return len(*o.facts.Load()) > 0 || o.currentCause() != nil
}

// currentCause returns why the table can't be used, or nil if there is no outage.
func (o *outage) currentCause() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.cause
}
