package lddynamodb

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/assert"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A delivery is what a process was sent of an item, by an update or an Init.
type delivery struct {
	itemState
	step int
}

// A sighting is the latest that a process has returned of an item, or was sent: its version, and whether it was seen to
// be gone since.
type sighting struct {
	version int
	gone    bool
}

func (p *process) deliver(key modelKey, state itemState) {
	p.w.rows.mu.Lock()
	p.deliveries[key] = append(p.deliveries[key], delivery{state, p.w.now})
	p.w.rows.mu.Unlock()
	if state.isItem() {
		p.knew[key], p.sent[key] = true, true
	}
	if !p.leftOut[key] {
		p.seen[key] = sighting(state)
	}
}

// latest is what the process was sent last of an item.
func (p *process) latest(key modelKey) itemState {
	if deliveries := p.deliveries[key]; len(deliveries) > 0 {
		return deliveries[len(deliveries)-1].itemState
	}
	return itemState{}
}

// latestBefore is what the process had been sent last before a step.
func (p *process) latestBefore(key modelKey, step int) itemState {
	var latest itemState
	for _, d := range p.deliveries[key] {
		if d.step < step {
			latest = d.itemState
		}
	}
	return latest
}

// checkWritten makes a call that writes. Only a store of the deprecated constructor returns the error of what it keeps.
func (p *process) checkWritten(call string, write func() error) {
	err := write()
	p.w.say("%s.%s = %.150v", p.name, call, err)
	if err != nil && !p.deprecated {
		p.w.fail("%s returned an error for what it keeps", p.name)
	}
	if err != nil && !p.isTroubled() {
		p.w.fail("%s returned an error although nothing was wrong", p.name)
	}
}

// A readUnderWay is a call that was begun in an earlier step.
type readUnderWay struct {
	name string
	hold *hold
	done chan func() // checks the result
}

// maxKnownWait is the longest that a Get of a known item takes.
const maxKnownWait = 250 * time.Millisecond

func (p *process) get(key modelKey) { p.makeGet(key)()() }

// A read makes a call of a store, and returns what checks the result.
type read func() (check func())

func (p *process) makeGet(key modelKey) read {
	from := p.beginRead()
	known := p.serves() && p.knows(key)
	return func() func() {
		began := time.Now()
		item, err := p.store.Get(key.kind, key.key)
		took := time.Since(began)
		return func() { p.checkGet(key, item, err, took, known, from) }
	}
}

func (p *process) checkGet(key modelKey, item ld.VersionedData, err error, took time.Duration, known bool, from readBegin) {
	if err != nil {
		p.w.say("%s.Get(%s): %.150v", p.name, key, err)
		p.checkError(known)
		return
	}
	p.w.say("%s.Get(%s) = %s", p.name, key, nameOfResult(item))
	if known && took > maxKnownWait {
		p.w.fail("%s took %s to return an item that it knew", p.name, took)
	}
	p.check(key, item, from)
}

func nameOfResult(item ld.VersionedData) string {
	if item == nil {
		return "nil"
	}
	return fmt.Sprintf("@%d", item.GetVersion())
}

func (p *process) all(kind ld.VersionedDataKind) { p.makeAll(kind)()() }

func (p *process) makeAll(kind ld.VersionedDataKind) read {
	from := p.beginRead()
	known := p.serves() && p.inited
	return func() func() {
		items, err := p.store.All(kind)
		return func() { p.checkAll(kind, items, err, known, from) }
	}
}

func (p *process) checkAll(kind ld.VersionedDataKind, items map[string]ld.VersionedData, err error, known bool, from readBegin) {
	if err != nil {
		p.w.say("%s.All(%s): %.150v", p.name, kind.GetNamespace(), err)
		p.checkError(known)
		return
	}
	result := ""
	for _, key := range modelKeys {
		if item := items[key.key]; key.kind == kind && item != nil {
			result += fmt.Sprintf(" %s@%d", key, item.GetVersion())
		}
	}
	p.w.say("%s.All(%s) =%s", p.name, kind.GetNamespace(), result)
	for _, key := range modelKeys {
		if key.kind == kind {
			p.check(key, items[key.key], from)
		}
	}
}

