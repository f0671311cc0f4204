package lddynamodb

import (
	"hash/maphash"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

const (
	// maxAbsent is how many keys are known not to exist, at most. Beyond it all of them are forgotten.
	maxAbsent = 4_000
	// A record that is stored for the first time expires in the last half of the TTL, one that is stored again in the
	// last tenth, each at a random moment. Otherwise processes that start together would go on reading together.
	firstSpread, spread = 2, 10
	// retryPause is the least time between two reads of a row that could not be read.
	retryPause = time.Second
)

// A replica is what this process knows of one partition of the table: a record for each key, and whether there is
// anything else. Requests run without a lock. What they have found is stored by one rule, in merge.
type replica struct {
	kind       ld.VersionedDataKind
	name       string        // the kind's namespace
	namespace  string        // the same with the prefix, which is the partition key
	ttl        time.Duration // 0: no items are kept but those that wait; negative: for ever
	keepsStale bool          // items may be served after their TTL
	logFault   func(error)   // called without the lock

	clock    clock
	records  *xsync.Map[string, *record]
	complete atomic.Pointer[completeSet] // nil: there may be more than the records

	mu       sync.Mutex // held while something is stored, never across a request
	changes  uint64     // so far
	replaced uint64     // the change that last replaced everything
	listed   uint64     // the change with which all was last found that there is
	counts   recordCounts
	faults   []error // to be logged
}

// A record is what this process knows of one row. It never changes, but is replaced.
type record struct {
	item    ld.VersionedData // what is served; nil: nothing, or it isn't kept
	row     rowID            // the row that the table was last seen to have
	expires int64            // in Unix nanoseconds; 0: the next read asks the table
	change  uint64           // the number of the change that put the item there
	state   recordState
	own     bool // this process received the item from LaunchDarkly
	late    bool // the last read of it failed or took too long
	leftOut bool // the item is the tombstone of one that an Init left out
	deleted bool // the item is a tombstone, also if that isn't kept
}

type recordState uint8

const (
	saved      recordState = iota // the table has the item, or nothing
	waits                         // the item is to be written
	unstorable                    // DynamoDB can't hold the item
	malformed                     // the row is malformed; the item is the last good one
	removed                       // an Init that waits left the row out; it isn't served until it changes
)

// isUnsaved reports whether the item is one that the table does not have.
func (rec *record) isUnsaved() bool { return rec.state == waits || rec.state == unstorable }

// itemOrNil returns the item that is known, or nil. The record may be nil.
func (rec *record) itemOrNil() ld.VersionedData {
	if rec == nil {
		return nil
	}
	return rec.item
}

// isVisible reports whether All returns the record's item. The record may be nil.
func (rec *record) isVisible() bool { return rec != nil && rec.item != nil && !rec.deleted }

// isAbsent reports whether there is nothing. The record may be nil.
func (rec *record) isAbsent() bool { return rec == nil || (rec.item == nil && rec.row.isNone()) }

// isRow reports whether the record is that of a row, which others may read as well.
func (rec *record) isRow() bool {
	return !rec.row.isNone() && (rec.state == saved || rec.state == malformed)
}

func (rec *record) version() int {
	if rec.isUnsaved() {
		return rec.item.GetVersion()
	}
	return rec.row.version
}

// isNewerThan reports whether the record is newer than a row. No row is older than any.
func (rec *record) isNewerThan(row rowID) bool { return row.isNone() || rec.version() > row.version }

// isOlderThan reports whether a row is newer than the record. It is not if the record says that there is none.
func (rec *record) isOlderThan(row rowID) bool {
	return !row.isNone() && !rec.isAbsent() && row.version > rec.version()
}

// isOf reports whether a row brings nothing new: it is the record's and, if its item is unsaved, older than that.
func (rec *record) isOf(row rowID) bool {
	return rec.row.hash == row.hash && (!rec.isUnsaved() || rec.isNewerThan(row))
}

// A rowID tells a row from others with its key, by a hash of its version and JSON. The zero rowID is no row.
type rowID struct {
	hash    uint64
	version int
}

var hashSeed = maphash.MakeSeed()

func identify(r row, version int) rowID {
	return rowID{max(1, maphash.String(hashSeed, r.item)+maphash.String(hashSeed, r.version)), version}
}

func (id rowID) isNone() bool { return id.hash == 0 }

// A found is what a request has found of one row.
type found struct {
	key   string
	row   rowID            // zero: there is none
	item  ld.VersionedData // nil if there is no row, or a malformed one
	fault error            // why the row is malformed
}

// A completeSet says that the records are all there is.
type completeSet struct {
	expires int64
	items   map[string]ld.VersionedData // what All returns; nil if a record has changed since
}

// recordCounts counts records by what they say. The table was last seen to have those that are counted as rows.
type recordCounts struct{ rows, waiting, unstorable, absent int }

// record returns what is known of a key, or nil.
func (r *replica) record(key string) *record {
	known, _ := r.records.Load(key)
	return known
}

// get returns an item whose TTL has not run out; nil is one known to be absent.
func (r *replica) get(key string) (item ld.VersionedData, hit bool) {
	set, now := r.complete.Load(), r.clock.now()
	isSetFresh := set != nil && isFresh(set.expires, r.ttl, now)
	if isSetFresh {
		if item, hit = set.items[key]; hit { // quicker than its record
			return item, true
		}
	}
	rec := r.record(key)
	if rec == nil {
		return nil, false
	}
	return rec.item, isFresh(rec.expires, r.ttl, now) || (isSetFresh && rec.item != nil)
}

// all returns the complete set, or nil, and whether its TTL has not run out. With TTL zero it has what waits.
func (r *replica) all() (items map[string]ld.VersionedData, fresh bool) {
	set := r.complete.Load()
	if set == nil {
		return nil, false
	}
	if set.items == nil {
		r.mu.Lock()
		defer r.unlock()
		set = &completeSet{r.complete.Load().expires, make(map[string]ld.VersionedData)}
		for key, rec := range r.records.All() {
			if rec.isVisible() {
				set.items[key] = rec.item
			}
		}
		r.complete.Store(set)
	}
	return set.items, isFresh(set.expires, r.ttl, r.clock.now())
}

// unlock ends what holds the lock, and logs the faults that it has found.
func (r *replica) unlock() {
	faults := r.faults
	r.faults = nil
	r.mu.Unlock()
	for _, fault := range faults {
		r.logFault(fault)
	}
}

// begin returns the number of changes so far. What a consistent read finds that begins now is not older than they are.
func (r *replica) begin() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changes
}

