package lddynamodb

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// isFailing tells whether there is an outage, or something waits to be written.
func (c *core) isFailing() bool { return c.outage.isGoingOn() || c.unsaved.isWaiting() }

// look finds out whether the table can be used, and warns if it holds no data set.
// Daemon mode needs no permission for the row that tells, so it is not the one whose
// failure begins an outage.
func (c *core) look() error {
	response, err := c.getRow(c.outage.guard, rowKey{c.namespace(ld.Features), initedKey}, true)
	if err != nil {
		return err
	}
	response.release()
	unguarded := func(ctx context.Context, _ target, op operation) error { return op(ctx) }
	if inited, err := c.isInited(unguarded); err == nil && !inited {
		c.loggers.Warnf("Table %q holds no data set under the prefix %q: no process that is connected to LaunchDarkly has "+
			"filled it yet, or the table's name, the region or the prefix is wrong", c.table.name, c.prefix)
	}
	return nil
}

// warnOfUnsaved warns of what is lost when the store is closed.
func (c *core) warnOfUnsaved() {
	if n := c.unsaved.count(); n > 0 {
		c.loggers.Warnf("Closed with %d items that table %q does not have", n, c.table.name)
	}
}

// retryReads tries reads again that failed.
func (c *core) retryReads() {
	c.outage.retryReads(c.ctx)
	c.outage.remind()
	c.reportStatus()
}

// canWrite tells whether it is time to try to write what waits.
func (c *core) canWrite() bool {
	return isTimeAfterDenial(c.denied) && c.outage.allowsWrites() && c.unsaved.isWaiting()
}

// endOutage ends the outage if nothing fails any more and nothing waits.
func (c *core) endOutage() {
	if c.isClosed() || c.unsaved.isWaiting() {
		return
	}
	c.outage.remove(func(f failure) bool { return !f.everything && f.isOfWrite() })
	if c.outage.end(c.written) {
		c.written, c.patience, c.denied = 0, 0, time.Time{}
	}
	c.reportStatus()
}

// A lateWrite is what a kindPlan needs to know to write what the table has refused
// before: others may have written meanwhile.
type lateWrite struct {
	removed map[string]int // see unsavedKind
	found   []ld.VersionedData
}

// needsRows tells whether the plan has to know what the table has. Updates that
// wait are written on the condition that they are newer.
func (p *kindPlan) needsRows() bool { return p.late == nil || p.late.removed != nil }

// writeUnsaved tries once to write what waits. It returns the rows that it found
// in the place of items, or besides those of an Init. Neither Init nor an update
// may run at the same time.
func (c *core) writeUnsaved() (found []utils.StoreCollection) {
	defer c.reportStatus()
	c.patience = min(max(2*c.patience, minPatience), c.outage.patience())
	var plan []*kindPlan
	for _, w := range c.unsaved.waiting() {
		p := c.newKindPlan(w.kind, w.list())
		p.late = &lateWrite{removed: w.removed}
		plan = append(plan, p)
	}
	err := c.storeFirst(plan)
	if err == nil {
		err = c.carryOut(plan, c.attempt, c.unsaved.hasInit())
	}
	if err == nil {
		c.unsaved.written()
	} else {
		c.noteRefusal(err)
	}
	for _, p := range plan {
		found = append(found, utils.StoreCollection{Kind: p.kind, Items: p.late.found})
	}
	return found
}

// attempt makes a request without the AWS SDK's retries, because it is made again
// anyway.
func (c *core) attempt(ctx context.Context, _ target, op operation) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	return op(ctx)
}

// noteRefusal notes that something could not be written. It counts for the action
// that was refused: patience is short at first, so this does not show that the table
// can't be used.
func (c *core) noteRefusal(err error) {
	if isDenial(err) {
		c.denied = time.Now()
	}
	var refused *tableError
	if errors.As(err, &refused) && !c.isClosed() {
		c.outage.fail(failure{target: refused.target, err: err})
	}
}

// storeFirst stores one row. If it is refused, so are the others, and need not be
// tried.
func (c *core) storeFirst(plan []*kindPlan) error {
	for _, p := range plan {
		p.encode()
		if waves := p.waves(); len(waves) > 0 {
			first := waves[0][:1]
			defer delete(p.rows, first[0].key)
			return c.storeWave(p, first)
		}
	}
	return nil
}

// compareLate looks at a row that an Init that waits has met. What is as new in the
// table needs no writing; what the Init removed is obsolete, unless it has changed
// since; what else is there is another process's.
func (c *core) compareLate(p *kindPlan, stored row) {
	item, err := c.decode(p.kind, stored)
	if err != nil {
		return // an item in its place takes it when it is written
	}
	wanted := p.items[stored.key]
	switch version, removed := p.late.removed[stored.key]; {
	case removed && version == item.GetVersion():
		p.obsolete = append(p.obsolete, row{rowKey: stored.rowKey})
	case isNewer(wanted, item):
	default:
		if wanted == nil || isNewer(item, wanted) {
			p.late.found = append(p.late.found, item)
		}
		delete(p.rows, stored.key)
		c.unsaved.done(p.namespace, item)
	}
}

// storeWave stores rows at the same time, each on the condition that it is newer
// than the table's.
func (c *core) storeWave(p *kindPlan, wave []row) error {
	group, ctx := errgroup.WithContext(c.ctx)
	group.SetLimit(maxParallelBatches)
	var mu sync.Mutex
	for _, r := range wave {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err // another has failed
			}
			item := p.items[r.key]
			stored, err := c.store(c.attempt, p.kind, r, item)
			if _, malformed := asMalformed(err); malformed || isInvalidItem(err) {
				c.addUnstorable(p.kind, r.rowKey, item, err)
				return nil
			}
			if err != nil {
				return err
			}
			c.unsaved.done(r.namespace, stored)
			mu.Lock()
			defer mu.Unlock()
			if isNewer(stored, item) {
				p.late.found = append(p.late.found, stored)
			} else {
				c.written++
			}
			return nil
		})
	}
	return group.Wait()
}
