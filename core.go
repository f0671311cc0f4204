package lddynamodb

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

// replicationLag is a generous bound of the time in which a write reaches all
// of DynamoDB's replicas, usually within a second. During a write of this process
// and for so long after it, its reads are consistent, whatever ConsistentReads
// says, and so never older than what it wrote.
const replicationLag = 5 * time.Second

// A core knows kinds and items, and how they stand in the table. What this
// process received and the table does not have, it keeps in memory.
type core struct {
	outage          *outage
	table           *table
	prefix          string
	consistentReads bool
	loggers         ldlog.Loggers
	status          *statusTeller

	unsaved   unsaved
	known     knownRows
	malformed sync.Map      // of rowKey, the versions of malformed rows that have been logged
	writing   atomic.Int32  // how many writes are under way
	lastWrite atomic.Int64  // when the latest ended, in Unix nanoseconds
	written   int           // items, in the outage that is going on, that the table had refused
	patience  time.Duration // with a request that writes them
	denied    time.Time     // when the latest try to write them was

	ctx    context.Context // done when the store is closed
	cancel context.CancelFunc
}

// close makes requests that are under way, and waits between them, fail at once.
func (c *core) close() { c.cancel() }

func (c *core) isClosed() bool { return c.ctx.Err() != nil }

// get returns an item, deleted or not, or nil if there is none: the newer one of
// the row and what is unsaved. For a malformed row the error is a
// *malformedRowError; any other one is an outage, or the store is closed.
func (c *core) get(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	namespace := c.namespace(kind)
	if !canBeSortKey(key) {
		return c.unsaved.row(namespace, key).item, nil
	}
	defer c.reportStatus()
	before := c.unsaved.row(namespace, key)
	stored, err := c.read(c.outage.guard, kind, rowKey{namespace, key}, c.readsConsistently())
	if err == nil {
		return before.newest(c.unsaved.newest(namespace, key, stored)), nil
	}
	if row := c.unsaved.row(namespace, key); row.decides && !c.isClosed() {
		return row.newest(c.known.last(rowKey{namespace, key})), nil
	}
	return nil, err
}

// A runner makes a request to the table: outage.guard, or core.attempt.
type runner func(ctx context.Context, of target, op operation) error

// read returns the item in the table, deleted or not, or nil.
func (c *core) read(run runner, kind ld.VersionedDataKind, key rowKey, consistent bool) (ld.VersionedData, error) {
	response, err := c.getRow(run, key, consistent)
	if err != nil {
		return nil, err
	}
	defer response.release()
	if len(response.rows) == 0 {
		c.known.forget(key)
		return nil, nil
	}
	item, err := c.decode(kind, response.rows[0])
	if err != nil {
		return nil, fmt.Errorf("GetItem %s on DynamoDB table %q: %w", key, c.table.name, err)
	}
	return item, nil
}

func (c *core) getRow(run runner, key rowKey, consistent bool) (response *response, err error) {
	err = run(c.ctx, target{getItem, key}, func(ctx context.Context) (err error) {
		response, err = c.table.get(ctx, key, consistent)
		return err
	})
	return response, err
}

// getAll returns all items of a kind: of each the newer one of the row and what
// is unsaved.
func (c *core) getAll(kind ld.VersionedDataKind) (*dataSet, error) {
	defer c.reportStatus()
	namespace := c.namespace(kind)
	before := c.unsaved.all(namespace)
	set, err := c.readSet(kind)
	if err == nil {
		c.unsaved.mergeInto(namespace, set)
		before.mergeInto(set)
		return set, nil
	}
	if kept := c.unsaved.all(namespace); kept.removed != nil && !c.isClosed() {
		set := c.known.all(namespace)
		kept.mergeInto(set)
		return set, nil
	}
	return nil, err
}

