package lddynamodb

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"pgregory.net/rapid"
)

// TestStoresDoWhatTheModelSays tries random histories of several processes on one table, with faults that begin and
// end, and compares all that they return and write with a model. make fuzz-model tries more of them. A history that
// fails is made as short as possible and is printed step by step; -rapid.failfile and
// -rapid.seed repeat it.
func TestStoresDoWhatTheModelSays(t *testing.T) {
	table := newFixture(t).table
	gate := startGateway(t)
	check := func(t *testing.T, connected int) {
		t.Parallel()
		runs := 0
		rapid.Check(t, func(rt *rapid.T) {
			plan := drawPlan(rt, connected)
			runs++
			prefix := fmt.Sprintf("%d-%d", connected, runs)
			var w *world
			synctest.Test(t, func(t *testing.T) {
				f := &fixture{tb: t, table: table, transport: &transport{table: gate.send}, log: &logLines{}}
				f.client = f.newClient(&transport{table: gate.send})
				w = newWorld(t, f, prefix, plan)
				w.run(plan.steps)
			})
			if w.violation != "" {
				rt.Fatalf("%s\n\n%s", w.violation, strings.Join(w.history, "\n"))
			}
		})
	}
	t.Run("one connected process", func(t *testing.T) { check(t, 1) })
	t.Run("two connected processes", func(t *testing.T) { check(t, 2) })
}

// A plan is what a history is made from. It is drawn before anything runs.
type plan struct {
	processes []settings
	steps     []step
}

type settings struct {
	connected  bool
	deprecated bool
	ttl        time.Duration
	policy     StaleValuesPolicy
}

func (s settings) String() string {
	role, maker := "daemon mode", "factory"
	if s.connected {
		role = "connected"
	}
	if s.deprecated {
		maker = "deprecated constructor"
	}
	policy := []string{"EvictStaleValues", "RefreshStaleValues", "RefreshStaleValuesAsync"}[s.policy]
	return fmt.Sprintf("%s, TTL %s, %s, made by the %s", role, s.ttl, policy, maker)
}

// A step names what it is about by numbers, which fit whatever the plan has.
type step struct {
	action           int
	process, key     int
	fault, of, pause int
}

func (s step) GoString() string {
	return fmt.Sprintf("%s %d %d %d %d %d", stepNames[s.action], s.process, s.key, s.fault, s.of, s.pause)
}

// The steps, the more frequent ones several times. Those that do nothing take the place of what a failing history
// doesn't need.
var stepNames = []string{
	"nothing", "get", "get", "get", "get", "all", "all", "agree", "update", "update", "update", "delete", "publish", "publish removal",
	"Init", "Init", "late Init", "pause", "pause", "pause", "begin fault", "begin fault", "begin fault", "end faults", "end faults",
	"begin get", "begin all", "finish reads", "finish reads", "restart", "empty the table",
}

var pauses = []time.Duration{10 * time.Millisecond, 300 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 20 * time.Second}

func drawPlan(rt *rapid.T, connected int) plan {
	ttls := []time.Duration{15 * time.Second, 2 * time.Second, 0, -1}
	policies := []StaleValuesPolicy{RefreshStaleValues, RefreshStaleValuesAsync, EvictStaleValues}
	var p plan
	for i := range connected + rapid.IntRange(0, 2).Draw(rt, "readers") {
		p.processes = append(p.processes, settings{
			connected:  i < connected,
			deprecated: rapid.Bool().Draw(rt, "deprecated"),
			ttl:        rapid.SampledFrom(ttls).Draw(rt, "TTL"),
			policy:     rapid.SampledFrom(policies).Draw(rt, "policy"),
		})
	}
	p.steps = rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
		return step{
			action:  rapid.IntRange(0, len(stepNames)-1).Draw(rt, "action"),
			process: rapid.IntRange(0, 5).Draw(rt, "process"),
			key:     rapid.IntRange(0, len(modelKeys)-1).Draw(rt, "key"),
			fault:   rapid.IntRange(0, len(faultKinds)-1).Draw(rt, "fault"),
			of:      rapid.IntRange(0, len(faultTargets)-1).Draw(rt, "target"),
			pause:   rapid.IntRange(0, len(pauses)-1).Draw(rt, "pause"),
		}
	}), 30, 50).Draw(rt, "steps")
	return p
}

// A world is what a history has done so far, and what the model knows of it. Only the test's goroutine changes it, but
// for what is under the lock of the rows.
type world struct {
	t              *testing.T
	f              *fixture
	rows           *modelRows
	processes      []*process
	connected      int
	now            int // the number of the step
	began          time.Time
	events         []event // what LaunchDarkly has sent, or is about to
	history        []string
	quiet          bool // keep reads out of the history
	violation      string
	misledOfInited bool // some process could not read $inited, or only late, so it may not notice that the table was emptied
}

// An event is a new state of an item at LaunchDarkly.
type event struct {
	key modelKey
	itemState
	step int
}

