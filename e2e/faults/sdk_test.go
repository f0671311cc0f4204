package faults_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
)

// An sdkApp evaluates flags with SDKs: one that is connected to a LaunchDarkly,
// and one in daemon mode. A store that caches for ever never sees what others
// write, so then it is the first one only.
type sdkApp struct {
	f       *fixture
	server  *ldserver.Server
	store   *watchedStore
	clients []*ld.LDClient // the connected one first

	version int            // of the latest change at LaunchDarkly
	flags   map[string]int // their versions at LaunchDarkly
}

func newSDKApp(f *fixture, mode mode) *sdkApp {
	a := &sdkApp{f: f, version: 1, flags: make(map[string]int)}
	for i := range initialFlags {
		a.flags[fmt.Sprintf("flag-%d", i)] = a.version
	}
	a.flags[checkout] = a.version
	var err error
	a.server, err = ldserver.Start(a.payload())
	require.NoError(f.t, err)
	f.t.Cleanup(func() { assert.NoError(f.t, a.server.Close()) })

	a.start(ldconfig.Streaming(a.server.URL(), a.watchedFactory(), nil))
	if mode != forever {
		a.start(ldconfig.Daemon(f.factory(), nil))
	}
	awaitNoProblem(f.t, a.problem)
	return a
}

func (a *sdkApp) start(config ld.Config) {
	client, err := ld.MakeCustomClient("sdk-test", config, patience)
	require.NoError(a.f.t, err)
	a.f.t.Cleanup(func() { assert.NoError(a.f.t, client.Close()) })
	a.clients = append(a.clients, client)
}

func (a *sdkApp) payload() []byte {
	flags := make(map[string]json.RawMessage, len(a.flags))
	for key, version := range a.flags {
		flags[key] = servedFlag(key, version)
	}
	payload, err := json.Marshal(map[string]interface{}{"flags": flags, "segments": struct{}{}})
	require.NoError(a.f.t, err)
	return payload
}

// servedFlag is a flag whose value is its version.
func servedFlag(key string, version int) []byte {
	return fmt.Appendf(nil, `{"key":%q,"version":%d,"on":true,"salt":"s","fallthrough":{"variation":0},"variations":[%d]}`,
		key, version, version)
}

func (a *sdkApp) replaceAll() {
	a.version++
	for key := range a.flags {
		a.flags[key] = a.version
	}
	require.NoError(a.f.t, a.server.Replace(a.payload()))
	a.store.await(a.f.t, a.version)
}

func (a *sdkApp) update() {
	a.version++
	a.flags[checkout] = a.version
	require.NoError(a.f.t, a.server.Patch("/flags/"+checkout, servedFlag(checkout, a.version)))
	a.store.await(a.f.t, a.version)
}

func (a *sdkApp) evaluations() []func() answer {
	var ways []func() answer
	for _, client := range a.clients {
		ways = append(ways, func() answer { return a.evaluate(client) })
	}
	return ways
}

func (a *sdkApp) evaluate(client *ld.LDClient) answer {
	// The error says no more than the reason does.
	version, detail, _ := client.IntVariationDetail(checkout, ld.NewUser("alice"), 0)
	switch {
	case detail.Reason.GetErrorKind() == ld.EvalErrorFlagNotFound:
		return absent
	case detail.Reason.GetKind() == ld.EvalReasonError:
		return failed
	case version < a.version:
		return lastKnown
	default:
		return newest
	}
}

// recover leaves it to the SDKs.
func (a *sdkApp) recover() {}

func (a *sdkApp) problem() string {
	for i, client := range a.clients {
		if got := a.evaluate(client); got != newest {
			return fmt.Sprintf("client %d does not evaluate to the newest version (%d)", i, got)
		}
	}
	rows := a.f.rows()
	delete(rows, "$inited/$inited")
	expected := make(map[string]int, len(a.flags))
	for key, version := range a.flags {
		expected["features/"+key] = version
	}
	if !maps.Equal(expected, rows) {
		return fmt.Sprintf("the table has %v, should have %v", rows, expected)
	}
	return ""
}

func (a *sdkApp) watchedFactory() ld.FeatureStoreFactory {
	factory := a.f.factory()
	return func(config ld.Config) (ld.FeatureStore, error) {
		store, err := factory(config)
		if err != nil {
			return nil, err
		}
		a.store = &watchedStore{FeatureStoreWrapper: store.(*utils.FeatureStoreWrapper), f: a.f}
		return a.store, nil
	}
}

// A watchedStore knows what the SDK has told it of checkout, and which updates
// it acknowledged and lost. The SDK sees its status.
type watchedStore struct {
	*utils.FeatureStoreWrapper
	f *fixture

	mu      sync.Mutex
	version int
	updates updateCount
}

func (s *watchedStore) Init(data map[ld.VersionedDataKind]map[string]ld.VersionedData) error {
	err := s.FeatureStoreWrapper.Init(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = max(s.version, data[ld.Features][checkout].GetVersion())
	return err
}

func (s *watchedStore) Upsert(kind ld.VersionedDataKind, item ld.VersionedData) error {
	err := s.FeatureStoreWrapper.Upsert(kind, item)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.updates.add(s.f, kind, item, err)
	s.version = max(s.version, item.GetVersion())
	return err
}

func (s *watchedStore) counted() updateCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.updates
}

// await waits until an Init or Upsert of that version has succeeded or failed.
func (s *watchedStore) await(t *testing.T, version int) {
	awaitNoProblem(t, func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.version < version {
			return fmt.Sprintf("the SDK has sent version %d, not yet %d", s.version, version)
		}
		return ""
	})
}
