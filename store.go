package lddynamodb

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
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
} = (*store)(nil)

// A store answers reads from its replicas or the table, and writes to both. It
// stands where the SDK's wrapper expects a core and tells it that the TTL is 0,
// because the wrapper's own cache lets slow reads overwrite newer updates and drops
// all items at each of them.
type store struct {
	outage          *outage
	table           *table
	prefix          string
	ttl             time.Duration // zero is no cache, negative is for ever
	staleValues     StaleValuesPolicy
	consistentReads bool
	reportsUnsaved  bool // an Init or update that is kept as unsaved is an error
	loggers         ldlog.Loggers

	replicas   atomic.Pointer[[]*replica] // few and seldom added to, so a slice
	addReplica sync.Mutex
	flights    flights
	data       dataSetState
	writes     writes
	keeper     keeper
	status     *statusTeller

	ctx         context.Context // done when the store is closed
	cancel      context.CancelFunc
	background  background
	closing     sync.Once
	isSuccessor bool // of a closed store, for one call
}

func newStore(table *table, loggers ldlog.Loggers, listener func(StoreStatus)) *store {
	ctx, cancel := context.WithCancel(context.Background())
	s := &store{
		outage: newOutage(table.name, loggers), table: table, loggers: loggers, consistentReads: true,
		writes: writes{turns: semaphore.NewWeighted(allWrites)},
		status: newStatusTeller(listener, ctx.Done()),
		ctx:    ctx, cancel: cancel,
	}
	s.replicas.Store(new([]*replica))
	s.writes.toldAt.Store(-1)
	return s
}

