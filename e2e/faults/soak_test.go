package faults_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/rpc"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/tcpproxy"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

var soakTime = flag.Duration("soak", time.Minute, "how long TestSoak works")

const (
	soakKeys = 200
	// sdkPoll is how often the SDK looks whether an outage is over.
	sdkPoll = 500 * time.Millisecond
	// soakHeapSlack is what a process may use more of than before: buffers and
	// pools of its libraries. A leak in a soak of ten minutes is far larger.
	soakHeapSlack = 8 << 20
)

// Stores in three processes work on one table for a long time, with faults that
// come and go on each one's way there. Evaluations are right all the time, no
// acknowledged update is ever missing in the table, and at the end all agree,
// and goroutines and memory are back where they were.
//
// Every version of a key is made once, as at LaunchDarkly, and is upserted by
// one store or by several. An Init replaces rows whatever their version, so one
// that runs against a newer update can undo it, until the next update or Init.
// That is documented; here, so that every loss is a fault, each Init has the
// newest version of everything, deleted items included, and while it runs
// nothing newer is published.
//
// It is not parallel to other tests: it counts goroutines.
func TestSoak(t *testing.T) {
	s := newSoak(t)
	before := s.footprints()
	s.openStores()
	s.inParallel((*soakMember).reconnect) // all data is there from the start
	for _, host := range s.hosts {
		require.NoError(t, host.Call("Host.Evaluate", struct{}{}, nil))
	}

	ending := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { s.makeFaults(ending) })
	watching.Go(func() { s.watchTable(ending) })
	quarter := time.Now().Add(*soakTime / 4)
	s.inParallel(func(m *soakMember) { m.workUntil(quarter) })
	warm := s.footprints()
	end := quarter.Add(*soakTime * 3 / 4)
	s.inParallel(func(m *soakMember) { m.workUntil(end) })
	close(ending)
	watching.Wait()

	s.inParallel((*soakMember).recover)
	s.requireTableNewest()
	s.requireStoresAgree()
	for i, now := range s.footprints() {
		assert.Less(t, now.Heap, warm[i].Heap+soakHeapSlack, "bytes that the stores of host %d use", i)
	}
	t.Logf("before: %+v, warm: %+v, at the end: %+v", before, warm, s.footprints())
	s.requireNothingLeft(before)
}

// A soak is a table and all that works on it.
type soak struct {
	t       *testing.T
	table   *localtable.Table
	hosts   []*rpc.Client
	members []*soakMember

	initing sync.Mutex // held by each Init, and while a version is published

	mu           sync.Mutex
	published    map[string]int // the newest versions, by key
	version      int
	acknowledged map[string]int // the newest versions that a store has taken

	updates, inits, failures atomic.Int64
}

// A soakMember is one store and what sends it updates.
type soakMember struct {
	*soak
	host     *rpc.Client
	store    int // its number there
	mode     mode
	proxy    *tcpproxy.Proxy
	outdated bool // an update or Init failed
}

func newSoak(t *testing.T) *soak {
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(t, err)
	table, err := localtable.Create(endpoint)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, table.Delete()) })
	s := &soak{t: t, table: table, published: make(map[string]int), acknowledged: make(map[string]int)}
	// This process last: the connections to the others are part of its footprint.
	s.hosts = []*rpc.Client{startHost(t), startHost(t), startLocalHost(t)}
	for i := range soakKeys {
		s.publish(soakKey(i))
	}
	return s
}

func soakKey(i int) string { return fmt.Sprintf("flag-%d", i) }

func (s *soak) openStores() {
	for i, modes := range [][]mode{{forever, refreshAsync}, {evict, refresh}, {uncached, evict, refresh, refreshAsync}} {
		for store, mode := range modes {
			s.open(s.hosts[i], store, mode)
		}
	}
}

func (s *soak) open(host *rpc.Client, store int, mode mode) {
	m := &soakMember{soak: s, host: host, store: store, mode: mode}
	m.proxy = newProxy(s.t, strings.TrimPrefix(s.table.Endpoint, "http://"))
	settings := StoreSettings{s.table.Name, m.proxy.Address(), slices.Index(allModes, mode)}
	require.NoError(s.t, host.Call("Host.Open", settings, nil))
	s.members = append(s.members, m)
}

func (s *soak) inParallel(work func(*soakMember)) {
	var working sync.WaitGroup
	for _, m := range s.members {
		working.Go(func() { work(m) })
	}
	working.Wait()
}

// publish makes a new version of a key.
func (s *soak) publish(key string) (version int) {
	s.initing.Lock()
	defer s.initing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.published[key] = s.version
	return s.version
}

func (s *soak) newest(key string) (version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.published[key]
}

func (s *soak) allNewest() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.published)
}

func (s *soak) acknowledge(versions map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, version := range versions {
		s.acknowledged[key] = max(s.acknowledged[key], version)
	}
}

func (s *soak) allAcknowledged() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.acknowledged)
}

// workUntil does updates and a few Inits. After an error it does what the SDK
// would: it looks whether the table can be reached again, and then does an Init.
func (m *soakMember) workUntil(end time.Time) {
	look := time.Now()
	for time.Now().Before(end) {
		switch {
		case rand.IntN(500) == 0:
			m.reconnect()
		case m.outdated && time.Now().After(look):
			m.tryToRecover()
			look = time.Now().Add(sdkPoll)
		default:
			m.update()
		}
		time.Sleep(rand.N(10 * time.Millisecond))
	}
}

func (m *soakMember) tryToRecover() {
	if m.host.Call("Host.Available", m.store, nil) == nil {
		m.reconnect()
	}
}

