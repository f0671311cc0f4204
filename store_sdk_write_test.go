package lddynamodb

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

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
				runWithTable(t, name+"/"+mode+"/"+end, func(t *testing.T, f *fixture) {
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
			}
		}
	}
}

func TestCloseTellsWhatIsLost(t *testing.T) {
	t.Parallel()
	for name, items := range map[string][]ld.VersionedData{
		"refused":   {flag("f", 2), flag("g", 2)},
		"too large": {flagOfSize("f", 2, maxItemBytes)},
		"nothing":   nil,
	} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			store := f.newSDKStore(configLoggingTo(f.log))
			require.NoError(t, store.Init(allData()))
			f.transport.setInterceptor(denying("PutItem"))
			for _, item := range items {
				require.NoError(t, store.Upsert(ld.Features, item))
			}
			err := store.(io.Closer).Close()
			if name != "refused" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, fmt.Sprintf(`closed before %d items could be written to DynamoDB table "no-table"`, len(items)))
			assert.Len(t, f.log.ofStores("WARN:", err.Error()), 1)
			require.NoError(t, store.(io.Closer).Close(), "it was told once")
		})
	}
}
