package lddynamodb

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/defaults"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/shared_test/ldtest"
)

// The contract of ld.FeatureStore, part by part. It holds for stores of every kind, so everything here is said of
// stores and tables, and nothing of caches or requests. The SDK has tests of its own for stores, which say the rest.
var contract = []struct {
	promise string
	check   func(*testing.T, *fixture)
}{
	{"Init replaces everything", checkInitReplaces},
	{"Init leaves kinds alone that it has no data of", checkInitLeavesOtherKinds},
	{"the maps of Init and All stay the caller's", checkMapsAreNotShared},
	{"an update counts only if it is newer", checkVersions},
	{"a data set can be larger than a page", checkPages},
	{"kinds can be the application's own", checkCustomKind},
	{"keys can hold any character", checkKeys},
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, part := range contract {
		for name, ttl := range ttls {
			runOnTable(t, name+"/"+part.promise, func(t *testing.T, f *fixture) {
				f.options = []FeatureStoreOption{CacheTTL(ttl)}
				part.check(t, f)
			})
		}
		// Without a cache, nothing hides what such a client reads and writes.
		runOnTable(t, "client without request options/"+part.promise, func(t *testing.T, f *fixture) {
			f.options = []FeatureStoreOption{CacheTTL(0), DynamoClient(clientWithoutOptions{f.newClient(f.transport)})}
			part.check(t, f)
		})
	}
}

func checkInitReplaces(t *testing.T, f *fixture) {
	store := f.newStore()
	require.NoError(t, store.Init(allData(flag("kept", 5), flag("changed", 5), flag("removed", 5), segment("gone", 5))))
	require.NoError(t, store.Upsert(ld.Features, flag("added later", 1)))
	require.NoError(t, store.Delete(ld.Features, "deleted", 7))
	require.NoError(t, store.Delete(ld.Features, "back again", 7))
	// The data of an Init counts whatever the versions are.
	data := []ld.VersionedData{flag("kept", 5), flag("changed", 3), flag("back again", 2), flag("new", 1)}
	require.NoError(t, store.Init(allData(data...)))
	for name, store := range map[string]ld.FeatureStore{"this process": store, "another": f.newStore()} {
		t.Log(name)
		for _, item := range data {
			assertGet(t, store, ld.Features, item.GetKey(), item)
		}
		for _, key := range []string{"removed", "added later", "deleted"} {
			assertGet(t, store, ld.Features, key, nil)
		}
		assertAll(t, store, ld.Features, data...)
		assertGet(t, store, ld.Segments, "gone", nil)
		assertAll(t, store, ld.Segments)
	}
	assert.Len(t, f.rows(), len(data)+1, "one row for each item, and the one that says that the data is complete")
}

func checkInitLeavesOtherKinds(t *testing.T, f *fixture) {
	store := f.newStore()
	require.NoError(t, store.Upsert(experiments, &experiment{ID: "x", Revision: 1}))
	require.NoError(t, store.Upsert(ld.Segments, segment("s", 1)))
	require.NoError(t, store.Init(map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: {"f": flag("f", 1)}}))
	for _, store := range []ld.FeatureStore{store, f.newStore()} {
		assertAll(t, store, experiments, &experiment{ID: "x", Revision: 1})
		assertAll(t, store, ld.Segments, segment("s", 1))
		assertAll(t, store, ld.Features, flag("f", 1))
	}
}

func checkMapsAreNotShared(t *testing.T, f *fixture) {
	store := f.newStore()
	data := allData(flag("a", 1))
	require.NoError(t, store.Init(data))
	data[ld.Features]["b"] = flag("b", 1)
	delete(data[ld.Features], "a")
	assertAll(t, store, ld.Features, flag("a", 1))
	before, err := store.All(ld.Features)
	require.NoError(t, err)
	require.NoError(t, store.Upsert(ld.Features, flag("a", 2)))
	require.NoError(t, store.Upsert(ld.Features, flag("c", 1)))
	assert.Equal(t, map[string]ld.VersionedData{"a": flag("a", 1)}, before, "an update must not change it under its readers")
	assertAll(t, store, ld.Features, flag("a", 2), flag("c", 1))
}

// upsertOrDelete makes a store take a flag or, if it is marked as deleted, the flag's deletion.
func upsertOrDelete(store ld.FeatureStore, f *ld.FeatureFlag) error {
	if f.Deleted {
		return store.Delete(ld.Features, f.Key, f.Version)
	}
	return store.Upsert(ld.Features, f)
}

