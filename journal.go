package lddynamodb

import ld "gopkg.in/launchdarkly/go-server-sdk.v4"

// A journal has what this process wrote while reads of the table, or other
// updates, were under way: what they bring may be older. It is as long as that
// takes. Its user has to lock it.
type journal struct {
	clock    int // counts what was written
	running  int
	updates  map[string]journalEntry // the latest for each key
	replaced int                     // the time of the latest Init
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
		clear(j.updates)
	}
}

// update notes that an item was updated.
func (j *journal) update(key string, item ld.VersionedData) {
	if j.updates == nil {
		j.updates = make(map[string]journalEntry)
	}
	j.clock++
	j.updates[key] = journalEntry{j.clock, item}
}

// replace notes that an Init replaced everything.
func (j *journal) replace() {
	j.clock++
	j.replaced = j.clock
}

func (j *journal) replacedSince(since int) bool { return j.replaced > since }

// updatedSince returns the item of the latest update since then, or nil.
func (j *journal) updatedSince(since int, key string) ld.VersionedData {
	if entry, ok := j.updates[key]; ok && entry.at > since {
		return entry.item
	}
	return nil
}
