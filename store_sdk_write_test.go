package lddynamodb

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// What the SDK brings is a success for it, written or not: it could do nothing but
// send it again. The log tells of the outage.
func TestUnsavedIsASuccessForTheSDK(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				f.transport.setInterceptor(failing(noConnection))
				store := f.newSDKStore(configLoggingTo(f.log), options...)
				require.False(t, store.Initialized())
				require.NoError(t, store.Init(allData(flag("f", 1), flag("g", 1))))
				assert.True(t, store.Initialized())
				require.NoError(t, store.Upsert(ld.Features, flag("f", 2)))
				require.NoError(t, store.Delete(ld.Features, "g", 2))
				assertAll(t, store, ld.Features, flag("f", 2))
				assertHas(t, store, flag("f", 2))
				assertGet(t, store, ld.Features, "g", nil)
				assertGet(t, store, ld.Features, "unknown", nil)
				timeUntil(t, "the outage", func() bool { return len(f.log.ofStores("WARN", "can't be used")) == 1 })
				assert.Empty(t, f.rows())
				f.transport.setInterceptor(nil)
				timeUntil(t, "the end", f.hasEnded(1))
				f.requireHolds([]ld.VersionedData{flag("f", 2), deletedFlag("g", 2)})
				require.NoError(t, store.(io.Closer).Close())
			})
		})
	}
}

// noAnswers holds back all requests that write until it is over.
func (f *fixture) noAnswers() (over func()) {
	done := make(chan struct{})
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		select {
		case <-done:
			return send()
		case <-r.http.Context().Done():
			return blackHole(r)
		}
	})
	return func() { close(done) }
}

// A call that gets no answer goes on in the background. What comes after it is served
// at once, and has the last word.
func TestSDKWritesWithoutAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		calls []func(store ld.FeatureStore) error
		want  []ld.VersionedData
	}{
		"an update during an Init": {[]func(ld.FeatureStore) error{
			func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2), flag("g", 2))) },
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 3)) },
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("new", 1)) },
		}, []ld.VersionedData{flag("f", 3), flag("g", 2), flag("new", 1)}},
		"a second Init": {[]func(ld.FeatureStore) error{
			func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2), flag("g", 2), flag("removed", 2))) },
			func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 3), flag("new", 1))) },
		}, []ld.VersionedData{flag("f", 3), flag("new", 1)}},
		"an Init during an update, and updates after it": {[]func(ld.FeatureStore) error{
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("removed", 2)) },
			func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 2), flag("g", 2))) },
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("new", 1)) },
			func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("g", 3)) },
		}, []ld.VersionedData{flag("f", 2), flag("g", 3), flag("new", 1)}},
	} {
		for mode, options := range outageModes {
			for end, timeout := range map[string]time.Duration{"answered late": time.Minute, "never answered": DefaultRequestTimeout} {
				t.Run(name+"/"+mode+"/"+end, func(t *testing.T) {
					t.Parallel()
					inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
						store := f.newSDKStore(configLoggingTo(f.log), append(options, RequestTimeout(timeout))...)
						require.NoError(t, store.Init(allData(flag("f", 1), flag("g", 1))))
						over := f.noAnswers()
						for _, call := range c.calls {
							assert.LessOrEqual(t, elapsed(func() { require.NoError(t, call(store)) }), allPatience)
						}
						for _, item := range c.want {
							assertGet(t, store, ld.Features, item.GetKey(), item)
						}
						if end == "never answered" {
							time.Sleep(time.Minute)
						}
						over()
						time.Sleep(2 * time.Minute)
						assertAll(t, store, ld.Features, c.want...)
						assertAll(t, f.newStore(CacheTTL(0), DynamoClient(f.client)), ld.Features, c.want...)
						assert.Empty(t, storeGoroutines())
					})
				})
			}
		}
	}
}

// Others read an update before its own call ends.
func TestUpdateIsServedWhileItWaitsForAnInit(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newSDKStore(configLoggingTo(f.log))
		over := f.noAnswers()
		require.NoError(t, store.Init(allData(flag("f", 1))))
		result := make(chan error)
		go func() { result <- store.Upsert(ld.Features, flag("f", 2)) }()
		synctest.Wait()
		assertGet(t, store, ld.Features, "f", flag("f", 2))
		over()
		require.NoError(t, <-result)
	})
}

// The response to an older update may be the later one.
func TestUpdateThatWaitedForAnInitTakesNoNewerOneBack(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				store := f.newStore(options...)
				initial := f.holdRequest("Query", "features").during(initWith(store, flag("f", 1)))
				older := f.holdResponse("PutItem", `"version":{"N":"2"}`)
				result := make(chan error, 1)
				go func() { result <- store.Upsert(ld.Features, flag("f", 2)) }()
				synctest.Wait()
				initial.finish()
				<-older.arrived
				require.NoError(t, store.Upsert(ld.Features, flag("f", 3)))
				close(older.released)
				require.NoError(t, <-result)
				assertHas(t, store, flag("f", 3))
			})
		})
	}
}

func TestCloseTellsWhatIsLost(t *testing.T) {
	t.Parallel()
	for name, items := range map[string][]ld.VersionedData{
		"refused":   {flag("f", 2), flag("g", 2)},
		"too large": {flagOfSize("f", 2, maxItemBytes)},
		"nothing":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newSDKStore(configLoggingTo(f.log))
				require.NoError(t, store.Init(allData()))
				f.transport.setInterceptor(denying("PutItem"))
				for _, item := range items {
					require.NoError(t, store.Upsert(ld.Features, item))
				}
				err := store.(io.Closer).Close()
				if name == "nothing" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, fmt.Sprintf(`closed with %d items that DynamoDB table "no-table" does not have`, len(items)))
				assert.Len(t, f.log.ofStores("WARN:", err.Error()), 1)
				require.NoError(t, store.(io.Closer).Close(), "it was told once")
			})
		})
	}
}

// A clientThatPanics panics in its first write.
type clientThatPanics struct {
	dynamodbiface.DynamoDBAPI
	isFirst func() bool
}

func (c clientThatPanics) PutItemWithContext(
	ctx context.Context, input *dynamodb.PutItemInput, options ...request.Option,
) (*dynamodb.PutItemOutput, error) {
	if c.isFirst() {
		panic("a defect of the client")
	}
	return c.DynamoDBAPI.PutItemWithContext(ctx, input, options...)
}

// The caller can recover from the panic. What it brought is written all the same.
func TestUpdateWithAClientThatPanics(t *testing.T) {
	t.Parallel()
	for name, newStore := range map[string]func(*fixture, ...FeatureStoreOption) ld.FeatureStore{
		"of the SDK": func(f *fixture, options ...FeatureStoreOption) ld.FeatureStore {
			return f.newSDKStore(configLoggingTo(f.log), options...)
		},
		"of the caller": (*fixture).newStore,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				store := newStore(f, DynamoClient(clientThatPanics{f.newClient(f.transport), once()}))
				assert.PanicsWithValue(t, "a defect of the client", func() { _ = store.Upsert(ld.Features, flag("f", 1)) })
				assertGet(t, store, ld.Features, "f", flag("f", 1))
				time.Sleep(time.Second)
				f.requireHoldsItem(f.rows(), flag("f", 1))
				assert.Empty(t, storeGoroutines())
			})
		})
	}
}
