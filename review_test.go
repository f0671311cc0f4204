package lddynamodb

import (
	"net/http"
	"strings"
	"testing"
	"time"

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
