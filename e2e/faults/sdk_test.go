package faults_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/clientlog"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
)

// An sdkApp evaluates flags with SDK clients: one that is connected to a
// LaunchDarkly, and one in daemon mode. A store that caches for ever never sees
// what others write, so then it is the first one only.
type sdkApp struct {
	f       *fixture
	server  *ldserver.Server
	store   *watchedStore  // the connected client's
	told    *clientlog.Log // of the connected client, where it is told the store's status
	clients map[process]*ld.LDClient

	version int            // of the latest change at LaunchDarkly
	flags   map[string]int // their versions at LaunchDarkly
}

func newSDKApp(f *fixture) *sdkApp {
	a := &sdkApp{f: f, version: 1, flags: make(map[string]int), clients: make(map[process]*ld.LDClient)}
	for i := range initialFlags {
		a.flags[fmt.Sprintf("flag-%d", i)] = a.version
	}
	a.flags[checkout] = a.version
	var err error
	a.server, err = ldserver.Start(a.payload())
	require.NoError(f.t, err)
	f.t.Cleanup(func() { assert.NoError(f.t, a.server.Close()) })
	return a
}

func newStreamingApp(f *fixture, mode mode, _ fault) application {
	a := newSDKApp(f)
	a.told = a.startStreaming(withStatus)
	a.startDaemon(mode)
	return a
}

// newRelayedApp hides the status from the SDK.
func newRelayedApp(f *fixture, mode mode, _ fault) application {
	a := newSDKApp(f)
	a.startStreaming(func(store *watchedStore) ld.FeatureStore { return store })
	a.startDaemon(mode)
	return a
}

// startStreaming starts the connected client, which shows the store to the SDK in
// some form.
func (a *sdkApp) startStreaming(show func(*watchedStore) ld.FeatureStore) *clientlog.Log {
	factory, log := a.watchedFactory(show)
	client, err := ld.MakeCustomClient("sdk-test", ldconfig.Streaming(a.server.URL(), factory, log), patience)
	require.NoError(a.f.t, err)
	a.f.t.Cleanup(func() { assert.NoError(a.f.t, client.Close()) })
	a.clients[connected] = client
	return log
}

// settle makes the client safe to close. A store that has had several outages
// tells the SDK of the last one's end only when it gets another update.
func (a *sdkApp) settle() {
	told := func() bool { return a.told == nil || a.told.TookOutagesIn() }
	for deadline := time.Now().Add(5 * time.Second); !told() && time.Now().Before(deadline); {
		time.Sleep(pause)
	}
	if !told() {
		a.update()
	}
	awaitNoProblem(a.f.t, func() string {
		if !told() {
			return "the SDK does not know of the end of an outage"
		}
		return ""
	})
}

func (a *sdkApp) startDaemon(mode mode) {
	if mode == forever {
		return
	}
	client, err := ld.MakeCustomClient("sdk-test", ldconfig.Daemon(a.f.factory()), patience)
	require.NoError(a.f.t, err)
	a.f.t.Cleanup(func() { assert.NoError(a.f.t, client.Close()) })
	a.clients[daemonMode] = client
}

func (a *sdkApp) watchedFactory(show func(*watchedStore) ld.FeatureStore) (ld.FeatureStoreFactory, *clientlog.Log) {
	factory, log := a.f.factory()
	return func(config ld.Config) (ld.FeatureStore, error) {
		store, err := factory(config)
		if err != nil {
			return nil, err
		}
		a.store = &watchedStore{store: store, f: a.f}
		return show(a.store), nil
	}, log
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

func (a *sdkApp) evaluations() []evaluation {
	var ways []evaluation
	for process, client := range a.clients {
		ways = append(ways, evaluation{process, func() answer { return a.evaluate(client) }})
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

func (a *sdkApp) problem() string {
	for process, client := range a.clients {
		if got := a.evaluate(client); got != newest {
			return fmt.Sprintf("client %d does not evaluate to the newest version: %s", process, got)
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

func (a *sdkApp) counted() updateCount { return a.store.counted() }

// A pollingApp has a polling client in the place of the streaming one. Since it
// polls no more often than every 30 seconds, it starts in the middle of the fault:
// what LaunchDarkly sends it then, it never sends again.
type pollingApp struct{ *sdkApp }

func newPollingApp(f *fixture, mode mode, _ fault) application {
	a := newSDKApp(f)
	a.fillTable()
	a.startDaemon(mode)
	return pollingApp{a}
}

// fillTable is what a process did that has ended since.
func (a *sdkApp) fillTable() {
	factory, log := a.f.factory()
	client, err := ld.MakeCustomClient("sdk-test", ldconfig.Polling(a.server.URL(), factory, log), patience)
	require.NoError(a.f.t, err)
	awaitNoProblem(a.f.t, a.problem) // the client may be ready before the table is
	require.NoError(a.f.t, client.Close())
	a.f.logs = nil
}

func (a pollingApp) replaceAll() {
	a.version++
	for key := range a.flags {
		a.flags[key] = a.version
	}
	require.NoError(a.f.t, a.server.Replace(a.payload()))
	factory, log := a.watchedFactory(withStatus)
	client, err := ld.MakeCustomClient("sdk-test", ldconfig.Polling(a.server.URL(), factory, log), patience)
	require.NoError(a.f.t, err)
	a.f.t.Cleanup(func() { assert.NoError(a.f.t, client.Close()) })
	a.clients[connected] = client
	a.store.await(a.f.t, a.version)
}

// update does nothing: the client would not see it before its next poll.
func (pollingApp) update() {}
