package lddynamodb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// replicationLag is a generous bound of the time in which a write reaches all
// of DynamoDB's replicas, usually within a second. During a write of this process
// and for so long after it, its reads are consistent, whatever ConsistentReads
// says, and so never older than what it wrote.
const replicationLag = 5 * time.Second

var _ interface {
	utils.NonAtomicFeatureStoreCore
	utils.FeatureStoreCoreStatus
} = (*core)(nil)

// A core is the store without a cache: it knows kinds and items, and how they
// stand in the table. The SDK's wrapper uses it as it is where the cache TTL is
// zero.
type core struct {
	table           *table
	prefix          string
	consistentReads bool
	loggers         ldlog.Loggers
	outage          *outage

	unstorable unstorableItems
	malformed  sync.Map     // of rowKey, the versions of malformed rows that have been logged
	writing    atomic.Int32 // how many writes are under way
	lastWrite  atomic.Int64 // when the latest ended, in Unix nanoseconds

	ctx    context.Context // done when the store is closed
	cancel context.CancelFunc
}

// Close makes requests that are under way, and waits between them, fail at once.
func (c *core) Close() error {
	c.cancel()
	return nil
}

// GetCacheTTL keeps the SDK's wrapper from caching: see the cache type.
func (c *core) GetCacheTTL() time.Duration { return 0 }

// GetDiagnosticsComponentTypeName is the store's type in the SDK's diagnostics.
func (c *core) GetDiagnosticsComponentTypeName() string { return "DynamoDB" }

// GetInternal reads an item; it is nil where the table has none.
func (c *core) GetInternal(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	if !canBeSortKey(key) {
		return nil, nil
	}
	rowKey := c.rowKey(kind, key)
	stored, err := c.read(kind, rowKey, c.readsConsistently())
	item := c.unstorable.newest(rowKey, stored)
	if c.observeRead(err) == nil {
		return item, nil
	}
	if item == nil {
		return nil, err
	}
	c.outage.remind() // what is kept is served, so the caller gets no error
	return item, nil
}

// read returns the item in the table, deleted or not, or nil.
func (c *core) read(kind ld.VersionedDataKind, key rowKey, consistent bool) (ld.VersionedData, error) {
	r, found, err := c.table.get(c.ctx, key, consistent)
	if err != nil || !found {
		return nil, err
	}
	item, err := r.decode(kind)
	if err != nil {
		c.logMalformed(r, err)
		return nil, fmt.Errorf("GetItem %s on DynamoDB table %q: %w", key, c.table.name, err)
	}
	return item, nil
}

// GetAllInternal reads all items of a kind but the deleted ones.
func (c *core) GetAllInternal(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	if report, ok := kind.(outageReport); ok {
		return nil, report.cause
	}
	items, err := c.getAll(kind)
	maps.DeleteFunc(items, func(_ string, item ld.VersionedData) bool { return item.IsDeleted() })
	return items, err
}

// getAll reads all items of a kind. Malformed rows are left out and logged.
func (c *core) getAll(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	items, err := c.readAll(kind)
	if err != nil {
		return nil, c.observeRead(err)
	}
	c.unstorable.mergeInto(items, c.namespace(kind))
	return items, nil
}

// readAll decodes the rows of a page on all processors while the next page is
// on its way.
func (c *core) readAll(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	processors := runtime.GOMAXPROCS(0)
	var decoding errgroup.Group
	decoding.SetLimit(2 * processors) // a page under way and one behind it
	var mu sync.Mutex
	items := make(map[string]ld.VersionedData)
	err := c.table.query(c.ctx, c.namespace(kind), c.readsConsistently(), func(rows []row) {
		for part := range slices.Chunk(rows, len(rows)/processors+1) {
			decoding.Go(func() error {
				decoded := c.decodeAll(kind, part)
				mu.Lock()
				defer mu.Unlock()
				for i, item := range decoded {
					if item != nil {
						items[part[i].key] = item
					}
				}
				return nil
			})
		}
	})
	_ = decoding.Wait()
	return items, err
}

// decodeAll returns nil in the place of a malformed row.
func (c *core) decodeAll(kind ld.VersionedDataKind, rows []row) []ld.VersionedData {
	items := make([]ld.VersionedData, len(rows))
	for i, r := range rows {
		item, err := r.decode(kind)
		if err != nil {
			c.logMalformed(r, err)
			continue
		}
		items[i] = item
	}
	return items
}

