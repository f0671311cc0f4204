package lddynamodb

import ld "gopkg.in/launchdarkly/go-server-sdk.v4"

// A journal has what came into the cache of a kind while reads of the table, or
// writes to it, were under way: what they end with may be older. It is as long
// as that takes. Its user has to lock it.
type journal struct {
	clock   int // counts what came in
	running int
	items   map[string]journalEntry // the latest of each key

	inited   int // when the table took an Init
	readAll  int // when all items were read
	overtook int // when reads that were under way became worthless
}

type journalEntry struct {
	at      int
	item    ld.VersionedData // nil where only the table knows it
	updated int              // when an update last ended
}

// begin tells that an operation begins, and returns the time to ask about when
// it ends.
func (j *journal) begin() (since int) {
	j.running++
	return j.clock
}

// end tells that an operation has ended.
func (j *journal) end() {
	j.running--
	if j.running == 0 {
		j.items = nil
	}
}

// noteRead notes an item that was read.
func (j *journal) noteRead(key string, item ld.VersionedData) {
	j.clock++
	j.set(key, journalEntry{j.clock, item, j.items[key].updated})
}

// noteUpdate notes an item that an update ended with, or nil where only the table
// knows that.
func (j *journal) noteUpdate(key string, item ld.VersionedData) {
	j.clock++
	j.set(key, journalEntry{j.clock, item, j.clock})
}

func (j *journal) set(key string, entry journalEntry) {
	if j.items == nil {
		j.items = make(map[string]journalEntry)
	}
	j.items[key] = entry
}

// noteInit notes that the table took an Init.
func (j *journal) noteInit() {
	j.clock++
	j.inited = j.clock
}

// noteReadAll notes that all items were read.
func (j *journal) noteReadAll() {
	j.clock++
	j.readAll = j.clock
}

// overtake makes the reads under way worthless.
func (j *journal) overtake() {
	j.clock++
	j.overtook = j.clock
}

func (j *journal) overtookSince(since int) bool { return j.overtook > since }

func (j *journal) readAllSince(since int) bool { return j.readAll > since }

func (j *journal) initedSince(since int) bool { return j.inited > since }

// itemSince returns the item that came in last for a key since then, or nil.
func (j *journal) itemSince(since int, key string) ld.VersionedData {
	if entry := j.items[key]; entry.at > since {
		return entry.item
	}
	return nil
}

// isUnsureSince tells whether what came in last for a key since then is known
// only to the table.
func (j *journal) isUnsureSince(since int, key string) bool {
	entry := j.items[key]
	return entry.at > since && entry.item == nil
}

// isNewer tells whether the first of two items has the higher version. Nil is
// older than any.
func isNewer(a, b ld.VersionedData) bool {
	return a != nil && (b == nil || a.GetVersion() > b.GetVersion())
}