func (m *soakMember) recover() {
	for m.outdated {
		time.Sleep(sdkPoll)
		m.tryToRecover()
	}
}

// update upserts a new version, or one that another store has been sent too.
func (m *soakMember) update() {
	key := soakKey(rand.IntN(soakKeys))
	version := m.newest(key)
	if rand.IntN(4) > 0 {
		version = m.publish(key)
	}
	if err := m.host.Call("Host.Upsert", Upsert{m.store, version, key}, nil); err != nil {
		m.failures.Add(1)
		m.outdated = true
		return
	}
	m.updates.Add(1)
	m.acknowledge(map[string]int{key: version})
}

func (m *soakMember) reconnect() {
	m.initing.Lock()
	defer m.initing.Unlock()
	versions := m.allNewest()
	err := m.host.Call("Host.Init", Init{m.store, versions}, nil)
	m.outdated = err != nil
	if err == nil {
		m.inits.Add(1)
		m.acknowledge(versions)
		return
	}
	m.failures.Add(1)
	if strings.Contains(err.Error(), "BatchWriteItem") {
		// It failed while it wrote. What was on its way to DynamoDB then may yet
		// be stored, and must not meet an update.
		time.Sleep(5 * time.Second)
	}
}

// makeFaults begins and ends faults on some of the ways to DynamoDB, and leaves
// none.
func (s *soak) makeFaults(ending <-chan struct{}) {
	var faulty sync.WaitGroup
	defer faulty.Wait()
	free := make(chan *tcpproxy.Proxy, len(s.members))
	for _, m := range s.members {
		free <- m.proxy
	}
	for {
		select {
		case <-ending:
			return
		case <-time.After(rand.N(time.Second)):
		}
		proxy := <-free
		faulty.Go(func() {
			switch rand.IntN(4) {
			case 0:
				proxy.Refuse()
			case 1:
				proxy.Behave(tcpproxy.Conduct{Swallow: true})
			case 2:
				proxy.Behave(tcpproxy.Conduct{Reset: true})
			case 3:
				proxy.Behave(tcpproxy.Conduct{Delay: rand.N(500 * time.Millisecond)})
			}
			time.Sleep(500*time.Millisecond + rand.N(1500*time.Millisecond))
			assert.NoError(s.t, proxy.Mend())
			free <- proxy
		})
	}
}

// watchTable sees all the time that the table has what was acknowledged, and
// that no row becomes older.
func (s *soak) watchTable(ending <-chan struct{}) {
	before := make(map[string]int)
	for {
		select {
		case <-ending:
			return
		case <-time.After(100 * time.Millisecond):
		}
		acknowledged := s.allAcknowledged()
		rows := s.rows()
		for key, version := range acknowledged {
			assert.GreaterOrEqual(s.t, rows[key], version, "the table lost an acknowledged update of %s", key)
		}
		for key, version := range before {
			assert.GreaterOrEqual(s.t, rows[key], version, "the row of %s became older", key)
		}
		before = rows
	}
}

// rows returns the versions in the table, by key, and sees that its items are
// LaunchDarkly's.
func (s *soak) rows() map[string]int {
	rows, err := s.table.Rows()
	assert.NoError(s.t, err)
	versions := make(map[string]int)
	for _, row := range rows {
		if row.Namespace != "features" {
			continue
		}
		versions[row.Key] = row.Version
		if !isSoakDeletion(row.Version) {
			assert.Contains(s.t, row.Item, saltOf(row.Version), "version %d of %s is not LaunchDarkly's", row.Version, row.Key)
		}
	}
	return versions
}

func (s *soak) requireTableNewest() {
	require.Equal(s.t, s.published, s.acknowledged, "in the end, all that is published is acknowledged")
	require.Equal(s.t, s.acknowledged, s.rows())
	s.t.Logf("%d updates and %d Inits succeeded, %d failed", s.updates.Load(), s.inits.Load(), s.failures.Load())
}

// requireStoresAgree sees that all stores serve what the table has. One that
// caches for ever serves only what it was sent itself, so it is sent everything.
func (s *soak) requireStoresAgree() {
	expected := s.allNewest()
	maps.DeleteFunc(expected, func(_ string, version int) bool { return isSoakDeletion(version) })
	for _, m := range s.members {
		if m.mode == forever {
			m.reconnect()
		}
		awaitNoProblem(s.t, func() string {
			var served map[string]int
			if err := m.host.Call("Host.All", m.store, &served); err != nil {
				return err.Error()
			}
			if !maps.Equal(expected, served) {
				return fmt.Sprintf("%s serves %v, should serve %v", m.mode.name, served, expected)
			}
			return ""
		})
	}
}

func (s *soak) footprints() []Footprint {
	all := make([]Footprint, len(s.hosts))
	for i, host := range s.hosts {
		require.NoError(s.t, host.Call("Host.Footprint", struct{}{}, &all[i]))
	}
	return all
}

// requireNothingLeft closes everything, and sees that processes are as before.
func (s *soak) requireNothingLeft(before []Footprint) {
	for _, host := range s.hosts {
		var wrong []string
		require.NoError(s.t, host.Call("Host.Close", struct{}{}, &wrong))
		assert.Empty(s.t, wrong)
	}
	for _, m := range s.members {
		m.proxy.Close()
	}
	awaitNoProblem(s.t, func() string {
		for i, now := range s.footprints() {
			if now.Goroutines > before[i].Goroutines || now.Heap > before[i].Heap+soakHeapSlack {
				return fmt.Sprintf("host %d had %+v, and has %+v", i, before[i], now)
			}
		}
		return ""
	})
}