func newWorld(t *testing.T, f *fixture, prefix string, p plan) *world {
	w := &world{t: t, f: f, began: time.Now()}
	w.rows = newModelRows(w, prefix)
	for i, s := range p.processes {
		process := &process{settings: s, name: fmt.Sprintf("%c", 'A'+i), w: w, transport: &transport{table: f.transport.table}}
		process.transport.setInterceptor(process.intercept)
		w.processes = append(w.processes, process)
		if s.connected {
			w.connected++
		}
		w.say("%s is %s", process.name, s)
	}
	for _, process := range w.processes {
		process.start()
	}
	return w
}

func (w *world) say(format string, arguments ...any) {
	if w.quiet {
		return
	}
	w.noteWrites()
	line := fmt.Sprintf("%9s  ", time.Since(w.began).Round(time.Millisecond)) + fmt.Sprintf(format, arguments...)
	w.history = append(w.history, line)
}

// fail keeps the first violation of the model.
func (w *world) fail(format string, arguments ...any) {
	if w.violation == "" {
		w.violation, w.quiet = fmt.Sprintf(format, arguments...), false
		w.say("*** %s", w.violation)
	}
}

func (w *world) run(steps []step) {
	for _, s := range steps {
		w.nextStep()
		w.do(s)
		for _, p := range w.processes {
			p.checkEnded()
		}
		w.takeRowViolation()
		if w.violation != "" {
			break
		}
	}
	if w.violation == "" {
		w.nextStep()
		w.calm()
		w.takeRowViolation()
	}
	for _, p := range w.processes {
		p.heal()
		p.finishReads()
		p.stop()
	}
	time.Sleep(time.Second) // see inFakeTime
}

// nextStep has the lock because the stores' writes look at the step.
func (w *world) nextStep() {
	w.rows.mu.Lock()
	defer w.rows.mu.Unlock()
	w.now++
}

// writerShare is in how many of six steps the process is a connected one.
const writerShare = 3

func (w *world) do(s step) {
	key := modelKeys[s.key]
	writer := w.processes[s.process%w.connected]
	process := writer
	if s.process >= writerShare {
		process = w.processes[(s.process-writerShare)%len(w.processes)]
	}
	switch stepNames[s.action] {
	case "get":
		process.get(key)
	case "all":
		process.all(key.kind)
	case "agree":
		process.agree(key)
	case "update":
		w.publish(key, false)
		writer.receive()
	case "delete":
		w.publish(key, true)
		writer.receive()
	case "publish":
		w.publish(key, false)
	case "publish removal":
		w.publish(key, true)
	case "Init":
		writer.init(len(w.events))
	case "late Init":
		writer.init(writer.position)
	case "pause":
		w.say("%s pass", pauses[s.pause])
		time.Sleep(pauses[s.pause])
	case "begin fault":
		process.beginFault(s.fault, s.of)
	case "end faults":
		process.heal()
	case "begin get":
		process.beginGet(key)
	case "begin all":
		process.beginAll(key.kind)
	case "finish reads":
		process.finishReads()
	case "restart":
		process.restart()
	case "empty the table":
		w.rows.empty()
	}
}

// publish makes LaunchDarkly have a new version of an item, or remove it.
func (w *world) publish(key modelKey, gone bool) {
	state := w.at(len(w.events))[key]
	if gone && (state.version == 0 || state.gone) {
		return
	}
	w.events = append(w.events, event{key, itemState{state.version + 1, gone}, w.now})
}

// at returns LaunchDarkly's state after some of the events.
func (w *world) at(position int) map[modelKey]itemState {
	states := make(map[modelKey]itemState)
	for _, e := range w.events[:position] {
		states[e.key] = e.itemState
	}
	return states
}

// published returns the step in which LaunchDarkly made a version, if it did.
func (w *world) published(key modelKey, version int) (step int, is itemState) {
	for _, e := range w.events {
		if e.key == key && e.version == version {
			return e.step, e.itemState
		}
	}
	return 0, itemState{}
}

// calm ends all faults, lets time pass and checks that everything is as it has to be: everybody has what LaunchDarkly
// has.
func (w *world) calm() {
	w.say("all faults end")
	for _, p := range w.processes {
		p.heal()
		p.finishReads()
	}
	time.Sleep(30 * time.Second)
	w.say("30 seconds have passed")
	for _, p := range w.processes[:w.connected] {
		// With more than one, an older Init of another process may have been the last.
		if w.connected > 1 || !p.inited || w.rows.emptiedAt > 0 && w.misledOfInited || w.rows.emptiedAt > p.initedAt && !p.fillsAgain() {
			p.init(len(w.events))
			clear(p.leftOut) // The table takes it.
			clear(p.mayStay)
		}
	}
	w.nextStep()
	w.say("everybody reads everything three times, in 41 seconds")
	// The first reads show what was there before, and make the stores look.
	for _, pause := range []time.Duration{20 * time.Second, 20 * time.Second, time.Second} {
		for _, p := range w.processes {
			p.readEverything()
		}
		time.Sleep(pause)
	}
	w.checkTable()
	for _, p := range w.processes {
		p.checkCalm()
	}
}

