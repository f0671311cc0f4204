package lddynamodb

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A modelKey is an item that the histories are about.
type modelKey struct {
	kind ld.VersionedDataKind
	key  string
}

// Few keys, so that much happens to each.
var modelKeys = []modelKey{{ld.Features, "a"}, {ld.Features, "b"}, {ld.Segments, "a"}}

func (k modelKey) String() string { return k.kind.GetNamespace() + "/" + k.key }

func (k modelKey) item(version int) ld.VersionedData {
	if k.kind == ld.VersionedDataKind(ld.Segments) {
		return segment(k.key, version)
	}
	return flag(k.key, version)
}

// An itemState is a version of an item, or of its removal. Version zero is an item that was never there.
type itemState struct {
	version int
	gone    bool
}

func (s itemState) isItem() bool { return s.version > 0 && !s.gone }

func (s itemState) String() string {
	if s.isItem() {
		return "@" + strconv.Itoa(s.version)
	}
	return fmt.Sprintf("gone@%d", s.version)
}

// modelRows has what the table holds, from the writes that have reached it, and checks each of them.
type modelRows struct {
	w               *world
	prefix          string
	emptiedAt       int        // the step
	emptiedUninited int        // the step in which it was emptied while it had no $inited
	mu              sync.Mutex // held while a write is made, so that the order is the table's
	rows            map[string]itemState
	inited          bool
	violation       string
	writes          []string
}

func newModelRows(w *world, prefix string) *modelRows {
	return &modelRows{w: w, prefix: prefix, rows: make(map[string]itemState)}
}

// everyRequest is more than a batch has.
const everyRequest = 1 << 10

// carry has the table answer a request, a batch with the first of its requests only.
func (m *modelRows) carry(p *process, r *sentRequest, requests int, send func() (*http.Response, error)) (*http.Response, error) {
	written := r.writeRequests()
	if written == nil {
		return send()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if requests < len(written) {
		written = written[:requests]
		return sendPart(r, requests, func() (*http.Response, error) { return m.make(p, r, written, send) })
	}
	return m.make(p, r, written, send)
}

func (m *modelRows) make(
	p *process, r *sentRequest, requests []*dynamodb.WriteRequest, send func() (*http.Response, error),
) (*http.Response, error) {
	response, err := send()
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	for i, name := range rowNames(requests) {
		name = strings.ReplaceAll(name, m.prefix+":", "")
		if requests[i].PutRequest == nil {
			m.deleted(p, name)
			continue
		}
		m.put(p, r.action, name, requests[i].PutRequest.Item)
	}
	return response, nil
}

func (m *modelRows) fail(format string, arguments ...any) {
	if m.violation == "" {
		m.violation = fmt.Sprintf(format, arguments...)
	}
}

func (m *modelRows) note(p *process, format string, arguments ...any) {
	m.writes = append(m.writes, fmt.Sprintf("%9s      %s writes ", time.Since(m.w.began).Round(time.Millisecond), p.name)+
		fmt.Sprintf(format, arguments...))
}

func (m *modelRows) put(p *process, action, name string, item rawItem) {
	if !p.connected {
		m.fail("%s, which is in daemon mode, writes %s", p.name, name)
	}
	if name == initedKey+"/"+initedKey {
		m.note(p, "$inited")
		m.checkInited(p)
		m.inited = true
		return
	}
	var state itemState
	var content struct{ Deleted bool }
	err := json.Unmarshal([]byte(*item[itemAttribute].S), &content)
	state.version, _ = strconv.Atoi(*item[versionAttribute].N)
	if err != nil || state.version == 0 {
		m.fail("%s writes the row %s, which is malformed", p.name, name)
	}
	state.gone = content.Deleted
	m.note(p, "%s%s with %s", name, state, action)
	// With two connected processes, an older Init may set back what it finds.
	before := m.rows[name]
	mayGoBack := m.w.connected > 1 && p.initing
	if !mayGoBack && (state.version < before.version || state.version == before.version && state.gone != before.gone) {
		m.fail("%s sets the row %s back from %s to %s", p.name, name, before, state)
	}
	m.rows[name] = state
}

// deleted checks that a process deletes a row only within an Init, and none of what it was sent.
func (m *modelRows) deleted(p *process, name string) {
	m.note(p, "%s: deleted", name)
	for _, key := range modelKeys {
		if key.String() != name {
			continue
		}
		if latest := p.latest(key); latest.isItem() {
			m.fail("%s deletes the row %s, of which it was sent %s", p.name, name, latest)
		}
	}
	if !p.initing {
		m.fail("%s deletes the row %s outside of an Init", p.name, name)
	}
	delete(m.rows, name)
}

// checkInited checks that $inited comes last, unless what was written before may have been lost.
func (m *modelRows) checkInited(p *process) {
	if m.inited || m.w.connected > 1 || m.emptiedAt > 0 {
		return
	}
	for _, key := range modelKeys {
		// What it is sent at this moment may come later.
		latest, before := p.latest(key), p.latestBefore(key, m.w.now)
		if latest.isItem() && before.isItem() && m.rows[key.String()].version < before.version {
			m.fail("%s writes $inited before %s%s", p.name, key, before)
		}
	}
}

// empty deletes all rows, as where a table is replaced by an empty one.
func (m *modelRows) empty() {
	m.w.say("the table is emptied")
	m.mu.Lock()
	defer m.mu.Unlock()
	m.emptiedAt = m.w.now
	if !m.inited {
		m.emptiedUninited = m.w.now
	}
	if m.inited {
		key := m.prefix + ":" + initedKey
		m.w.f.deleteRow(rowKey{key, key})
	}
	for name := range m.rows {
		namespace, key, _ := strings.Cut(name, "/")
		m.w.f.deleteRow(rowKey{m.prefix + ":" + namespace, key})
	}
	m.inited = false
	clear(m.rows)
}

// noteWrites adds to the history what was written in the meantime.
func (w *world) noteWrites() {
	w.rows.mu.Lock()
	defer w.rows.mu.Unlock()
	w.history = append(w.history, w.rows.writes...)
	w.rows.writes = nil
}

// takeRowViolation fails if a write was wrong.
func (w *world) takeRowViolation() {
	w.rows.mu.Lock()
	violation := w.rows.violation
	w.rows.mu.Unlock()
	if violation != "" {
		w.fail("%s", violation)
	}
}

// checkTable checks that the table holds what the connected processes were sent.
func (w *world) checkTable() {
	w.rows.mu.Lock()
	rows, inited := maps.Clone(w.rows.rows), w.rows.inited
	w.rows.mu.Unlock()
	if !inited && !w.misledOfInited {
		w.fail("the table has no $inited")
	}
	for key, want := range w.wanted() {
		row := rows[key.String()]
		if want.isItem() && row != want {
			w.fail("the table holds %s%s, not %s", key, row, want)
		}
		if !want.isItem() && row.isItem() {
			w.fail("the table still holds %s%s, which was removed", key, row)
		}
	}
}

// wanted returns what everybody has to have when all is calm. What a process was never sent and a refused Init left out
// may still be there.
func (w *world) wanted() map[modelKey]itemState {
	p := w.processes[0]
	wanted := make(map[modelKey]itemState)
	for _, key := range modelKeys {
		if latest := p.latest(key); latest.isItem() || !p.mayStay[key] {
			wanted[key] = latest
		}
	}
	return wanted
}
