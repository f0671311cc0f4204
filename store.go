package lddynamodb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"golang.org/x/sync/semaphore"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

var _ utils.NonAtomicFeatureStoreCore = (*store)(nil)
var _ utils.FeatureStoreCoreStatus = (*store)(nil)

// A store answers reads from its replicas or the table, and writes to both. It stands where the SDK's wrapper expects a
// core and tells it that the TTL is 0, because the wrapper's own cache lets slow reads overwrite newer updates.
type store struct {
	*options
	outage  *outage
	table   *table
	loggers ldlog.Loggers

	replicas atomic.Pointer[[]*replica] // few and seldom added to, so a slice
	flights  flights
	data     dataSetState
	writes   writes
	told     told

	keeperRuns atomic.Bool

	ctx         context.Context // done when the store is closed
	cancel      context.CancelFunc
	background  background
	closing     sync.Once
	isSuccessor bool // of a closed store, for one call
}

func newStore(table *table, o *options, loggers ldlog.Loggers) *store {
	ctx, cancel := context.WithCancel(context.Background())
	s := &store{
		options: o, outage: newOutage(table.name, loggers), table: table, loggers: loggers,
		writes:  writes{turns: semaphore.NewWeighted(allWrites)},
		flights: flights{underWay: make(map[flightKey]*flight)},
		told:    told{status: StoreStatus{Available: true}},
		ctx:     ctx, cancel: cancel,
	}
	s.replicas.Store(new([]*replica))
	s.writes.mayTell.Store(true)
	return s
}

// orSuccessor returns the store that answers a call: this one or, when it is closed, one for this call alone, which keeps
// nothing, does nothing in the background, and reports what the table refuses.
func (s *store) orSuccessor() *store {
	if !s.isClosed() {
		return s
	}
	next := newStore(s.table, &options{prefix: s.prefix, reportsUnsaved: true}, s.loggers)
	next.isSuccessor = true
	return next
}

// Close ends what is under way. It returns an error if items are lost that wait to be written.
func (s *store) Close() (err error) {
	s.closing.Do(func() {
		s.cancel()
		s.background.wait()
		if n, _ := s.unsaved(); n > 0 {
			err = fmt.Errorf("closed before %d items could be written to DynamoDB table %q", n, s.table.name)
			s.loggers.Warnf("%s", err)
		}
	})
	return err
}

// GetCacheTTL keeps the SDK's wrapper from caching.
func (s *store) GetCacheTTL() time.Duration { return 0 }

// GetDiagnosticsComponentTypeName is the store's type in the SDK's diagnostics.
func (s *store) GetDiagnosticsComponentTypeName() string { return "DynamoDB" }

// GetInternal returns an item from memory, or reads it.
func (s *store) GetInternal(kind ld.VersionedDataKind, key string) (ld.VersionedData, error) {
	s = s.orSuccessor()
	r := s.replica(kind)
	if item, hit := r.get(key); hit {
		return item, nil
	}
	known := r.record(key)
	if !canBeSortKey(key) {
		return known.itemOrNil(), nil
	}
	item, err := s.read(r, target{getItem, rowKey{r.namespace, key}}, known.itemOrNil() != nil, known != nil && known.late)
	known = r.record(key)
	switch {
	case err == nil && s.cacheTTL == 0:
		served, _ := item.(ld.VersionedData)
		return served, nil
	case err == nil, known != nil && (r.keepsStale || known.isUnsaved() || known.state == removed):
		return known.itemOrNil(), nil
	case known == nil && r.servesAll(s.data.initWaits.Load()):
		return nil, nil // all that there is was known, and this was not there
	}
	return nil, err
}

// GetAllInternal returns all items of a kind from memory, or reads them.
func (s *store) GetAllInternal(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	s = s.orSuccessor()
	r := s.replica(kind)
	known, fresh := r.all()
	if fresh {
		return known, nil
	}
	items, err := s.read(r, target{query, rowKey{namespace: r.namespace}}, known != nil, false)
	if err == nil && s.cacheTTL == 0 {
		return items.(map[string]ld.VersionedData), nil
	}
	known, _ = r.all()
	if err == nil || r.servesAll(s.data.initWaits.Load()) {
		return known, nil
	}
	return nil, err
}

// read reads what memory has not answered: a row, or all rows of a kind. It returns when that is known, or when what
// was known is to be served all the same. Without a cache it returns what it has read.
func (s *store) read(r *replica, of target, isKnown, isLate bool) (value any, err error) {
	isKnown = isKnown && r.keepsStale
	if failing := s.outage.fact(of); failing != nil {
		if isKnown {
			return nil, nil // in an outage this is the hot path
		}
		return nil, failing.errorOf(of)
	}
	if s.cacheTTL == 0 {
		if value, err = s.load(r, of.key, new(atomic.Int64)); err != nil {
			s.wake()
		}
		return value, err
	}
	if isKnown && (isLate || s.flights.slow.Load() || s.staleValues == RefreshStaleValuesAsync) {
		if !s.flights.areTooMany() {
			s.fly(r, of.key)
		}
		return nil, nil
	}
	f := s.fly(r, of.key)
	if !isKnown {
		<-f.done
		return nil, f.err
	}
	if !f.wait() {
		s.flights.slow.Store(true)
		r.delay(of.key)
		return nil, nil
	}
	return nil, f.err
}

