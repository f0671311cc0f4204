package lddynamodb

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func TestInitDoesNotWaitDuringKnownThrottling(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(failing(throttled, "BatchWriteItem", "PutItem"))
		store := f.newStore()
		require.Error(t, store.Init(allData(flag("f", 1))))

		begin := time.Now()
		require.Error(t, store.Init(allData(flag("f", 2))))
		assert.Zero(t, time.Since(begin))
		assertGet(t, store, ld.Features, "f", flag("f", 2))
	})
}

func TestUpdateThatIsRefusedAgainIsAnErrorAgain(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(denying("PutItem"))
		store := f.newStore()
		require.Error(t, store.Upsert(ld.Features, flag("f", 2)))
		require.Error(t, store.Upsert(ld.Features, flag("f", 2)))
		assertGet(t, store, ld.Features, "f", flag("f", 2))
	})
}

func TestDaemonModeNeedsNoInitedAfterAnOutage(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(failing(noConnection))
		factory, err := NewDynamoDBFeatureStoreFactory(f.table, ClientConfig(f.awsConfig(f.transport)))
		require.NoError(t, err)
		config := configLoggingTo(f.log)
		config.UseLdd = true
		store, err := factory(config)
		require.NoError(t, err)
		defer func() { _ = store.(interface{ Close() error }).Close() }()
		time.Sleep(10 * time.Second)
		require.Len(t, f.log.ofStores("WARN", "can't be used"), 1)

		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			if strings.Contains(string(r.body), `"namespace":{"S":"$inited"}`) {
				return refusals["access denied"].answer(r)
			}
			return send()
		})
		time.Sleep(10 * time.Second)
		assert.Len(t, f.log.ofStores("INFO", "can be used again"), 1)
	})
}

func TestLateInitIsTriedSeldomWhileItsQueryIsDenied(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(denying("Query"))
		store := f.newStore()
		require.Error(t, store.Init(allData(flag("a", 1), flag("b", 1))))
		synctest.Wait()
		f.transport.reset()
		const minutes = 1
		time.Sleep(minutes * time.Minute)
		assert.LessOrEqual(t, len(f.transport.writes()), 13)
		assert.LessOrEqual(t, len(f.transport.recorded("Query")), 4*13)
	})
}

func TestSlowQueryOfLateInitStopsNoReads(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(denying("Query"))
		store := f.newStore(CacheTTL(0))
		require.Error(t, store.Init(allData(flag("f", 2))))

		table := holding(t, flag("other", 1))
		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			if r.action == "Query" && !strings.Contains(string(r.body), `"Limit"`) {
				select {
				case <-time.After(1500 * time.Millisecond):
				case <-r.http.Context().Done():
					return nil, r.http.Context().Err()
				}
			}
			return table(r, send)
		})
		for range 300 {
			assertGet(t, store, ld.Features, "other", flag("other", 1))
			time.Sleep(100 * time.Millisecond)
		}
		assert.Len(t, f.log.ofStores("INFO", "can be used again"), 1)
	})
}

func TestMalformedRowStaysOutOfAllAfterGet(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(holding(t, flag("f", 1)))
		store := f.newStore(CacheTTL(time.Minute))
		assertAll(t, store, ld.Features, flag("f", 1))

		const malformed = `{"key":{"S":"f"},"version":{"N":"2"},"item":{"S":"null"}}`
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			if r.action == "Query" {
				return answer(r, http.StatusOK, `{"Items":[`+malformed+`]}`), nil
			}
			return answer(r, http.StatusOK, `{"Item":`+malformed+`}`), nil
		})
		time.Sleep(time.Minute)
		assertAll(t, store, ld.Features)
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		assertAll(t, store, ld.Features)
	})
}

func TestReadDuringLateWriteServesTheUpdate(t *testing.T) {
	reads := map[string]func(ld.FeatureStore) (ld.VersionedData, error){
		"GetItem": func(s ld.FeatureStore) (ld.VersionedData, error) { return s.Get(ld.Features, "f") },
		"Query": func(s ld.FeatureStore) (ld.VersionedData, error) {
			items, err := s.All(ld.Features)
			return items["f"], err
		},
	}
	for action, read := range reads {
		t.Run(action, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, f *fixture) {
				table := holding(t, flag("f", 1))
				f.transport.setInterceptor(denying("PutItem").over(table))
				store := f.newStore(CacheTTL(0), RequestTimeout(time.Minute))
				require.Error(t, store.Upsert(ld.Features, flag("f", 2)))

				held := f.holdResponse(action, `"features"`)
				var served ld.VersionedData
				call := held.during(func() (err error) {
					served, err = read(store)
					return err
				})
				f.transport.setInterceptor(table)
				time.Sleep(10 * time.Second)
				require.Len(t, f.log.ofStores("INFO", "1 items were written"), 1)
				call.finish()
				assert.Equal(t, flag("f", 2), served)
			})
		})
	}
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

type keyTaker struct {
	experimentKind
	taken *string
}

func (k keyTaker) MakeDeletedItem(key string, version int) ld.VersionedData {
	*k.taken = key
	return k.experimentKind.MakeDeletedItem(key, version)
}

func TestDeletedItemOfAnotherSDKHasAKeyOfItsOwn(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			return answer(r, http.StatusOK, `{"Item":{"version":{"N":"2"},"item":{"S":"{\"revision\":2,\"abandoned\":true}"}}}`), nil
		})
		key, taken := "key", ""
		assertGet(t, f.newStore(), keyTaker{taken: &taken}, key, nil)
		assert.Equal(t, key, taken)
		assert.NotSame(t, unsafe.StringData(key), unsafe.StringData(taken))
	})
}
