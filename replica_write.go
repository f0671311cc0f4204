package lddynamodb

import (
	"fmt"
	"strings"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A received is an item that this process has received from LaunchDarkly.
type received struct {
	item  ld.VersionedData
	row   row
	id    rowID
	fault error // why DynamoDB can't hold the item
}

func receive(namespace string, item ld.VersionedData) *received {
	r, err := encodeRow(namespace, item)
	return &received{item: item, row: r, id: identify(r, item.GetVersion()), fault: err}
}

// keep stores an item that an update brings: from now on it is served, and waits to be written. It returns false if
// nothing is to be done, or if what is known of the table is as new. It also returns the record that holds from now on.
func (r *replica) keep(item *received) (rec *record, kept bool) {
	r.mu.Lock()
	defer r.unlock()
	known := r.record(item.row.key)
	if known.isOlderThanSent(item.item.GetVersion()) {
		return r.keepReceived(known, item), true
	}
	return known, known.state == waits && known.version() == item.item.GetVersion() // its sender asks whether it is written
}

// isOlderThanSent reports whether a version that LaunchDarkly sends is newer than the record, or than a left out one.
func (rec *record) isOlderThanSent(version int) bool {
	switch {
	case rec.isAbsent() || rec.state == malformed:
		return true
	case rec.state == removed:
		return version >= rec.version()
	case rec.leftOut:
		return version >= rec.version()-1
	default:
		return version > rec.version()
	}
}

// keepReceived is keep for an item that is known to be new. The caller has the lock.
func (r *replica) keepReceived(known *record, item *received) *record {
	rec := &record{item: item.item, expires: r.expiry(known == nil), state: waits, own: true}
	if known != nil {
		rec.row = known.row
	}
	if item.fault != nil {
		rec.state = unstorable
		if known == nil || known.state != unstorable || known.version() != item.item.GetVersion() {
			r.faults = append(r.faults, fmt.Errorf("version %d: %w; only this process has the item", item.item.GetVersion(), item.fault))
		}
	}
	r.put(item.row.key, known, rec)
	return rec
}

// keepAll stores the items of an Init in the same way, and that there are no others. It returns the number of changes.
func (r *replica) keepAll(items map[string]*received) (since uint64) {
	r.mu.Lock()
	defer r.unlock()
	for key, item := range items {
		if known := r.record(key); known.isOlderThanSent(item.item.GetVersion()) || known.version() == item.item.GetVersion() {
			r.keepReceived(known, item)
		}
	}
	for key, known := range r.records.All() {
		if items[key] == nil {
			r.leaveOut(key, known)
		}
	}
	r.complete.Store(&completeSet{expires: r.expiry(r.complete.Load() == nil)})
	return r.changes
}

// noteStored stores which items of an Init that failed the table has all the same, so that they need not wait.
func (r *replica) noteStored(since uint64, items map[string]*received, isStored func(item *received, known *record) bool) {
	r.mu.Lock()
	defer r.unlock()
	for key, item := range items {
		if item.fault == nil && isStored(item, r.record(key)) {
			r.merge(since, found{key: key, row: item.id, item: item.item})
		}
	}
}

// leaveOut stores that an Init has left out a row. What this process has put there is to be deleted; what others have put
// there isn't served until it changes.
func (r *replica) leaveOut(key string, known *record) {
	rec := &record{row: known.row, expires: r.expiry(false)}
	switch {
	case known.isAbsent(), known.state == removed, known.deleted:
		return
	case known.state == unstorable && known.row.isNone():
	case known.own:
		rec.item, rec.state, rec.own, rec.leftOut = r.kind.MakeDeletedItem(key, known.version()+1), waits, true, true
	default:
		rec.state = removed
	}
	r.put(key, known, rec)
}

// replace stores that the table has the items of an Init and no others. What was kept since then has come after the
// Init, and stays. A row that was read since then may have come before or after it, so the next read decides.
func (r *replica) replace(since uint64, items map[string]*received) {
	r.mu.Lock()
	defer r.unlock()
	expires := r.expiry(false)
	for key, item := range items {
		known := r.record(key)
		isLater := known != nil && known.change > since
		rec := &record{item: item.item, row: item.id, expires: r.expiry(known == nil), own: true}
		if item.fault != nil {
			rec.row, rec.state = rowID{}, unstorable
		}
		switch {
		case isLater && known.isUnsaved():
			r.keepItem(key, known, rec.row)
			continue
		case isLater && !known.isAbsent():
			rec.expires, expires = 0, 0
		}
		r.put(key, known, rec)
	}
	for key, known := range r.records.All() {
		switch {
		case items[key] != nil || known.isAbsent():
		case known.isUnsaved() && known.change > since:
			r.keepItem(key, known, rowID{})
		default:
			rec := &record{expires: r.expiry(false)}
			if known.change > since {
				rec.expires, expires = 0, 0
			}
			r.put(key, known, rec)
		}
	}
	r.changes++
	r.replaced = r.changes
	r.complete.Store(&completeSet{expires: expires})
}

// refuse stores that DynamoDB can't hold an item, unless there is another one by now.
func (r *replica) refuse(item *received, reason error) {
	r.mu.Lock()
	defer r.unlock()
	item.fault = fmt.Errorf("%s can't be stored: %w", item.row.rowKey, reason)
	if known := r.record(item.row.key); known != nil && known.state == waits && known.version() == item.item.GetVersion() {
		r.keepReceived(known, item)
	}
}

// refill stores that the table has none of the rows any more: everything that is known waits to be written.
func (r *replica) refill() {
	r.mu.Lock()
	defer r.unlock()
	for key, known := range r.records.All() {
		rec := *known
		rec.row, rec.own = rowID{}, true
		switch {
		case known.row.isNone(), known.state == removed:
			continue
		case known.item == nil:
			rec = record{expires: known.expires}
		case known.state != unstorable:
			rec.state = waits
		}
		r.put(key, known, &rec)
	}
}

// waiting returns the items that wait to be written, by key.
func (r *replica) waiting() map[string]*record {
	waiting := make(map[string]*record)
	for key, rec := range r.records.All() {
		if rec.state == waits {
			waiting[key] = rec
		}
	}
	return waiting
}

// delay notes that a read of an item failed or takes long. It is now served at once, and read again after a pause.
func (r *replica) delay(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.record(key); known != nil && known.item != nil && r.keepsStale && r.ttl > 0 {
		rec := *known
		rec.late, rec.expires = true, r.clock.now()+int64(min(r.ttl, retryPause))
		r.records.Store(strings.Clone(key), &rec) // it may be a small part of something large
	}
}
