package faults_test

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

// hostVariable makes the test binary become a process of stores.
const hostVariable = "FAULTS_SOAK_HOST"

// soakTimeout is more than DynamoDB Local takes, and no eternity in a black hole.
const soakTimeout = 2 * time.Second

// becomeHost serves stores over standard input and output, where the test has
// started this process for that, and ends the process.
func becomeHost() {
	if os.Getenv(hostVariable) == "" {
		return
	}
	serveHost(struct {
		io.Reader
		io.WriteCloser
	}{os.Stdin, os.Stdout})
	os.Exit(0)
}

// startHost starts a process of stores.
func startHost(t *testing.T) *rpc.Client {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), hostVariable+"=1")
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	client := rpc.NewClient(struct {
		io.Reader
		io.WriteCloser
	}{output, input})
	t.Cleanup(func() {
		assert.NoError(t, client.Close())
		assert.NoError(t, command.Wait())
	})
	return client
}

// startLocalHost serves stores in this process.
func startLocalHost(t *testing.T) *rpc.Client {
	here, there := net.Pipe()
	go serveHost(there)
	client := rpc.NewClient(here)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

func serveHost(connection io.ReadWriteCloser) {
	server := rpc.NewServer()
	if err := server.RegisterName("Host", &soakHost{}); err != nil {
		panic(err)
	}
	server.ServeConn(connection)
}

// A soakHost has stores, and does with them what it is told over RPC.
type soakHost struct{ stores []*soakStore }

// StoreSettings are for a new store.
type StoreSettings struct {
	Table, Address string
	Mode           int // of allModes
}

// Open makes a store, which has the number that follows the last one's.
func (h *soakHost) Open(settings StoreSettings, _ *struct{}) error {
	store, err := openSoakStore(settings)
	h.stores = append(h.stores, store)
	return err
}

// Evaluate has all stores evaluate, until they are closed.
func (h *soakHost) Evaluate(struct{}, *struct{}) error {
	for _, s := range h.stores {
		s.evaluating.Go(s.evaluate)
	}
	return nil
}

// Close closes the stores, and tells what was wrong with evaluations.
func (h *soakHost) Close(_ struct{}, wrong *[]string) error {
	for _, s := range h.stores {
		if err := s.close(); err != nil {
			return err
		}
		*wrong = append(*wrong, s.wrong...)
	}
	h.stores = nil
	return nil
}

// An Upsert is one update of a store.
type Upsert struct {
	Store, Version int
	Key            string
}

// Upsert has a store do an update.
func (h *soakHost) Upsert(u Upsert, _ *struct{}) error {
	return h.stores[u.Store].Upsert(ld.Features, soakItem(u.Key, u.Version))
}

// An Init is all there is for a store: versions by key.
type Init struct {
	Store    int
	Versions map[string]int
}

// Init has a store do an Init.
func (h *soakHost) Init(i Init, _ *struct{}) error {
	data := map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: {}, ld.Segments: {}}
	for key, version := range i.Versions {
		data[ld.Features][key] = soakItem(key, version)
	}
	return h.stores[i.Store].Init(data)
}

// Available fails where a store can't reach the table: it reads what no cache
// can know.
func (h *soakHost) Available(store int, _ *struct{}) error {
	_, err := h.stores[store].Get(emptyKind{}, fmt.Sprint(rand.Int()))
	return err
}

// All returns the versions that a store serves.
func (h *soakHost) All(store int, versions *map[string]int) error {
	items, err := h.stores[store].All(ld.Features)
	*versions = make(map[string]int)
	for key, item := range items {
		(*versions)[key] = item.GetVersion()
	}
	return err
}

// A Footprint is what a process uses.
type Footprint struct {
	Goroutines int
	Heap       uint64 // bytes, garbage left out
}

// Footprint takes the footprint of the host's process.
func (h *soakHost) Footprint(_ struct{}, taken *Footprint) error {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	runtime.GC()
	runtime.GC() // empties pools, too
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	*taken = Footprint{runtime.NumGoroutine(), memory.HeapAlloc}
	return nil
}

// emptyKind is a kind without items.
type emptyKind struct {
	ld.FeatureFlagVersionedDataKind
}

func (emptyKind) GetNamespace() string { return "$empty" }

// soakItem makes an item, every fifth of them a deleted one.
func soakItem(key string, version int) ld.VersionedData {
	if isSoakDeletion(version) {
		return ld.Features.MakeDeletedItem(key, version)
	}
	return newFlag(key, version)
}

func isSoakDeletion(version int) bool { return version%5 == 0 }

// A soakStore is a store and one goroutine that evaluates flags with it.
type soakStore struct {
	ld.FeatureStore
	mode       mode
	transport  *http.Transport
	evaluating sync.WaitGroup
	closing    chan struct{}

	seen  map[string]int // versions, by key
	wrong []string
}

func openSoakStore(settings StoreSettings) (*soakStore, error) {
	s := &soakStore{
		mode:      allModes[settings.Mode],
		transport: &http.Transport{},
		closing:   make(chan struct{}),
		seen:      make(map[string]int),
	}
	// One that a factory makes would acknowledge what it only keeps.
	var err error
	s.FeatureStore, err = lddynamodb.NewDynamoDBFeatureStore(settings.Table, append(s.mode.options(),
		lddynamodb.Logger(log.New(io.Discard, "", 0)),
		lddynamodb.RequestTimeout(soakTimeout),
		lddynamodb.ClientConfig(localtable.Config("http://"+settings.Address).
			WithHTTPClient(&http.Client{Transport: s.transport})))...)
	return s, err
}

func (s *soakStore) close() error {
	close(s.closing)
	s.evaluating.Wait()
	err := s.FeatureStore.(io.Closer).Close()
	s.transport.CloseIdleConnections()
	return err
}

// evaluate evaluates random flags, now and then all of them, until the store is
// closed.
func (s *soakStore) evaluate() {
	for {
		select {
		case <-s.closing:
			return
		case <-time.After(rand.N(10 * time.Millisecond)):
		}
		if rand.IntN(20) == 0 {
			items, err := s.All(ld.Features)
			s.check(err)
			for _, item := range items {
				s.see("All", item)
			}
			continue
		}
		item, err := s.Get(ld.Features, soakKey(rand.IntN(soakKeys)))
		s.check(err)
		if item != nil {
			s.see("Get", item)
		}
		if !s.Initialized() {
			s.complain("it is not initialized any more")
		}
	}
}

// check complains about errors in the modes that promise that there are none.
func (s *soakStore) check(err error) {
	if err != nil && s.mode.keepsStale() {
		s.complain(err.Error())
	}
}

// see complains about flags that LaunchDarkly never had, and about flags that
// become older.
func (s *soakStore) see(method string, item ld.VersionedData) {
	key, version := item.GetKey(), item.GetVersion()
	if isSoakDeletion(version) || item.(*ld.FeatureFlag).Salt != saltOf(version) {
		s.complain(fmt.Sprintf("version %d of %s is not LaunchDarkly's", version, key))
	}
	if version < s.seen[key] {
		s.complain(fmt.Sprintf("%s %s returned version %d after %d", method, key, version, s.seen[key]))
	}
	s.seen[key] = max(version, s.seen[key])
}

func (s *soakStore) complain(about string) {
	if len(s.wrong) < 10 {
		s.wrong = append(s.wrong, s.mode.name+": "+about)
	}
}