func checkVersions(t *testing.T, f *fixture) {
	process, another := f.newStore(), f.newStore()
	makers := map[string]func(string, int) *ld.FeatureFlag{
		"an update":  func(key string, version int) *ld.FeatureFlag { return flag(key, version) },
		"a deletion": deletedFlag,
	}
	const current = 10
	for firstName, makeFirst := range makers {
		for secondName, makeSecond := range makers {
			for _, version := range []int{0, current - 1, current, current + 1, math.MaxInt} {
				for by, second := range map[string]ld.FeatureStore{"the same process": process, "another": another} {
					key := fmt.Sprintf("%s of version %d after %s, by %s", secondName, version, firstName, by)
					before, after := makeFirst(key, current), makeSecond(key, version)
					require.NoError(t, upsertOrDelete(process, before))
					require.NoError(t, upsertOrDelete(second, after), "an update that comes too late is no error")
					winner, want := before, ld.VersionedData(nil)
					if version > current {
						winner = after
					}
					if !winner.Deleted {
						want = winner
					}
					assertGet(t, second, ld.Features, key, want)
					assertGet(t, f.newStore(), ld.Features, key, want)
				}
			}
		}
	}
}

func checkCustomKind(t *testing.T, f *fixture) {
	store := f.newStore()
	first := &experiment{ID: "same", Revision: 1, Hypothesis: "more <b>is</b> more", Shares: map[string]float64{"a": 0.25}}
	newer := &experiment{ID: "same", Revision: 2, Hypothesis: "less is more"}
	require.NoError(t, store.Init(allData(flag("same", 7), first, &experiment{ID: "second", Revision: 1}, &experiment{ID: "removed"})))
	require.NoError(t, store.Init(allData(flag("same", 7), first, &experiment{ID: "second", Revision: 1})))
	assertAll(t, f.newStore(), experiments, first, &experiment{ID: "second", Revision: 1})
	require.NoError(t, store.Upsert(experiments, newer))
	require.NoError(t, store.Upsert(experiments, first))
	require.NoError(t, store.Delete(experiments, "second", 2))
	for _, store := range []ld.FeatureStore{store, f.newStore()} {
		assertGet(t, store, experiments, "same", newer)
		assertGet(t, store, experiments, "second", nil)
		assertAll(t, store, experiments, newer)
		assertGet(t, store, ld.Features, "same", flag("same", 7))
	}
}

func checkPages(t *testing.T, f *fixture) {
	const flags, size = 6, 300_000 // a page ends at 1 MB
	var data []ld.VersionedData
	for i := range flags {
		data = append(data, flagOfSize(fmt.Sprint("large ", i), 1, size))
	}
	writer := f.newStore()
	require.NoError(t, writer.Init(allData(data...)))
	assertAll(t, writer, ld.Features, data...)
	f.transport.reset()
	assertAll(t, f.newStore(), ld.Features, data...)
	assert.Greater(t, len(f.transport.recorded("Query")), 1)
	// An Init sees the rows of all pages, too.
	rest := data[flags-1:]
	require.NoError(t, f.newStore().Init(allData(rest...)))
	assertAll(t, f.newStore(), ld.Features, rest...)
}

func checkKeys(t *testing.T, f *fixture) {
	var data []ld.VersionedData
	for _, key := range unusualKeys {
		data = append(data, flag(key, 1))
	}
	store, another := f.newStore(), f.newStore()
	require.NoError(t, store.Init(allData(data...)))
	assertAll(t, f.newStore(), ld.Features, data...)
	rows := f.rows()
	for _, item := range data {
		key := item.GetKey()
		assert.Contains(t, rows, "features/"+key)
		assertGet(t, another, ld.Features, key, item)
		require.NoError(t, store.Upsert(ld.Features, flag(key, 2)))
		assertGet(t, f.newStore(), ld.Features, key, flag(key, 2))
		require.NoError(t, store.Delete(ld.Features, key, 3))
		assertGet(t, f.newStore(), ld.Features, key, nil)
	}
	assertAll(t, store, ld.Features)
	assertAll(t, f.newStore(), ld.Features)
	assert.Len(t, f.rows(), len(rows), "no key may be taken for another")
}

// The SDK has these tests for the authors of stores. They close no store, so the fixture does.

func TestOfTheSDKForStores(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			makeStore := func(ld.Config) (ld.FeatureStore, error) { return f.newStore(CacheTTL(ttl)), nil }
			ldtest.RunFeatureStoreTests(t, makeStore, f.clear, ttl != 0)
		})
	}
}