// Close ends requests that are under way and waits for the work in the background. It
// returns an error if items are lost that wait to be written.
func (s *store) Close() (err error) {
	s.closing.Do(func() {
		s.cancel()
		s.background.wait()
		if n := s.currentStatus().Unsaved; n > 0 {
			err = fmt.Errorf("closed with %d items that DynamoDB table %q does not have", n, s.table.name)
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
	if s.isClosed() {
		return s.successor().GetInternal(kind, key)
	}
	r := s.replica(kind)
	if item, hit := r.get(key); hit {
		return item, nil
	}
	rec := r.record(key)
	if !canBeSortKey(key) {
		return rec.known(), nil
	}
	if failing := s.outage.fact(target{getItem, rowKey{namespace: r.namespace}}); failing != nil {
		if rec.known() != nil && r.keepsStale {
			return rec.item, nil // in an outage this is the hot path
		}
		return s.lastKnown(r, key, failing.errorFor(target{getItem, rowKey{r.namespace, key}}))
	}
	if s.ttl == 0 {
		item, err := s.load(r, key)
		if err != nil {
			return s.lastKnown(r, key, err)
		}
		return item, nil
	}
	return s.miss(r, key, rec)
}

// miss reads an item, alone or with others who ask for it. What is known is served
// if that takes long.
func (s *store) miss(r *replica, key string, rec *record) (ld.VersionedData, error) {
	patience := forever
	if rec.known() != nil && r.keepsStale {
		patience = getPatience
		if s.flights.slow.Load() || rec.late || s.staleValues == RefreshStaleValuesAsync {
			s.refresh(r, key)
			return rec.item, nil
		}
	}
	f := s.read(r, key)
	if !f.wait(patience) {
		s.flights.slow.Store(true)
		r.delay(key)
		return r.record(key).known(), nil
	}
	if f.err != nil {
		return s.lastKnown(r, key, f.err)
	}
	return r.record(key).known(), nil
}

// lastKnown answers a read that failed.
func (s *store) lastKnown(r *replica, key string, err error) (ld.VersionedData, error) {
	s.wake()
	rec := r.record(key)
	if rec != nil && (r.keepsStale || rec.isKept() || rec.state == removed) {
		return rec.item, nil
	}
	if r.keepsStale && r.complete.Load() != nil {
		return nil, nil // all that there is was known, and this was not there
	}
	return nil, err
}

// GetAllInternal returns all items of a kind from memory, or reads them.
func (s *store) GetAllInternal(kind ld.VersionedDataKind) (map[string]ld.VersionedData, error) {
	if s.isClosed() {
		return s.successor().GetAllInternal(kind)
	}
	r := s.replica(kind)
	known, fresh := r.all()
	if fresh {
		return known, nil
	}
	keep := known != nil && r.keepsStale
	if failing := s.outage.fact(target{query, rowKey{namespace: r.namespace}}); failing != nil {
		return s.lastKnownAll(r, failing.errorFor(target{query, rowKey{namespace: r.namespace}}))
	}
	if s.ttl == 0 {
		items, err := s.loadAll(r, func() {})
		if err != nil {
			return s.lastKnownAll(r, err)
		}
		return items, nil
	}
	patience := forever
	if keep {
		patience = allPatience
		if s.flights.slow.Load() || s.staleValues == RefreshStaleValuesAsync {
			s.refresh(r, "")
			return known, nil
		}
	}
	f := s.read(r, "")
	if !f.wait(patience) {
		s.flights.slow.Store(true)
		return known, nil
	}
	if f.err != nil {
		return s.lastKnownAll(r, f.err)
	}
	items, _ := r.all()
	return items, nil
}

// lastKnownAll answers a read of all items that failed.
func (s *store) lastKnownAll(r *replica, err error) (map[string]ld.VersionedData, error) {
	s.wake()
	if known, _ := r.all(); known != nil && (r.keepsStale || r.isKept()) {
		return known, nil
	}
	return nil, err
}

// read has a row read, or all rows without a key, unless that is being done.
func (s *store) read(r *replica, key string) *flight {
	var pages atomic.Int64
	f, isNew := s.flights.join(flightKey{r, key}, pages.Load)
	if !isNew {
		return f
	}
	key = strings.Clone(key) // it may be a small part of something large
	fly := func() {
		defer s.flights.end(flightKey{r, key}, f)
		f.run(func() (err error) {
			if key == "" {
				_, err = s.loadAll(r, func() { pages.Add(1) })
			} else {
				_, err = s.load(r, key)
			}
			return err
		})
		if f.err != nil {
			r.delay(key)
			s.wake()
		}
	}
	if !s.background.start(fly) {
		defer s.flights.end(flightKey{r, key}, f)
		f.run(func() error { return s.ctx.Err() })
	}
	return f
}

// refresh has a row read that nobody waits for, unless many others are.
func (s *store) refresh(r *replica, key string) {
	if !s.flights.areTooMany() {
		s.read(r, key)
	}
}

// load reads an item, and returns what is served from now on.
func (s *store) load(r *replica, key string) (ld.VersionedData, error) {
	consistent := s.readsConsistently()
	for {
		since := r.begin()
		f, err := s.find(s.outage.run, r, key, consistent)
		if err != nil {
			return nil, err
		}
		rec := r.record(key)
		if !consistent && rec.mayBeNewerThan(f.row) {
			consistent = true
			continue
		}
		if rec.hasRow() && f.row.isNone() {
			if err := s.checkDataSet(s.outage.run); err != nil {
				return nil, err
			}
		}
		if item, ok := r.note(since, &f); ok {
			s.logMalformed(f)
			return item, nil
		}
	}
}

// A runner makes a request to the table: outage.run or outage.try.
type runner func(ctx context.Context, of target, request func() error) error

// find reads a row.
func (s *store) find(run runner, r *replica, key string, consistent bool) (found, error) {
	response, err := s.getRow(run, rowKey{r.namespace, key}, consistent)
	if err != nil {
		return found{}, err
	}
	defer response.release()
	if len(response.rows) == 0 {
		return found{key: key}, nil
	}
	return r.decode(response.rows[0]), nil
}

func (s *store) getRow(run runner, key rowKey, consistent bool) (response *response, err error) {
	err = run(s.ctx, target{getItem, key}, func() (err error) {
		response, err = s.table.get(s.ctx, key, consistent)
		return err
	})
	return response, err
}

// loadAll reads all items of a kind, and calls a function after each page.
func (s *store) loadAll(r *replica, progress func()) (map[string]ld.VersionedData, error) {
	consistent := s.readsConsistently()
	for {
		since := r.begin()
		rows, err := s.findAll(r, consistent, progress)
		if err != nil {
			return nil, err
		}
		if !consistent && r.isAhead(rows) {
			consistent = true
			continue
		}
		if r.hasMoreRows(len(rows)) {
			if err := s.checkDataSet(s.outage.run); err != nil {
				return nil, err
			}
		}
		if items, ok := r.noteAll(since, rows); ok {
			for _, f := range rows {
				s.logMalformed(f)
			}
			return items, nil
		}
	}
}

// findAll reads all rows of a partition. It decodes those of a page on all processors,
// while the next page is on its way.
func (s *store) findAll(r *replica, consistent bool, progress func()) ([]found, error) {
	var mu sync.Mutex
	rows := make([]found, 0, r.size())
	err := s.query(r.namespace, consistent, func(page []row) {
		progress()
		var decoding group
		for part := range slices.Chunk(page, len(page)/runtime.GOMAXPROCS(0)+1) {
			decoding.start(func() {
				decoded := make([]found, len(part))
				for i, row := range part {
					decoded[i] = r.decode(row)
				}
				mu.Lock()
				defer mu.Unlock()
				rows = append(rows, decoded...)
			})
		}
		decoding.wait()
	})
	return rows, err
}

// query reads all rows of a partition, and calls a function with those of each page
// while it asks for the next one. The rows are valid during the call.
func (s *store) query(namespace string, consistent bool, page func([]row)) error {
	var pages group
	defer pages.wait()
	var next *rowKey
	for {
		var response *response
		err := s.outage.run(s.ctx, target{query, rowKey{namespace: namespace}}, func() (err error) {
			response, err = s.table.query(s.ctx, namespace, consistent, next, 0)
			return err
		})
		if err != nil {
			return err
		}
		next = response.next
		pages.start(func() {
			defer response.release()
			page(response.rows)
		})
		if next == nil {
			return nil
		}
	}
}

func (s *store) logMalformed(f found) {
	if f.isNew {
		s.loggers.Errorf("Table %q: %s", s.table.name, f.fault)
	}
}

// IsStoreAvailable tells the SDK that an outage is over, that nothing waits to be
// written, and that no write is under way: a change of the status that nobody reads
// can end in a crash of the application, and the SDK reads none during a write, or
// while LaunchDarkly refuses its stream. So it is told a second time only if it has
// written something since. Of a closed store it asks no more once it has a yes.
func (s *store) IsStoreAvailable() bool {
	return s.isClosed() || (!s.outage.isKnown() && !s.isWaiting() && s.writes.mayTell())
}

func (s *store) readsConsistently() bool { return s.consistentReads || s.writes.areRecent() }

func (s *store) isClosed() bool { return s.ctx.Err() != nil }

func (s *store) namespace(kind ld.VersionedDataKind) string { return s.prefixed(kind.GetNamespace()) }

func (s *store) initedKey() rowKey { return rowKey{s.prefixed(initedKey), s.prefixed(initedKey)} }

func (s *store) prefixed(name string) string {
	if s.prefix == "" {
		return name
	}
	return s.prefix + ":" + name
}

// replica returns the replica of a kind.
func (s *store) replica(kind ld.VersionedDataKind) *replica {
	name := kind.GetNamespace()
	if r := replicaOf(*s.replicas.Load(), name); r != nil {
		return r
	}
	s.addReplica.Lock()
	defer s.addReplica.Unlock()
	known := *s.replicas.Load()
	if r := replicaOf(known, name); r != nil {
		return r
	}
	r := newReplica(kind, s.namespace(kind), s.ttl, s.ttl != 0 && s.staleValues != EvictStaleValues)
	replicas := append(slices.Clone(known), r)
	s.replicas.Store(&replicas)
	return r
}

func replicaOf(replicas []*replica, name string) *replica {
	for _, r := range replicas {
		if r.name == name {
			return r
		}
	}
	return nil
}