// serves reports whether the process serves what it knows in an outage.
func (p *process) serves() bool { return p.ttl < 0 || p.ttl > 0 && p.policy != EvictStaleValues }

// knows reports whether the process must know an item, because it was sent it or has returned it, and cannot have seen
// since that it is gone.
func (p *process) knows(key modelKey) bool {
	seen := p.seen[key]
	published, _ := p.w.published(key, seen.version)
	return seen.version > 0 && !seen.gone && !p.w.goneSince(key, seen.version) &&
		p.w.rows.emptiedAt <= published && !p.w.setBackSince(published, p)
}

func (p *process) checkError(known bool) {
	if known {
		p.w.fail("%s returned an error for what it knew", p.name)
	}
	if !p.isTroubled() {
		p.w.fail("%s returned an error although nothing was wrong", p.name)
	}
}

// agree checks that Get and All of a store say the same while nothing changes.
func (p *process) agree(key modelKey) {
	first, firstError := p.store.Get(key.kind, key.key)
	all, allError := p.store.All(key.kind)
	second, secondError := p.store.Get(key.kind, key.key)
	if firstError != nil || allError != nil || secondError != nil {
		return
	}
	p.w.say("%s.Get(%s) = %s, then All has %s, then Get = %s", p.name, key,
		nameOfResult(first), nameOfResult(all[key.key]), nameOfResult(second))
	if assert.ObjectsAreEqual(first, second) && !assert.ObjectsAreEqual(first, all[key.key]) {
		p.w.fail("%s: All and Get contradict each other", p.name)
	}
}

func (p *process) beginGet(key modelKey) {
	p.begin(fmt.Sprintf("%s.Get(%s)", p.name, key), "GetItem", p.makeGet(key), key.key)
}

func (p *process) beginAll(kind ld.VersionedDataKind) {
	p.begin(fmt.Sprintf("%s.All(%s)", p.name, kind.GetNamespace()), "Query", p.makeAll(kind), kind.GetNamespace())
}

// begin starts a read whose response, if it makes a request, waits until the read is finished.
func (p *process) begin(name, action string, read read, text string) {
	f := &fixture{tb: p.w.t, transport: p.transport}
	r := &readUnderWay{name, f.holdResponse(action, text+`"`), make(chan func(), 1)}
	p.w.say("%s begins, and the response of its %s waits", name, action)
	go func() { r.done <- read() }()
	select {
	case <-r.hold.arrived:
		p.reads = append(p.reads, r)
	case check := <-r.done:
		p.transport.removeHold(r.hold)
		check()
	}
}

// removeHold makes no request wait for a hold that has met none.
func (t *transport) removeHold(h *hold) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.holds {
		if t.holds[i] == h {
			t.holds = append(t.holds[:i:i], t.holds[i+1:]...)
			return
		}
	}
}

// checkEnded checks the reads that have ended without the response that waits.
func (p *process) checkEnded() {
	p.reads = slices.DeleteFunc(p.reads, func(r *readUnderWay) bool {
		select {
		case check := <-r.done:
			close(r.hold.released)
			p.faultEnd = time.Now()
			check()
			return true
		default:
			return false
		}
	})
}

func (p *process) finishReads() {
	for _, r := range p.reads {
		close(r.hold.released)
		p.w.say("%s goes on", r.name)
		(<-r.done)()
	}
	if len(p.reads) > 0 {
		p.reads, p.faultEnd = nil, time.Now()
		p.readEverything() // It shows what these reads have left behind.
	}
}

// A readBegin is what there was when a read began.
type readBegin struct {
	step int
	seen map[modelKey]sighting
}

func (p *process) beginRead() readBegin {
	begin := readBegin{p.w.now, make(map[modelKey]sighting)}
	for key, seen := range p.seen {
		begin.seen[key] = seen
	}
	return begin
}