// readSet decodes the rows of a page on all processors, while the next page is on
// its way.
func (c *core) readSet(kind ld.VersionedDataKind) (*dataSet, error) {
	namespace := c.namespace(kind)
	set := newDataSet(c.known.count(namespace))
	var mu sync.Mutex
	err := c.query(c.outage.guard, namespace, c.readsConsistently(), func(rows []row) {
		var decoding sync.WaitGroup
		for part := range slices.Chunk(rows, len(rows)/runtime.GOMAXPROCS(0)+1) {
			decoding.Go(func() {
				items, malformed := c.decodeAll(kind, part)
				mu.Lock()
				defer mu.Unlock()
				set.add(items, malformed)
			})
		}
		decoding.Wait()
	})
	if err != nil {
		return nil, err
	}
	c.known.retain(namespace, set)
	return set, nil
}

func (c *core) decodeAll(kind ld.VersionedDataKind, rows []row) (items []ld.VersionedData, malformed []string) {
	items = make([]ld.VersionedData, 0, len(rows))
	for _, r := range rows {
		if item, err := c.decode(kind, r); err == nil {
			items = append(items, item)
		} else {
			malformed = append(malformed, r.key)
		}
	}
	return items, malformed
}

// query reads all rows of a namespace, and calls a function with those of each
// page while it asks for the next one. The rows are valid during the call.
func (c *core) query(run runner, namespace string, consistent bool, page func([]row)) error {
	var pages sync.WaitGroup
	defer pages.Wait()
	var next *rowKey
	for {
		var response *response
		err := run(c.ctx, target{query, rowKey{namespace: namespace}},
			func(ctx context.Context) (err error) {
				response, err = c.table.query(ctx, namespace, consistent, next, 0)
				return err
			})
		if err != nil {
			return err
		}
		next = response.next
		pages.Go(func() {
			defer response.release()
			page(response.rows)
		})
		if next == nil {
			return nil
		}
	}
}

// decode returns the item of a row. One whose row is the same as before is not
// decoded again. A malformed row is logged once, until its version changes.
func (c *core) decode(kind ld.VersionedDataKind, r row) (ld.VersionedData, error) {
	if item, ok := c.known.item(r); ok {
		return item, nil
	}
	item, _, err := r.decode(kind)
	if err != nil {
		if logged, found := c.malformed.Swap(r.rowKey, r.version); !found || logged != r.version {
			c.loggers.Errorf("Table %q: %s", c.table.name, err)
		}
		return nil, err
	}
	c.known.remember(r, item)
	return item, nil
}

// upsert stores an item unless the table has the same version of it or a newer
// one. It returns what is served from now on. With an error that is the newest
// that is known: the table refused the item, and it is unsaved.
func (c *core) upsert(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
	defer c.reportStatus()
	namespace := c.namespace(kind)
	if kept := c.unsaved.row(namespace, item.GetKey()); kept.supersedes(item) {
		return kept.item, nil
	}
	r, err := encodeRow(namespace, item)
	if err != nil {
		return c.leaveOut(kind, r.rowKey, item, err), nil
	}
	stored, err := c.store(c.outage.guard, kind, r, item)
	_, malformed := asMalformed(err)
	switch {
	case err == nil:
		return c.unsaved.newest(namespace, r.key, stored), nil
	case c.isClosed():
		return nil, err
	case malformed || isInvalidItem(err):
		return c.leaveOut(kind, r.rowKey, item, err), nil
	}
	c.unsaved.add(kind, r.rowKey, item, true)
	return c.known.newest(namespace, item), &unsavedError{fmt.Sprintf("update %s to version %s", r.rowKey, r.version), err}
}

// store returns the item, or the one in the table if that isn't older. It tries
// again if, by then, the one that had been newer is gone. An item that is as new
// as a malformed row takes its place; of a newer one the error says so.
func (c *core) store(run runner, kind ld.VersionedDataKind, r row, item ld.VersionedData) (ld.VersionedData, error) {
	c.beginWrite()
	defer c.endWrite()
	put := c.table.putIfNewer
	for {
		stored, err := c.put(run, r, put)
		if err != nil {
			return nil, err
		}
		if stored {
			c.known.remember(r, item)
			return item, nil
		}
		winner, err := c.read(run, kind, r.rowKey, true)
		malformed, isMalformed := asMalformed(err)
		switch {
		case isMalformed && malformed.hasVersion(item.GetVersion()):
			put = c.table.putIfAsNew
		case err != nil, winner != nil && !isNewer(item, winner):
			return winner, err
		default:
			put = c.table.putIfNewer
		}
	}
}

