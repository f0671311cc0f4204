package lddynamodb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go/aws/request"
	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// isFailing tells whether there is an outage, or something waits to be written.
func (c *core) isFailing() bool { return c.outage.isGoingOn() || c.unsaved.isWaiting() }

// look finds out whether the table can be used, and warns if it holds no data set.
// If only the row that tells is denied, another one shows whether the others are:
// daemon mode needs no permission for that row.
func (c *core) look() error {
	var denied bool
	tolerant := func(ctx context.Context, of target, op operation) error {
		return c.outage.guard(ctx, of, func(ctx context.Context, options ...request.Option) error {
			err := op(ctx, options...)
			if denied = isDenial(err); denied {
				return nil
			}
			return err
		})
	}
	response, err := c.getRow(tolerant, c.initedKey(), true)
	if denied {
		response, err = c.getRow(c.outage.guard, rowKey{c.namespace(ld.Features), initedKey}, true)
	}
	if err != nil {
		return err
	}
	defer response.release()
	if !denied && len(response.rows) == 0 {
		c.loggers.Warnf("Table %q holds no data set under %s: no process that is connected to LaunchDarkly has filled it yet, "+
			"or the table's name, the region or the prefix is wrong", c.table.name, c.describePrefix())
	}
	return nil
}

func (c *core) describePrefix() string {
	if c.prefix == "" {
		return "no prefix"
	}
	return fmt.Sprintf("the prefix %q", c.prefix)
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
	return !time.Now().Before(c.nextWrite) && c.outage.allowsWrites() && c.unsaved.isWaiting()
}

// endOutage ends the outage if nothing fails any more and nothing waits.
func (c *core) endOutage() {
	if c.isClosed() || c.unsaved.isWaiting() {
		return
	}
	c.outage.remove(func(f failure) bool { return !f.everything && f.isOfWrite() })
	if c.outage.end(c.written) {
		c.written, c.patience = 0, 0
	}
	c.reportStatus()
}

// writeUnsaved tries once to write what waits. It returns the rows that it found
// in the place of items, or besides those of an Init. Neither Init nor an update
// may run at the same time.
func (c *core) writeUnsaved() (found []utils.StoreCollection) {
	defer c.reportStatus()
	c.patience = min(max(2*c.patience, minPatience), c.outage.patience())
	c.beginWrite()
	defer c.endWrite()
	for _, w := range c.unsaved.waiting() {
		items, err := c.writeKind(w)
		found = append(found, utils.StoreCollection{Kind: w.kind, Items: items})
		if err != nil {
			c.noteRefusal(err)
			return found
		}
	}
	if c.unsaved.hasInit() {
		if err := c.putInited(c.attempt); err != nil {
			c.noteRefusal(err)
			return found
		}
		c.unsaved.initWritten()
	}
	return found
}

// attempt makes a request without the AWS SDK's retries, because it is made again
// anyway.
func (c *core) attempt(ctx context.Context, _ target, op operation) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	return op(ctx, withoutRetries)
}

// noteRefusal notes that something could not be written. The table has answered
// just before, so this says nothing of reads.
func (c *core) noteRefusal(err error) {
	var refused *tableError
	if !errors.As(err, &refused) || c.isClosed() {
		return
	}
	if isDenial(err) {
		c.nextWrite = time.Now().Add(denialInterval)
	}
	f := failure{target: refused.target, err: err}
	f.everything = !f.isOfWrite() && reachOf(f.target, err) == ofEverything
	c.outage.failWith(f)
}

// writeKind writes what waits of a kind. The first row goes alone: if it is
// refused, so are the others.
func (c *core) writeKind(w unsavedKind) (found []ld.VersionedData, err error) {
	items := make([]ld.VersionedData, 0, len(w.items))
	for _, kept := range w.items {
		items = append(items, kept.item)
	}
	p := c.newKindPlan(w.kind, items)
	p.encode()
	waves := p.waves()
	if len(waves) > 0 {
		if found, err = c.storeWave(p, waves[0][:1]); err != nil {
			return found, err
		}
		delete(p.rows, waves[0][0].key)
	}
	var obsolete []row
	if w.removed != nil {
		var others []ld.VersionedData
		if others, obsolete, err = c.compareLate(p, w.removed); err != nil {
			return found, err
		}
		found = append(found, others...)
	}
	for _, wave := range p.waves() {
		newer, err := c.storeWave(p, wave)
		found = append(found, newer...)
		if err != nil {
			return found, err
		}
	}
	if err := c.deleteLate(p.namespace, obsolete); err != nil {
		return found, err
	}
	c.unsaved.kindWritten(p.namespace)
	return found, nil
}

// compareLate looks at the rows that an Init that waits has met. What is as new in
// the table needs no writing; what the Init removed is obsolete, unless it has
// changed since; what else is there is another process's.
func (c *core) compareLate(p *kindPlan, removed map[string]int) (found []ld.VersionedData, obsolete []row, err error) {
	var mu sync.Mutex
	err = c.query(c.attempt, p.namespace, true, func(rows []row) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range rows {
			item, err := c.decode(p.kind, r)
			if err != nil {
				continue // an item in its place takes it when it is written
			}
			version, wasRemoved := removed[r.key]
			switch wanted := p.items[r.key]; {
			case wasRemoved && version == item.GetVersion():
				obsolete = append(obsolete, row{rowKey: r.rowKey})
			case wanted == nil || isNewer(item, wanted):
				found = append(found, item)
				c.unsaved.done(p.namespace, item)
				delete(p.rows, r.key)
			case !isNewer(wanted, item):
				c.unsaved.done(p.namespace, item)
				delete(p.rows, r.key)
			}
		}
	})
	return found, obsolete, err
}

// storeWave stores rows at the same time, each on the condition that it is newer
// than the table's. It returns the newer ones of the table.
func (c *core) storeWave(p *kindPlan, wave []row) (newer []ld.VersionedData, err error) {
	group, ctx := errgroup.WithContext(c.ctx)
	group.SetLimit(maxParallelBatches)
	var mu sync.Mutex
	for _, r := range wave {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err // another has failed
			}
			item := p.items[r.key]
			stored, err := c.storeLate(p.kind, r, item)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && isNewer(stored, item) {
				newer = append(newer, stored)
			} else if err == nil {
				c.written++
			}
			return err
		})
	}
	return newer, group.Wait()
}

func (c *core) storeLate(kind ld.VersionedDataKind, r row, item ld.VersionedData) (ld.VersionedData, error) {
	stored, err := c.store(c.attempt, kind, r, item)
	if _, malformed := asMalformed(err); malformed || isInvalidItem(err) {
		c.keepUnstorable(kind, r.rowKey, item, err)
		return item, nil
	}
	if err == nil {
		c.unsaved.done(r.namespace, stored)
	}
	return stored, err
}

func (c *core) deleteLate(namespace string, obsolete []row) error {
	if len(obsolete) == 0 {
		return nil
	}
	if _, err := c.newBatchWriter(c.attempt).write(c.ctx, namespace, obsolete); err != nil {
		return err
	}
	for _, r := range obsolete {
		c.known.forget(r.rowKey)
	}
	return nil
}