func TestOfTheSDKForPrefixes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	makeStore := func(prefix string) (ld.FeatureStore, error) { return f.newStore(CacheTTL(0), Prefix(prefix)), nil }
	ldtest.RunFeatureStorePrefixIndependenceTests(t, makeStore, f.clear)
}

// nowhere is an endpoint at which nothing answers.
const nowhere = "http://127.0.0.1:1"

// assertUsable checks that a store reaches the fixture's table over its transport.
func (f *fixture) assertUsable(store ld.FeatureStore) {
	f.tb.Helper()
	before := len(f.transport.recorded())
	_, err := store.Get(ld.Features, "f")
	assert.NoError(f.tb, err)
	assert.Greater(f.tb, len(f.transport.recorded()), before)
}

func TestNothingOfAWSIsMadeBeforeTheFactoryIsCalled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	file := filepath.Join(t.TempDir(), "config")
	newFactory := func() func() (ld.FeatureStore, error) {
		require.NoError(t, os.WriteFile(file, []byte("[default"), 0o600))
		return f.newFactory(
			SessionOptions(session.Options{SharedConfigState: session.SharedConfigEnable, SharedConfigFiles: []string{file}}),
			ClientConfig(aws.NewConfig().WithEndpoint(*f.client.Config.Endpoint).WithHTTPClient(&http.Client{Transport: f.transport})),
		)
	}
	store, err := newFactory()()
	assert.ErrorContains(t, err, f.table)
	var broken session.SharedConfigLoadError
	assert.ErrorAs(t, err, &broken)
	assert.True(t, store == nil, "a plain nil")
	makeStore := newFactory()
	valid := "[default]\nregion = us-east-1\naws_access_key_id = id\naws_secret_access_key = secret\n"
	require.NoError(t, os.WriteFile(file, []byte(valid), 0o600))
	store, err = makeStore()
	require.NoError(t, err)
	assert.Empty(t, f.transport.recorded(), "the table is asked when the store is used")
	f.assertUsable(store)
}

// None of them is closed with another one. An AWS session reads its options to the end, so all have the first one's.
func TestAFactoryMakesManyStores(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, option := range map[string]FeatureStoreOption{
		"with a client each": ClientConfig(f.awsConfig(f.transport)),
		"on one client":      DynamoClient(f.newClient(f.transport)),
		"with AWS handlers":  SessionOptions(session.Options{Config: *f.awsConfig(f.transport), Handlers: defaults.Handlers()}),
		"with certificates":  SessionOptions(session.Options{Config: *f.awsConfig(nil), CustomCABundle: bytes.NewReader(bundle)}),
	} {
		for i := range 2 {
			makeStore := f.newFactory(option, CacheTTL(0))
			first, err := makeStore()
			require.NoError(t, err, name)
			second, err := makeStore()
			require.NoError(t, err, name)
			key := fmt.Sprint(name, i)
			require.NoError(t, first.Upsert(ld.Features, flag(key, 1)))
			require.NoError(t, first.(io.Closer).Close())
			assertGet(t, second, ld.Features, key, flag(key, 1))
		}
	}
	_, err := f.newFactory(SessionOptions(session.Options{CustomCABundle: iotest.ErrReader(errors.New("the disk is broken"))}))()
	assert.ErrorContains(t, err, "the disk is broken")
}

func TestClientConfigsAddUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	whole := f.awsConfig(f.transport)
	for name, options := range map[string][]FeatureStoreOption{
		"a part each": {
			ClientConfig(&aws.Config{Endpoint: whole.Endpoint}), ClientConfig(&aws.Config{Region: whole.Region}),
			ClientConfig(&aws.Config{Credentials: whole.Credentials}), ClientConfig(&aws.Config{HTTPClient: whole.HTTPClient}),
		},
		"later ones before earlier ones": {
			ClientConfig(whole), ClientConfig(aws.NewConfig().WithEndpoint(nowhere)), ClientConfig(&aws.Config{Endpoint: whole.Endpoint}),
		},
		"in addition to the session's": {
			ClientConfig(&aws.Config{Endpoint: whole.Endpoint}),
			SessionOptions(session.Options{Config: *whole.Copy(aws.NewConfig().WithEndpoint(nowhere))}),
		},
		"nothing but the session's": {SessionOptions(session.Options{Config: *whole})},
		"a client before all others": {
			SessionOptions(session.Options{ClientTLSCert: strings.NewReader("no certificate")}),
			ClientConfig(aws.NewConfig().WithEndpoint(nowhere)), DynamoClient(f.newClient(f.transport)),
		},
	} {
		store, err := f.newFactory(options...)()
		require.NoError(t, err, name)
		f.assertUsable(store)
	}
}