// logMalformed logs a malformed row once, until its version changes.
func (c *core) logMalformed(r row, err error) {
	if logged, found := c.malformed.Swap(r.rowKey, r.version); !found || logged != r.version {
		c.loggers.Errorf("Table %q: %s", c.table.name, err)
	}
}

// UpsertInternal stores an item unless the table has the same version of it or
// a newer one, and returns what the table has then. An item that DynamoDB can't
// hold is no error: see unstorableError.
func (c *core) UpsertInternal(kind ld.VersionedDataKind, item ld.VersionedData) (ld.VersionedData, error) {
	r, err := encodeRow(c.namespace(kind), item)
	if err != nil {
		return c.leaveOut(kind, r.rowKey, item, err)
	}
	if kept := c.unstorable.newest(r.rowKey, nil); kept != nil && kept.GetVersion() >= item.GetVersion() {
		return kept, nil
	}
	stored, err := c.storeNewest(kind, r, item)
	if err != nil {
		return nil, c.observeWrite(err)
	}
	return c.unstorable.newest(r.rowKey, stored), nil
}

// storeNewest returns the item, or the one in the table if that isn't older. It
// tries again where, by then, the one that had been newer is gone.
func (c *core) storeNewest(kind ld.VersionedDataKind, r row, item ld.VersionedData) (ld.VersionedData, error) {
	c.beginWrite()
	defer c.endWrite()
	for {
		stored, err := c.table.putIfNewer(c.ctx, r)
		if stored || err != nil {
			return item, err
		}
		winner, err := c.read(kind, r.rowKey, true)
		if err != nil {
			return nil, err
		}
		if winner != nil && winner.GetVersion() >= item.GetVersion() {
			return winner, nil
		}
	}
}

// leaveOut keeps an item that can't be stored in memory if it is newer than the
// table's, and returns what is served from now on.
func (c *core) leaveOut(
	kind ld.VersionedDataKind, key rowKey, item ld.VersionedData, reason error,
) (ld.VersionedData, error) {
	if !canBeSortKey(key.key) {
		c.keep(key, item, reason)
		return nil, nil
	}
	stored, err := c.read(kind, key, true)
	if err != nil && !isMalformed(err) {
		return nil, c.observeRead(err)
	}
	if stored == nil || stored.GetVersion() < item.GetVersion() {
		c.keep(key, item, reason)
	}
	return c.unstorable.newest(key, stored), nil
}

func (c *core) keep(key rowKey, item ld.VersionedData, reason error) {
	if c.unstorable.keep(key, item) {
		c.loggers.Errorf("Left out version %d of an item of table %q, which only this process has now: %s",
			item.GetVersion(), c.table.name, reason)
	}
}

// InitializedInternal tells whether the table holds a full data set. Where it
// can't be asked, the answer is no and the log has the cause.
func (c *core) InitializedInternal() bool {
	inited, err := c.inited()
	if c.observeRead(err) != nil {
		c.outage.remind()
	}
	return inited
}

func (c *core) inited() (bool, error) {
	_, found, err := c.table.get(c.ctx, c.initedKey(), true)
	return found, err
}

// IsStoreAvailable tells whether the table can be used again after an outage. Of
// a closed store it says yes, so that the SDK asks no more.
func (c *core) IsStoreAvailable() bool {
	if c.isClosed() {
		return true
	}
	if !c.isReachable() {
		return false
	}
	c.outage.end()
	return true
}

func (c *core) isClosed() bool { return c.ctx.Err() != nil }

func (c *core) isReachable() bool {
	if c.outage.held() {
		return false
	}
	_, _, err := c.table.get(c.ctx, c.initedKey(), true, withoutRetries)
	return c.observeRead(err) == nil
}

// observeWrite notes what a failed update or Init says of the table, and returns
// its error.
func (c *core) observeWrite(err error) error {
	if c.isOutage(err) {
		c.outage.begin(err, false)
	}
	return err
}

// observeRead does the same for a read.
func (c *core) observeRead(err error) error {
	if c.isOutage(err) {
		c.outage.begin(err, true)
	}
	return err
}

func (c *core) isOutage(err error) bool { return err != nil && !c.isClosed() && !isMalformed(err) }

func isMalformed(err error) bool {
	var malformed *malformedRowError
	return errors.As(err, &malformed)
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

func (c *core) rowKey(kind ld.VersionedDataKind, key string) rowKey {
	return rowKey{c.namespace(kind), key}
}

func (c *core) initedKey() rowKey { return rowKey{c.prefixed(initedKey), c.prefixed(initedKey)} }

func (c *core) prefixed(name string) string {
	if c.prefix == "" {
		return name
	}
	return c.prefix + ":" + name
}