func (c *core) put(
	run runner, r row, put func(context.Context, row) (bool, error),
) (stored bool, err error) {
	err = run(c.ctx, target{putItem, r.rowKey}, func(ctx context.Context) (err error) {
		stored, err = put(ctx, r)
		return err
	})
	return stored, err
}

// leaveOut keeps an item that can't be stored, unless the table has it as new,
// and returns what is served from now on.
func (c *core) leaveOut(kind ld.VersionedDataKind, key rowKey, item ld.VersionedData, reason error) ld.VersionedData {
	var stored ld.VersionedData
	if canBeSortKey(key.key) {
		var err error
		stored, err = c.read(c.outage.guard, kind, key, true)
		if last := c.known.last(key); err != nil && isNewer(last, item) {
			stored = last
		}
	}
	if stored == nil || isNewer(item, stored) {
		c.addUnstorable(kind, key, item, reason)
	}
	return c.unsaved.newest(key.namespace, key.key, stored)
}

func (c *core) addUnstorable(kind ld.VersionedDataKind, key rowKey, item ld.VersionedData, reason error) {
	c.logUnstorable(key.namespace, item, reason)
	c.unsaved.add(kind, key, item, false)
}

// logUnstorable logs that an item can't be stored, unless that is known of this
// version: each Init brings it again.
func (c *core) logUnstorable(namespace string, item ld.VersionedData, reason error) {
	kept := c.unsaved.row(namespace, item.GetKey())
	if kept.item != nil && !kept.waiting && kept.item.GetVersion() == item.GetVersion() {
		return
	}
	c.loggers.Errorf("Left out version %d of an item of table %q, which only this process has now: %s",
		item.GetVersion(), c.table.name, reason)
}

// initialized tells whether the table says that it holds a full data set.
func (c *core) initialized() (bool, error) {
	inited, err := c.isInited(c.outage.guard)
	c.reportStatus()
	return inited, err
}

func (c *core) isInited(run runner) (bool, error) {
	response, err := c.getRow(run, c.initedKey(), true)
	if err != nil {
		return false, err
	}
	defer response.release()
	return len(response.rows) > 0, nil
}

// readsFail tells whether reads of a kind are known to fail.
func (c *core) readsFail(action, namespace string) bool {
	return c.outage.failing(target{action, rowKey{namespace: namespace}}) != nil
}

// reportStatus tells the listener how the store and its table get on.
func (c *core) reportStatus() {
	c.status.update(func() StoreStatus {
		cause := c.outage.currentCause()
		return StoreStatus{Available: cause == nil, Err: cause, Unsaved: c.unsaved.count()}
	})
}

func (c *core) beginWrite() { c.writing.Add(1) }

func (c *core) endWrite() {
	c.lastWrite.Store(time.Now().UnixNano())
	c.writing.Add(-1)
}

func (c *core) readsConsistently() bool {
	return c.consistentReads || c.writing.Load() > 0 || time.Since(time.Unix(0, c.lastWrite.Load())) < replicationLag
}

func (c *core) namespace(kind ld.VersionedDataKind) string { return c.prefixed(kind.GetNamespace()) }

func (c *core) initedKey() rowKey { return rowKey{c.prefixed(initedKey), c.prefixed(initedKey)} }

func (c *core) prefixed(name string) string {
	if c.prefix == "" {
		return name
	}
	return c.prefix + ":" + name
}

// isNewer tells whether the first of two items has the higher version. Nil is
// older than any.
func isNewer(a, b ld.VersionedData) bool {
	return a != nil && (b == nil || a.GetVersion() > b.GetVersion())
}