// fillsAgain reports whether the process fills a table that was emptied, or has done so: where it misses an item that it
// keeps and that no update has brought back, unless $inited was denied, late or not there yet.
func (p *process) fillsAgain() bool {
	p.w.rows.mu.Lock()
	defer p.w.rows.mu.Unlock()
	isMissing := func(key modelKey) bool { return p.latest(key).isItem() && !p.w.rows.rows[key.String()].isItem() }
	return p.ttl > 0 && !p.w.misledOfInited && p.w.rows.emptiedUninited <= p.initedAt && (p.w.rows.inited || slices.ContainsFunc(modelKeys, isMissing))
}

func (p *process) readEverything() {
	p.w.quiet = true
	defer func() { p.w.quiet = false }()
	for _, kind := range ld.VersionedDataKinds {
		p.all(kind)
	}
	for _, key := range modelKeys {
		p.get(key)
	}
}

// A process is a store, and what it was sent and has returned since it was made.
type process struct {
	settings
	name       string
	w          *world
	store      ld.FeatureStore
	transport  *transport
	faults     []modelFault
	faultEnd   time.Time
	reads      []*readUnderWay
	position   int // of what it has from LaunchDarkly, among the events; a restart keeps it
	inited     bool
	initedAt   int   // the step
	inits      []int // the steps of all
	initing    bool  // has the lock of the rows, as the deliveries do
	deliveries map[modelKey][]delivery
	knew       map[modelKey]bool // it was sent the item, or has returned it
	sent       map[modelKey]bool // it was sent the item
	mayStay    map[modelKey]bool // an Init left it out, which may be refused, and it had not been sent it
	leftOut    map[modelKey]bool // an Init left it out, and it had not known it
	seen       map[modelKey]sighting
}

func (p *process) start() {
	options := []FeatureStoreOption{
		ClientConfig(p.w.f.awsConfig(p.transport)), Logger(p.w.f.log), Prefix(p.w.rows.prefix), CacheTTL(p.ttl), StaleValues(p.policy),
	}
	var err error
	if p.deprecated {
		p.store, err = NewDynamoDBFeatureStore(p.w.f.table, options...)
	} else {
		var factory ld.FeatureStoreFactory
		factory, err = NewDynamoDBFeatureStoreFactory(p.w.f.table, options...)
		require.NoError(p.w.t, err)
		config := configLoggingTo(p.w.f.log)
		config.UseLdd = !p.connected
		p.store, err = factory(config)
	}
	require.NoError(p.w.t, err)
	p.inited = false
	p.deliveries = make(map[modelKey][]delivery)
	p.knew, p.sent, p.seen = make(map[modelKey]bool), make(map[modelKey]bool), make(map[modelKey]sighting)
	p.leftOut, p.mayStay = make(map[modelKey]bool), make(map[modelKey]bool)
	synctest.Wait() // for what it does in the background
}

func (p *process) stop() { _ = p.store.(io.Closer).Close() }

func (p *process) restart() {
	p.finishReads()
	p.w.say("%s is closed and made again", p.name)
	p.stop()
	p.start()
}

// init sends the process LaunchDarkly's state after some of the events.
func (p *process) init(position int) {
	p.position = max(position, p.position)
	states := p.w.at(p.position)
	var items []ld.VersionedData
	var names []string
	for _, key := range modelKeys {
		state := states[key]
		if state.isItem() {
			items = append(items, key.item(state.version))
			names = append(names, fmt.Sprintf("%s@%d", key, state.version))
		} else {
			state = itemState{p.seen[key].version, true} // an Init doesn't tell the version
		}
		p.leftOut[key], p.mayStay[key] = state.gone && !p.knew[key], state.gone && !p.sent[key]
		p.deliver(key, state)
	}
	p.inited, p.initedAt = true, p.w.now
	p.inits = append(p.inits, p.w.now)
	p.setIniting(true)
	p.checkWritten("Init("+strings.Join(names, ", ")+")", func() error { return p.store.Init(allData(items...)) })
	p.setIniting(false)
}

func (p *process) setIniting(initing bool) {
	p.w.rows.mu.Lock()
	defer p.w.rows.mu.Unlock()
	p.initing = initing
}

// receive sends the process the events that it has not had yet.
func (p *process) receive() {
	if !p.inited {
		p.init(len(p.w.events))
		return
	}
	for _, e := range p.w.events[p.position:] {
		p.position++
		p.leftOut[e.key], p.mayStay[e.key] = false, false
		p.deliver(e.key, e.itemState)
		if e.gone {
			p.checkWritten(fmt.Sprintf("Delete(%s@%d)", e.key, e.version), func() error {
				return p.store.Delete(e.key.kind, e.key.key, e.version)
			})
			continue
		}
		p.checkWritten(fmt.Sprintf("Upsert(%s@%d)", e.key, e.version), func() error {
			return p.store.Upsert(e.key.kind, e.key.item(e.version))
		})
	}
}

// intercept is the process's network.
func (p *process) intercept(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
	carry := func(requests int) (*http.Response, error) { return p.w.rows.carry(p, r, requests, send) }
	if f, is := p.faultOf(r); is {
		return f.answer(r, carry)
	}
	return carry(everyRequest)
}
