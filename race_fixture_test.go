package lddynamodb

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A raceFixture decides when requests reach the table and when their responses
// reach the store.
type raceFixture struct {
	*fixture
	t *testing.T

	mu    sync.Mutex
	holds []*hold
}

// A hold is one request that waits.
type hold struct {
	t        *testing.T
	action   string
	text     string
	early    bool // before the table gets it, not after
	arrived  chan struct{}
	released chan struct{}
}

func newRaceFixture(t *testing.T) *raceFixture {
	f := &raceFixture{fixture: newFixture(t), t: t}
	f.transport.setInterceptor(f.intercept)
	return f
}

func (f *raceFixture) intercept(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
	h := f.takeHold(r)
	if h == nil {
		return send()
	}
	if h.early {
		h.wait(r)
		return send()
	}
	response, err := send()
	h.wait(r)
	return response, err
}

func (f *raceFixture) takeHold(r *sentRequest) *hold {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, h := range f.holds {
		if h.action == r.action && strings.Contains(string(r.body), h.text) {
			f.holds = append(f.holds[:i:i], f.holds[i+1:]...)
			return h
		}
	}
	return nil
}

func (h *hold) wait(r *sentRequest) {
	close(h.arrived)
	select {
	case <-h.released:
	case <-r.http.Context().Done():
	}
}

// holdResponse makes the response to the next request of an action, with a text
// in it, wait: what it says of the table gets old.
func (f *raceFixture) holdResponse(action, text string) *hold { return f.hold(action, text, false) }

// holdRequest makes the next request of an action, with a text in it, wait
// before it reaches the table.
func (f *raceFixture) holdRequest(action, text string) *hold { return f.hold(action, text, true) }

func (f *raceFixture) hold(action, text string, early bool) *hold {
	h := &hold{f.t, action, text, early, make(chan struct{}), make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holds = append(f.holds, h)
	return h
}

// during runs a call and returns when its request is held.
func (h *hold) during(call func() error) *heldCall {
	h.t.Helper()
	c := &heldCall{h, make(chan error, 1)}
	go func() { c.result <- call() }()
	await(h.t, "the request of "+h.action, h.arrived)
	return c
}

type heldCall struct {
	*hold
	result chan error
}

// finish lets the request go on, and the call end.
func (c *heldCall) finish() {
	c.t.Helper()
	close(c.released)
	require.NoError(c.t, await(c.t, "the end of the call", c.result))
}

func get(store ld.FeatureStore, key string) func() error {
	return func() error { _, err := store.Get(ld.Features, key); return err }
}

func all(store ld.FeatureStore) func() error {
	return func() error { _, err := store.All(ld.Features); return err }
}

func upsert(store ld.FeatureStore, item ld.VersionedData) func() error {
	return func() error { return store.Upsert(ld.Features, item) }
}

func initWith(store ld.FeatureStore, items ...ld.VersionedData) func() error {
	return func() error { return store.Init(allData(items...)) }
}

// assertHas checks what a store has of the flag f, in both ways to read it.
func assertHas(t *testing.T, store ld.FeatureStore, want ld.VersionedData) {
	t.Helper()
	assertGet(t, store, ld.Features, "f", want)
	all, err := store.All(ld.Features)
	require.NoError(t, err)
	if want == nil {
		assert.NotContains(t, all, "f")
	} else {
		assert.Equal(t, want, all["f"])
	}
	assertGet(t, store, ld.Features, "f", want) // All must not have changed it
}

// assertAgreesWithTable checks that a store has of the flag f what the table has.
func (f *raceFixture) assertAgreesWithTable(store ld.FeatureStore) {
	f.t.Helper()
	item, err := f.newStore(CacheTTL(0)).Get(ld.Features, "f")
	require.NoError(f.t, err)
	assertHas(f.t, store, item)
}
