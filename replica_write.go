package lddynamodb

import (
	"strings"
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A received is an item that this process has received from LaunchDarkly.
type received struct {
	item  ld.VersionedData
	row   row
	id    rowID
	fault error  // why DynamoDB can't hold the item
	isNew bool   // a fault that wasn't known of this version
	found *found // an item that can't be stored: what an Init has found in its place
}

// itemOrNil returns the item, or nil.
func (item *received) itemOrNil() ld.VersionedData {
	if item == nil {
		return nil
	}
	return item.item
}

func receive(namespace string, item ld.VersionedData) received {
	r, err := encodeRow(namespace, item)
	return received{item: item, row: r, id: identify(r, item.GetVersion()), fault: err}
}

// keep stores an item that an update brings: from now on it is served, and waits to
// be written. It returns false if nothing is to be done, or if what is known of the
// table is as new. It also returns the record that holds from now on, which may be nil.
func (r *replica) keep(item *received) (rec *record, kept bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.record(item.row.key)
	if known != nil && known.state == waits && known.item.GetVersion() == item.item.GetVersion() {
		return known, true // its sender wants to know whether it is written
	}
	if known != nil && known.state != malformed && !known.isAbsent() && known.version() >= item.item.GetVersion() {
		return known, false
	}
	return r.keepReceived(known, item), true
}

// keepReceived is keep for an item that is known to be new. The caller has the lock.
func (r *replica) keepReceived(known *record, item *received) *record {
	rec := &record{
		item: item.item, expires: r.expiry(known == nil), state: waits, own: true, deleted: item.item.IsDeleted(),
	}
	if known != nil {
		rec.row = known.row
	}
	if item.fault != nil {
		rec.state = unstorable
		item.isNew = known == nil || known.state != unstorable || known.version() != item.item.GetVersion()
	}
	r.put(item.row.key, known, rec)
	return rec
}

// keepAll stores the items of an Init in the same way, and that there are no others.
// It returns the number of changes so far.
func (r *replica) keepAll(items map[string]*received) (since uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, item := range items {
		if known := r.record(key); known == nil || known.state == malformed || known.isAbsent() ||
			known.version() <= item.item.GetVersion() {
			r.keepReceived(known, item)
		}
	}
	r.records.Range(func(key, known any) bool {
		if items[key.(string)] == nil {
			r.leaveOut(key.(string), known.(*record))
		}
		return true
	})
	r.complete.Store(&completeSet{expires: r.expiry(r.complete.Load() == nil)})
	return r.changes
}

// leaveOut stores that an Init has left out a row. What this process has put there
// is to be deleted; what others have is no longer served, until it changes.
func (r *replica) leaveOut(key string, known *record) {
	switch {
	case known.isAbsent(), known.state == removed, known.deleted:
	case known.state == unstorable && known.row.isNone():
		r.put(key, known, &record{expires: r.expiry(false)})
	case known.own:
		r.put(key, known, &record{
			item: r.kind.MakeDeletedItem(key, known.version()+1), row: known.row, expires: r.expiry(false),
			state: waits, own: true, deleted: true,
		})
	default:
		r.put(key, known, &record{row: known.row, expires: r.expiry(false), state: removed})
	}
}

// replace stores that the table has the items of an Init and no others. What was kept
// since then has come after the Init, and stays. A newer row that was read since then may
// have come before or after it, so the next read decides.
func (r *replica) replace(since uint64, items map[string]*received) {
	r.mu.Lock()
	defer r.mu.Unlock()
	expires := r.expiry(false)
	for key, item := range items {
		known := r.record(key)
		rec := r.recordOf(item)
		switch {
		case known != nil && known.isUnsaved() && known.change > since:
			r.keepItem(key, known, rec.row)
			continue
		case known.hasRow() && known.item != nil && known.change > since && known.isNewerThan(rec.row):
			expires = 0
			newer := *known
			newer.expires = 0
			rec = &newer
		default:
			rec.expires = r.expiry(known == nil)
		}
		r.put(key, known, rec)
	}
	r.records.Range(func(k, v any) bool {
		key, known := k.(string), v.(*record)
		switch {
		case items[key] != nil || known.isAbsent():
		case known.isUnsaved() && known.change > since:
			r.keepItem(key, known, rowID{})
		default:
			r.put(key, known, &record{expires: r.expiry(false)})
		}
		return true
	})
	r.changes++
	r.replaced = r.changes
	r.complete.Store(&completeSet{expires: expires})
	r.fill()
}

// recordOf returns the record of an item whose Init the table has taken.
func (r *replica) recordOf(item *received) *record {
	rec := &record{item: item.item, row: item.id, own: true, deleted: item.item.IsDeleted()}
	if item.fault != nil {
		rec.state, rec.row = unstorable, rowID{}
		if item.found != nil {
			rec.row = item.found.row
			if !rec.isNewerThan(rec.row) && item.found.fault == nil {
				rec.state, rec.item = saved, item.found.item
			}
		}
	}
	if r.ttl == 0 && rec.state == saved {
		rec.item = nil
	}
	return rec
}

// see stores that the table has a row, whose item may wait all the same.
func (r *replica) see(key string, row rowID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.record(key); known != nil && known.state == waits {
		r.keepItem(key, known, row)
	}
}

// refuse stores that DynamoDB can't hold an item that waits. It returns false if there
// is another one by now.
func (r *replica) refuse(item *received) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.record(item.row.key)
	if known == nil || known.state != waits || known.item.GetVersion() != item.item.GetVersion() {
		return false
	}
	r.keepReceived(known, item)
	return true
}

// refill stores that the table has none of the rows any more: everything that is known
// waits to be written.
func (r *replica) refill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records.Range(func(k, v any) bool {
		key, known := k.(string), v.(*record)
		rec := *known
		rec.row, rec.own = rowID{}, true
		switch {
		case known.row.isNone():
			return true
		case known.item == nil:
			rec = record{expires: known.expires}
		case known.state != unstorable:
			rec.state = waits
		}
		r.put(key, known, &rec)
		return true
	})
}

// waiting returns the items that wait to be written, by key.
func (r *replica) waiting() map[string]*record {
	if r.totals().waiting == 0 {
		return nil
	}
	waiting := make(map[string]*record)
	r.records.Range(func(key, known any) bool {
		if rec := known.(*record); rec.state == waits {
			waiting[key.(string)] = rec
		}
		return true
	})
	return waiting
}

// delay notes that a read of an item failed or takes long. From now on it is served
// at once, and not read again before a pause is over.
func (r *replica) delay(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.record(key); known != nil && known.item != nil && r.keepsStale && r.ttl > 0 {
		rec := *known
		rec.late, rec.expires = true, time.Now().Add(min(r.ttl, retryPause)).UnixNano()
		r.records.Store(strings.Clone(key), &rec) // it may be a small part of something large
	}
}
