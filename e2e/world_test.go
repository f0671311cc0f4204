package e2e_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/clientlog"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
)

const (
	// patience is far longer than anything takes.
	patience = 60 * time.Second
	// pause is between two looks at something that is to happen soon.
	pause = 20 * time.Millisecond
	// shortTTL lets a test wait for a cache to become stale.
	shortTTL = 200 * time.Millisecond
)

// world is a LaunchDarkly and a table, each of a test's own.
type world struct {
	server *ldserver.Server
	table  *localtable.Table
}

func newWorld(t *testing.T) *world {
	return &world{server: fixture.NewServer(t, payload.JSON()), table: fixture.NewTable(t)}
}

// factory makes stores that reach the table through the network.
func (w *world) factory(
	t *testing.T,
	network *network,
	options ...lddynamodb.FeatureStoreOption,
) ld.FeatureStoreFactory {
	config := localtable.Config(w.table.Endpoint).
		WithHTTPClient(&http.Client{Transport: network}).
		WithMaxRetries(1)
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(
		w.table.Name, append(options, lddynamodb.ClientConfig(config))...)
	require.NoError(t, err)
	return factory
}

// startStreaming starts a client that is connected to LaunchDarkly.
func (w *world) startStreaming(t *testing.T, factory ld.FeatureStoreFactory) *ld.LDClient {
	var log clientlog.Log
	client, err := ld.MakeCustomClient("sdk-test", ldconfig.Streaming(w.server.URL(), factory, &log), patience)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.Eventually(t, log.TookOutagesIn, patience, pause)
		assert.NoError(t, client.Close())
	})
	return client
}

// startDaemon starts a client that reads the table only.
func startDaemon(t *testing.T, factory ld.FeatureStoreFactory) *ld.LDClient {
	return startClient(t, ldconfig.Daemon(factory, nil))
}

// startReference starts a client that keeps its flags in the SDK's in-memory
// store: its values are those that the others must have.
func (w *world) startReference(t *testing.T) *ld.LDClient {
	return startClient(t, ldconfig.Streaming(w.server.URL(), ld.NewInMemoryFeatureStoreFactory(), nil))
}

func startClient(t *testing.T, config ld.Config) *ld.LDClient {
	client, err := ld.MakeCustomClient("sdk-test", config, patience)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	return client
}

// evaluate evaluates all flags that the payload or the server has, for the
// payload's first four users.
func (w *world) evaluate(t require.TestingT, client *ld.LDClient) []evaluation.Result {
	flags := keysOf(t, payload.JSON(), w.server.Payload())
	users, err := evaluation.Users(payload.Users())
	require.NoError(t, err)
	return evaluation.All(client, flags, users[:4])
}

func keysOf(t require.TestingT, payloads ...[]byte) []string {
	var keys []string
	known := make(map[string]bool)
	for _, p := range payloads {
		flags, err := evaluation.FlagKeys(p)
		require.NoError(t, err)
		for _, key := range flags {
			if !known[key] {
				known[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// one evaluates one flag for one user.
func one(t *testing.T, client *ld.LDClient, flag, user string) evaluation.Result {
	users, err := evaluation.Users(payload.Users())
	require.NoError(t, err)
	for _, candidate := range users {
		if candidate.GetKey() == user {
			return evaluation.One(client, flag, candidate)
		}
	}
	return evaluation.One(client, flag, ld.NewUser(user))
}

// requireServersState waits until the clients evaluate every flag as the server
// has it, and the table holds the server's items.
func (w *world) requireServersState(t *testing.T, clients ...*ld.LDClient) {
	t.Helper()
	w.requireServersValues(t, clients...)
	w.awaitTableLikeServer(t)
}

// awaitTableLikeServer waits until the table holds the server's items. If DynamoDB is
// slow, a client is ready before.
func (w *world) awaitTableLikeServer(t *testing.T) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { w.requireTableLikeServer(c) }, patience, pause)
}

func (w *world) requireServersValues(t *testing.T, clients ...*ld.LDClient) {
	t.Helper()
	expected := w.evaluate(t, w.startReference(t))
	for _, client := range clients {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.Equal(c, expected, w.evaluate(c, client))
		}, patience, pause)
	}
}

// requireTableLikeServer compares the versions of rows and items. What the
// server has deleted may be gone from the table or be a deleted item.
func (w *world) requireTableLikeServer(t require.TestingT) {
	type versioned struct {
		Version int
		Deleted bool
	}
	var data struct{ Flags, Segments map[string]versioned }
	require.NoError(t, json.Unmarshal(w.server.Payload(), &data))
	rows, err := w.table.Rows()
	require.NoError(t, err)

	inTable := map[string]map[string]versioned{"features": {}, "segments": {}}
	inited := false
	for _, row := range rows {
		if row.Namespace == "$inited" {
			inited = true
			continue
		}
		var item versioned
		require.NoError(t, json.Unmarshal([]byte(row.Item), &item), row.Key)
		require.Equal(t, row.Version, item.Version, row.Key)
		inTable[row.Namespace][row.Key] = item
	}
	require.True(t, inited, "the table does not say that its data set is complete")
	for namespace, items := range map[string]map[string]versioned{"features": data.Flags, "segments": data.Segments} {
		for key, item := range inTable[namespace] {
			if _, known := items[key]; item.Deleted && !known {
				delete(inTable[namespace], key)
			}
		}
		require.Equal(t, items, inTable[namespace], namespace)
	}
}