// note stores what a read that began after so many changes has found of a row, and returns what is served from now on.
// It returns false if the read has to be made again, consistently: all was replaced meanwhile, or it may be out of date.
func (r *replica) note(since uint64, consistent bool, f found) (item ld.VersionedData, ok bool) {
	r.mu.Lock()
	defer r.unlock()
	wasMissing := r.listed > since && !f.row.isNone() && r.record(f.key) == nil // when all were read
	if r.replaced > since || wasMissing || (!consistent && r.isAhead(f)) {
		return nil, false
	}
	return r.serve(r.merge(since, f), f)
}

// isAhead reports whether what is known of a row may be newer than what a read has found that was not consistent.
func (r *replica) isAhead(f found) bool {
	known := r.record(f.key)
	return known != nil && !known.isUnsaved() && !known.isOf(f.row) && !known.isOlderThan(f.row)
}

// noteWrite does what note does for a write, which need not be made again: no Init is carried out at the same time.
func (r *replica) noteWrite(since uint64, f found) {
	r.mu.Lock()
	defer r.unlock()
	r.merge(since, f)
}

// noteAll does what note does for all rows of a partition, and returns the complete set.
func (r *replica) noteAll(since uint64, consistent bool, rows []found) (items map[string]ld.VersionedData, ok bool) {
	r.mu.Lock()
	defer r.unlock()
	if r.replaced > since {
		return nil, false
	}
	items = make(map[string]ld.VersionedData, len(rows))
	for _, f := range append(rows, r.missing(rows)...) {
		if !consistent && r.isAhead(f) {
			return nil, false
		}
		rec := r.record(f.key)
		if rec == nil || rec.late || !rec.isOf(f.row) { // else the TTL of the set is enough
			rec = r.merge(since, f)
		}
		item, ok := r.serve(rec, f)
		if !ok {
			return nil, false
		}
		if item != nil && !item.IsDeleted() {
			items[f.key] = item
		}
	}
	if r.ttl == 0 {
		return items, true
	}
	r.changes++
	r.listed = r.changes
	known := r.complete.Load()
	if known != nil && known.items != nil {
		items = known.items // the same for callers that look whether anything has changed
	}
	r.complete.Store(&completeSet{r.expiry(known == nil), items})
	return items, true
}

// missing returns what is known of rows that were not found.
func (r *replica) missing(rows []found) (missing []found) {
	isFound := make(map[string]bool, len(rows))
	for _, f := range rows {
		isFound[f.key] = true
	}
	for key, rec := range r.records.All() {
		if !isFound[key] && !rec.isAbsent() {
			missing = append(missing, found{key: key})
		}
	}
	return missing
}

// merge is the rule by which what a request has found becomes known. It returns the record that holds from now on.
func (r *replica) merge(since uint64, f found) *record {
	known := r.record(f.key)
	switch {
	case known == nil && r.ttl == 0 && f.row.isNone():
		return &record{}
	case known == nil:
		return r.store(known, f)
	case known.isOf(f.row): // first, because of two reads of the same row the second brings nothing new
		return r.keepItem(f.key, known, f.row)
	case known.change > since && !known.isOlderThan(f.row):
		return known // a later request has found out more
	case known.isUnsaved() && (f.fault != nil || known.isNewerThan(f.row)):
		return r.keepItem(f.key, known, f.row)
	case r.ttl < 0 && known.item != nil && f.fault == nil && !f.row.isNone() && f.row.version < known.version():
		return known // nobody would look again
	default:
		return r.store(known, f)
	}
}

