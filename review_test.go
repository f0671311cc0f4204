package lddynamodb

import (
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
