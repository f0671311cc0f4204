package lddynamodb

import ld "gopkg.in/launchdarkly/go-server-sdk.v4"

// A journal has what came into the cache of a kind while reads of the table, or
// writes to it, were under way: what they end with may be older. It is as long
// as that takes. Its user has to lock it.
type journal struct {
	clock   int // counts what came in
	running int

	items map[string]journalEntry // the latest of each key
	set   map[string]ld.VersionedData
	setAt int

	// The times of the latest update, of the latest Init that the table took, and
	// of what last made reads under way worthless.
	updated, inited, overtook int
}

type journalEntry struct {
	at   int
	item ld.VersionedData
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
		j.items, j.set = nil, nil
	}
}

// noteItem notes an item that was read or written.
func (j *journal) noteItem(key string, item ld.VersionedData) {
	if j.items == nil {
		j.items = make(map[string]journalEntry)
	}
	j.clock++
	j.items[key] = journalEntry{j.clock, item}
}

// noteSet notes all items, that were read or that the table refused.
func (j *journal) noteSet(items map[string]ld.VersionedData) {
	j.clock++
	j.set, j.setAt = items, j.clock
}

// noteUpdate notes that an update has ended.
func (j *journal) noteUpdate() {
	j.clock++
	j.updated = j.clock
}

// noteInit notes that an Init has ended, which the table took.
func (j *journal) noteInit() {
	j.clock++
	j.inited = j.clock
}

// overtake makes the reads under way worthless.
func (j *journal) overtake() {
	j.clock++
	j.overtook = j.clock
}

func (j *journal) overtookSince(since int) bool { return j.overtook > since }

func (j *journal) initedSince(since int) bool { return j.inited > since }

func (j *journal) writtenSince(since int) bool { return max(j.updated, j.inited) > since }

// itemSince returns the newest of what came in for a key since then, or nil.
func (j *journal) itemSince(since int, key string) (item ld.VersionedData) {
	if entry := j.items[key]; entry.at > since {
		item = entry.item
	}
	if j.setAt > since {
		item = newer(item, j.set[key])
	}
	return item
}

// newer returns the newer of two items, the first if they are equally new.
// Either may be nil.
func newer(a, b ld.VersionedData) ld.VersionedData {
	if a == nil || b != nil && b.GetVersion() > a.GetVersion() {
		return b
	}
	return a
}