// keepItem stores that a row was seen that does not change what is served.
func (r *replica) keepItem(key string, known *record, row rowID) *record {
	rec := *known
	rec.row, rec.expires, rec.late = row, r.expiry(false), false
	r.records.Store(key, &rec)
	return &rec
}

// store stores a row that takes the place of what was known, or that there is none.
func (r *replica) store(known *record, f found) *record {
	rec := &record{item: f.item, row: f.row, expires: r.expiry(known == nil)}
	rec.own = known != nil && known.own && !f.row.isNone() && f.row.version == known.version()
	if f.fault != nil {
		rec.state = malformed
		if known == nil || known.state != malformed || known.row.version != f.row.version {
			r.faults = append(r.faults, f.fault)
		}
		if known != nil && r.keepsStale {
			rec.item = known.item
		}
	}
	r.put(f.key, known, rec)
	return rec
}

// serve returns what is served of a row that was found, by its record, or false if that has a later row and no item.
func (r *replica) serve(rec *record, f found) (item ld.VersionedData, ok bool) {
	if r.ttl == 0 && !rec.isUnsaved() && rec.state != removed {
		return f.item, rec.row.hash == f.row.hash
	}
	return rec.item, true
}

// put makes a record that of a key, as the next change. With its item, the map of all that are visible changes.
func (r *replica) put(key string, known, rec *record) {
	r.changes++
	rec.change = r.changes
	rec.deleted = rec.item != nil && rec.item.IsDeleted()
	if r.ttl == 0 && !rec.isUnsaved() {
		rec.item = nil
	}
	r.count(known, -1)
	r.count(rec, 1)
	r.records.Store(key, rec)
	if set := r.complete.Load(); set != nil && set.items != nil && (known.isVisible() || rec.isVisible()) {
		r.complete.Store(&completeSet{expires: set.expires})
	}
	if r.counts.absent > maxAbsent {
		r.forgetAbsent()
	}
}

func (r *replica) count(rec *record, n int) {
	switch {
	case rec == nil || rec.state == removed:
	case rec.isRow():
		r.counts.rows += n
	case rec.state == waits:
		r.counts.waiting += n
	case rec.state == unstorable:
		r.counts.unstorable += n
	default:
		r.counts.absent += n
	}
}

// forgetAbsent forgets which keys are absent. Reads under way are made again, because they might bring one back.
func (r *replica) forgetAbsent() {
	for key, rec := range r.records.All() {
		if rec.isAbsent() {
			r.count(rec, -1)
			r.records.Delete(key)
		}
	}
	r.changes++
	r.replaced = r.changes
}

// decode makes what was found of a row. The row that is known is not decoded again if the record has its item.
func (r *replica) decode(row row) found {
	rec := r.record(row.key)
	if rec != nil && rec.row.hash == identify(row, 0).hash && (rec.state == removed || (rec.state == saved && rec.item != nil)) {
		return found{key: row.key, row: rec.row, item: rec.item}
	}
	item, version, err := row.decode(r.kind)
	return found{key: row.key, row: identify(row, version), item: item, fault: err}
}

// totals returns how many records there are of each sort.
func (r *replica) totals() recordCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// servesAll reports whether what is known may be served as all that there is if the table can't be asked: stale values
// may be served, the complete set is fresh, or all of it, or an Init of nothing, waits to be written.
func (r *replica) servesAll(initWaits bool) bool {
	set := r.complete.Load()
	if set == nil || r.keepsStale || isFresh(set.expires, r.ttl, r.clock.now()) {
		return set != nil
	}
	counts := r.totals()
	return counts.rows == 0 && (initWaits || counts.waiting+counts.unstorable > 0)
}

// expiry returns when something expires that is stored now: at a random moment at the end of the TTL, never after it.
func (r *replica) expiry(isFirst bool) int64 {
	switch {
	case r.ttl < 0:
		return math.MaxInt64
	case r.ttl == 0:
		return 0
	}
	part := r.ttl / spread
	if isFirst {
		part = r.ttl / firstSpread
	}
	return r.clock.now() + int64(r.ttl-rand.N(part+1))
}

// isFresh reports whether something that expires then may be served now. If the clock was set back to before it was
// stored, it may not. This is the time of day, because the monotonic clock stands still while a machine is suspended.
func isFresh(expires int64, ttl time.Duration, now int64) bool {
	return now < expires && (ttl < 0 || now >= expires-int64(ttl))
}

// A clock tells the time of day for half of what time.Now costs. It goes on with the monotonic clock, which stands still
// while a machine is suspended, and is set anew each millisecond.
type clock struct {
	began  time.Time
	due    atomic.Int64 // when it is to be set, in nanoseconds after it began
	offset atomic.Int64 // from the time since it began to the time of day
}

// now returns the time of day in Unix nanoseconds.
func (c *clock) now() int64 {
	passed := int64(time.Since(c.began))
	if passed >= c.due.Load() {
		now := time.Now() // has both clocks
		c.offset.Store(now.UnixNano() - int64(now.Sub(c.began)))
		c.due.Store(passed + int64(time.Millisecond))
	}
	return c.offset.Load() + passed
}