// fly has a row read, or all rows without a key, unless that is being done.
func (s *store) fly(r *replica, key string) *flight {
	f, isNew := s.flights.join(flightKey{r, key})
	if !isNew {
		return f
	}
	read := func() {
		defer s.flights.end(f)
		if _, f.err = s.load(r, key, &f.pages); f.err != nil {
			r.delay(key)
			s.wake()
		}
	}
	if !s.background.start(read) {
		read() // of a closed store: its requests end at once
	}
	return f
}

// load reads an item or, without a key, all items, whose pages it counts. It returns what is served from now on.
func (s *store) load(r *replica, key string, pages *atomic.Int64) (value any, err error) {
	if key == "" {
		return s.loadAll(r, pages)
	}
	key = strings.Clone(key) // it may be a small part of something large
	for consistent := !s.eventualReads; ; consistent = true {
		since := r.begin()
		f, err := s.find(s.ctx, s.outage.run, r, key, consistent)
		if known := r.record(key); err == nil && f.row.isNone() && known != nil && known.state == saved && !known.row.isNone() {
			_, err = s.checkDataSet()
		}
		if err != nil {
			return nil, err
		}
		if item, ok := r.note(since, consistent, f); ok {
			s.wake() // it may have taken the place of an unsaved item
			return item, nil
		}
	}
}

func (s *store) loadAll(r *replica, pages *atomic.Int64) (map[string]ld.VersionedData, error) {
	for consistent := !s.eventualReads; ; consistent = true {
		since := r.begin()
		rows, err := s.query(s.ctx, r.namespace, consistent, pages)
		all, known := make([]found, len(rows)), 0
		for i, row := range rows {
			all[i] = r.decode(row)
			if rec := r.record(row.key); rec != nil && rec.isRow() {
				known++
			}
		}
		if err == nil && r.totals().rows > known {
			_, err = s.checkDataSet()
		}
		if err != nil {
			return nil, err
		}
		if items, ok := r.noteAll(since, consistent, all); ok {
			s.wake()
			return items, nil
		}
	}
}

// find reads a row.
func (s *store) find(ctx context.Context, run runner, r *replica, key string, consistent bool) (found, error) {
	response, err := s.getRow(ctx, run, rowKey{r.namespace, key}, consistent)
	if err != nil {
		return found{}, err
	}
	if len(response.rows) == 0 {
		return found{key: key}, nil
	}
	return r.decode(response.rows[0]), nil
}

func (s *store) getRow(ctx context.Context, run runner, key rowKey, consistent bool) (*response, error) {
	return run(ctx, target{getItem, key}, func() (*response, error) { return s.table.get(ctx, key, consistent) })
}

// query reads all rows of a partition, whose pages it counts.
func (s *store) query(ctx context.Context, namespace string, consistent bool, pages *atomic.Int64) (rows []row, err error) {
	for next := ""; ; {
		response, err := s.outage.run(ctx, target{query, rowKey{namespace: namespace}}, func() (*response, error) {
			return s.table.query(ctx, namespace, consistent, next, 0)
		})
		if err != nil {
			return nil, err
		}
		pages.Add(1)
		rows = append(rows, response.rows...)
		if next = response.next; next == "" {
			return rows, nil
		}
	}
}

// IsStoreAvailable tells the SDK whether the outage is over, nothing waits to be written and no write is under way. Each
// yes is a change of the status. Too many that the SDK does not read, as during a write or while LaunchDarkly refuses its
// stream, crash the application, so there is one for each write at most. A closed store says yes to end the SDK's polling.
func (s *store) IsStoreAvailable() bool {
	return s.isClosed() || (!s.outage.isKnown() && !s.isWaiting() && s.writes.underWay.Load() == 0 && s.writes.mayTell.Swap(false))
}

func (s *store) isClosed() bool { return s.ctx.Err() != nil }

func (s *store) initedKey() rowKey { return rowKey{s.prefixed(initedKey), s.prefixed(initedKey)} }

func (s *store) prefixed(name string) string {
	if s.prefix == "" {
		return name
	}
	return s.prefix + ":" + name
}

// replica returns the replica of a kind, and makes it the first time.
func (s *store) replica(kind ld.VersionedDataKind) *replica {
	name := kind.GetNamespace()
	for {
		known := s.replicas.Load()
		for _, r := range *known {
			if r.name == name {
				return r
			}
		}
		r := &replica{
			kind: kind, name: name, namespace: s.prefixed(name), ttl: s.cacheTTL,
			keepsStale: s.cacheTTL != 0 && s.staleValues != EvictStaleValues,
			logFault:   func(fault error) { s.loggers.Errorf("Table %q: %s", s.table.name, fault) },
			clock:      clock{began: time.Now()},
			records:    xsync.NewMap[string, *record](),
		}
		replicas := append(slices.Clone(*known), r)
		s.replicas.CompareAndSwap(known, &replicas) // or another caller has added one
	}
}
