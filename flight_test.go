package lddynamodb

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// panicking is what a client of the application's may do, for instance a double in its tests, after some time.
func panicking(after time.Duration, with string, actions ...string) interceptor {
	return failingWith(with, func(r *sentRequest) (*http.Response, error) {
		time.Sleep(after)
		panic("panic in " + r.action)
	}, actions...)
}

// A panic is an error of the request. What that was to write is written later.
func TestPanicsOfTheClient(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		for _, c := range [][]string{
			{"Get", "GetItem"}, {"All", "Query"}, {"Initialized", "GetItem"}, {"Upsert", "PutItem"},
			{"Init"}, {"Init", "GetItem"}, {"Init", "Query"}, {"Init", "BatchWriteItem"}, {"Init", "PutItem"},
		} {
			name, call, actions := c[0], calls[c[0]], c[1:]
			runWithTable(t, mode+"/"+strings.Join(c, "/"), func(t *testing.T, f *fixture) {
				for i, store := range []ld.FeatureStore{f.newStore(options...), f.newSDKStore(configLoggingTo(f.log), options...)} {
					f.transport.setInterceptor(panicking(0, "", actions...))
					_, err := call(store, flag("f", 1))
					if i == 0 && name != "Initialized" { // in a factory's, what is written later is no error
						require.ErrorContains(t, err, f.table)
						require.ErrorContains(t, err, "panic in ")
					}
					f.transport.setInterceptor(panicking(2*time.Second, "", actions...)) // when only those wait who have to
					_, _ = call(store, flag("f", 2))
					time.Sleep(10 * time.Second)
					f.transport.setInterceptor(nil)
					time.Sleep(10 * time.Second)
					assert.Empty(t, storeGoroutines())
					if slices.Contains([]string{"Upsert", "Init"}, name) {
						f.requireHoldsItem(f.rows(), flag("f", 2))
					}
					require.NoError(t, store.Init(allData(flag("f", 3))))
					assertHas(t, store, flag("f", 3))
					require.NoError(t, f.clear())
				}
			})
		}
	}
}

// A panickingKind is the application's, and broken.
type panickingKind struct{ experimentKind }

func (panickingKind) GetDefaultItem() interface{} { panic("no item") }

func TestPanicsOfAKind(t *testing.T) {
	t.Parallel()
	for mode, ttl := range ttls {
		runOnTable(t, mode, func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore().Upsert(experiments, &experiment{ID: "x"}))
			store := f.newStore(CacheTTL(ttl))
			assertGet(t, store, panickingKind{}, "x", nil)
			assertAll(t, store, panickingKind{})
			assert.Len(t, f.log.ofStores("ERROR:", "the row experiments/x is malformed: panic: no item"), 1)
		})
	}
}

// The keeper decodes the row in the place of an item that waits.
func TestPanicOfAKindDuringALateWrite(t *testing.T) {
	t.Parallel()
	runWithTable(t, "late write", func(t *testing.T, f *fixture) {
		require.NoError(t, f.newStore().Upsert(experiments, x(2)))
		store := f.newStore()
		f.transport.setInterceptor(failing(noConnection))
		require.Error(t, store.Upsert(panickingKind{}, x(1)))
		require.Error(t, store.Upsert(ld.Features, flag("f", 1)))
		time.Sleep(10 * time.Second)
		f.transport.setInterceptor(nil)
		time.Sleep(10 * time.Second)
		f.requireHoldsItem(f.rows(), flag("f", 1))
	})
}
