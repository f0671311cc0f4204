package lddynamodb

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// An Init that fails half-way leaves a table that doesn't say that it is
// complete. The process itself completes it when the table can be used again, or
// another one with its Init.
func TestInitFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	resetting := resettingAddress(t)
	faults := map[string]interceptor{
		"connections reset": func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			r.http.URL.Host = resetting
			return send()
		},
		"empty responses": failing(withBody("")),
		"access denied":   denying(),
	}
	completions := map[string]func(f *fixture, data []ld.VersionedData) error{
		"by itself": func(f *fixture, _ []ld.VersionedData) error {
			f.awaitEndOfOutages()
			return nil
		},
		"by another process": func(f *fixture, data []ld.VersionedData) error { return f.newStore().Init(allData(data...)) },
	}
	for faultName, fault := range faults {
		for name, complete := range completions {
			t.Run(faultName+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				store := f.newStore(RequestTimeout(time.Second))
				data := append(numberedFlags("f", 20*maxBatchRequests), segment("s", 1))
				var batches atomic.Int64
				f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
					if r.action == "BatchWriteItem" && batches.Add(1) > 5 {
						return fault(r, send)
					}
					return send()
				})

				require.ErrorContains(t, store.Init(allData(data...)), fmt.Sprintf(" of %d changed items", len(data)))

				rows := f.rows()
				assert.NotEmpty(t, rows)
				assert.Less(t, len(rows), len(data))
				assert.NotContains(t, rows, initedKey+"/"+initedKey)
				assert.False(t, f.newStore(CacheTTL(0)).Initialized())

				f.transport.setInterceptor(nil)
				require.NoError(t, complete(f, data))
				f.requireHolds(data)
			})
		}
	}
}

// resettingAddress returns where every connection is reset in the middle of a
// request.
func resettingAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Read(make([]byte, 1))
			_ = connection.(*net.TCPConn).SetLinger(0) // so that Close resets
			_ = connection.Close()
		}
	}()
	return listener.Addr().String()
}

// A batch whose response is empty may not have been stored.
func TestInitSendsABatchWithAnEmptyResponseAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var batches atomic.Int64
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action == "BatchWriteItem" && batches.Add(1)%2 == 1 {
			return withBody("")(r)
		}
		return send()
	})
	data := numberedFlags("f", 100)

	require.NoError(t, f.newStore().Init(allData(data...)))

	f.requireHolds(data)
}

func TestConcurrentInitsOfTheSameData(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	data := append(numberedFlags("f", 200), segment("s", 1))
	var group errgroup.Group
	for range 5 {
		store := f.newStore()
		group.Go(func() error { return store.Init(allData(data...)) })
	}
	require.NoError(t, group.Wait())
	f.requireHolds(data)

	f.transport.reset()
	for range 5 {
		store := f.newStore()
		group.Go(func() error { return store.Init(allData(data...)) })
	}
	require.NoError(t, group.Wait())
	assert.Empty(t, f.transport.writes())
}

// Inits with different data, and updates meanwhile, can undo each other, but
// never leave a row that is not one of theirs as a whole.
func TestConcurrentInitsAndUpdates(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const stores, rounds, keys = 4, 5, 80
	var group errgroup.Group
	for range stores {
		initing, updating := f.newStore(), f.newStore()
		group.Go(func() error {
			for range rounds {
				if err := initing.Init(allData(someFlags(keys)...)); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error {
			for _, item := range someFlags(keys) {
				if err := updating.Upsert(ld.Features, item); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	for name, r := range f.rows() {
		if name != initedKey+"/"+initedKey {
			assertIsOfSomeFlags(t, r)
		}
	}
	data := someFlags(keys)
	require.NoError(t, f.newStore().Init(allData(data...)))
	f.requireHolds(data)
}

// someFlags makes flags of random versions with some of a number of keys.
func someFlags(keys int) []ld.VersionedData {
	var items []ld.VersionedData
	for _, key := range rand.Perm(keys)[:keys*2/3] {
		version := 1 + rand.IntN(100)
		items = append(items, flagOfSize(strconv.Itoa(key), version, 10*version))
	}
	return items
}

func assertIsOfSomeFlags(t *testing.T, r rawItem) {
	t.Helper()
	item := new(ld.FeatureFlag)
	require.NoError(t, json.Unmarshal([]byte(*r[itemAttribute].S), item))
	assert.Equal(t, item.Key, *r[keyAttribute].S)
	assert.Equal(t, strconv.Itoa(item.Version), *r[versionAttribute].N)
	assert.Equal(t, strings.Repeat("s", 10*item.Version), item.Salt)
}

// A process that may write the row that says that the data set is complete, but not
// read it, is not for ever in an outage because of that.
func TestInitWhereInitedCannotBeRead(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			if r.action == "GetItem" && strings.Contains(string(r.body), initedKey) {
				return refusals["access denied"].answer(r)
			}
			return send()
		})
		store := f.newStore()
		require.False(t, store.Initialized())

		require.NoError(t, store.Init(allData(flag("f", 1))))

		time.Sleep(2 * time.Second)
		assert.Len(t, f.log.ofStores("WARN:", "can't be used"), 1)
		assert.Len(t, f.log.ofStores("INFO:", "can be used again"), 1)
		assert.True(t, store.Initialized())
	})
}

func TestInitThatCloseEndsIsNoDataSet(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1)))
		store := f.newStore()
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		call := f.holdRequest("Query", "features").during(initWith(store, flag("f", 2)))
		require.NoError(t, store.(io.Closer).Close())
		require.Error(t, <-call.result)
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		assert.False(t, store.Initialized())
	})
}