// check compares what a read has returned with the model.
func (p *process) check(key modelKey, item ld.VersionedData, from readBegin) {
	got := itemState{gone: true}
	if item != nil {
		got = itemState{version: item.GetVersion()}
		if _, published := p.w.published(key, got.version); published != got || !assert.ObjectsAreEqual(key.item(got.version), item) {
			p.w.fail("%s returned %s%s, which LaunchDarkly never had", p.name, key, got)
		}
	}
	if p.inited && p.w.connected == 1 {
		p.checkSent(key, got, from.step)
	}
	p.checkOrder(key, got, from)
	if item != nil {
		p.knew[key] = true
	}
	switch seen := p.seen[key]; {
	case got.isItem() && got.version >= seen.version:
		p.seen[key] = sighting{version: got.version, gone: seen.gone && got.version == seen.version && seen != from.seen[key]}
	case !got.isItem() && seen == from.seen[key]:
		p.seen[key] = sighting{seen.version, true}
	}
}

// checkSent checks that a connected process returns what it was sent, when no other one writes.
func (p *process) checkSent(key modelKey, got itemState, step int) {
	deliveries := p.deliveries[key]
	for i := len(deliveries) - 1; i >= 0; i-- {
		sent := deliveries[i]
		if got.isItem() && got == sent.itemState || !got.isItem() && !sent.isItem() {
			return
		}
		if sent.step < step { // what was the latest when the read began
			break
		}
	}
	if !got.isItem() && p.w.rows.emptiedAt > p.initedBefore(step) || got.isItem() && p.leftOut[key] {
		return
	}
	if len(deliveries) == 0 || deliveries[0].step >= step { // the read began before the first Init
		return
	}
	p.w.fail("%s returned %s%s, but was sent %s", p.name, key, got, p.latest(key))
}

// initedBefore returns the step of the latest Init before a read that began then.
func (p *process) initedBefore(step int) int {
	latest := 0
	for _, init := range p.inits {
		if init < step {
			latest = init
		}
	}
	return latest
}

// checkOrder checks that no read of a process goes behind what the process has returned or was sent before.
func (p *process) checkOrder(key modelKey, got itemState, from readBegin) {
	before := from.seen[key]
	published, _ := p.w.published(key, before.version)
	// Its own Init may have set back what it had from another process.
	replaced := p.initedAt >= from.step && (before.version > p.latest(key).version || before.gone)
	if p.w.rows.emptiedAt > published || p.w.setBackSince(published, p) || replaced {
		return
	}
	switch {
	case got.isItem() && got.version < before.version:
		p.w.fail("%s returned %s%s after @%d", p.name, key, got, before.version)
	case got.isItem() && got.version == before.version && before.gone:
		p.w.fail("%s returned %s%s after it was gone", p.name, key, got)
	case !got.isItem() && before.version > 0 && !before.gone && !p.w.goneSince(key, before.version):
		p.w.fail("%s lost %s@%d", p.name, key, before.version)
	}
}

// setBackSince reports whether another process can have set back rows to what it was sent, as an Init may.
func (w *world) setBackSince(step int, than *process) bool {
	for _, p := range w.processes {
		if w.connected > 1 && p != than && p.initedAt >= step && p.initedAt > 0 {
			return true
		}
	}
	return false
}

// goneSince reports whether LaunchDarkly has removed a version of an item.
func (w *world) goneSince(key modelKey, version int) bool {
	for _, e := range w.events {
		if e.key == key && e.version > version && e.gone {
			return true
		}
	}
	return false
}

// checkCalm checks that the process has what was written.
func (p *process) checkCalm() {
	if !p.store.Initialized() {
		p.w.fail("%s is not initialized", p.name)
	}
	if p.ttl < 0 && !p.connected {
		return // It keeps what it saw first.
	}
	for key, want := range p.w.wanted() {
		item, err := p.store.Get(key.kind, key.key)
		switch {
		case err != nil:
			p.w.fail("%s returned an error when all was calm: %v", p.name, err)
		case item == nil && want.isItem():
			p.w.fail("%s does not have %s%s when all is calm", p.name, key, want)
		case item != nil && (!want.isItem() || item.GetVersion() != want.version):
			p.w.fail("%s has %s@%d when all is calm, not %s", p.name, key, item.GetVersion(), want)
		}
	}
}
