package lddynamodb

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// pollInterval is how often the SDK asks whether an outage is over.
const pollInterval = 500 * time.Millisecond

func TestOutageIsLoggedAtItsBeginningAndAtItsEnd(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(0))
		began := time.Now()
		f.transport.setInterceptor(refuseAll("access denied"))
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() {
				_, err := store.Get(ld.Features, "any")
				assert.Error(t, err)
			})
		}
		callers.Wait()
		time.Sleep(time.Hour)
		require.Len(t, f.log.ofStores(), 1)

		f.transport.setInterceptor(passEmpty)
		time.Sleep(2 * pollInterval)

		lines := f.log.ofStores()
		require.Len(t, lines, 2)
		assert.Contains(t, lines[0], "WARN:")
		assert.Contains(t, lines[0], `Table "no-table" can't be used: GetItem features/any`)
		assert.Contains(t, lines[1], "INFO:")
		assert.Contains(t, lines[1], `Table "no-table" can be used again, after 1h0m`)
		assert.InDelta(t, time.Since(began), loggedDuration(t, lines[1]), float64(2*pollInterval))
	})
}

// loggedDuration is how long an outage lasted, by the line about its end.
func loggedDuration(t *testing.T, line string) time.Duration {
	_, after, _ := strings.Cut(line, "after ")
	lasted, err := time.ParseDuration(after)
	require.NoError(t, err)
	return lasted
}

func TestNoOutageWithoutAFailedRequest(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		f.transport.setInterceptor(passEmpty)

		assert.False(t, store.Initialized())
		for _, call := range storeCalls {
			_, err := call(store, 1)
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)

		assert.Empty(t, f.log.ofStores())
	})
}

// Initialized returns no error, but the SDK has to know of the outage to notice
// its end.
func TestOutageThatOnlyInitializedMetIsReportedToTheSDK(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(ttl))
				f.transport.setInterceptor(refuseAll("access denied"))
				assert.False(t, store.Initialized())

				f.transport.setInterceptor(passEmpty)
				time.Sleep(2 * pollInterval)

				assert.Len(t, f.log.ofStores("INFO:", "can be used again"), 1)
			})
		})
	}
}

// Where reads work but writes don't, the availability check succeeds at once and
// the SDK writes everything again, without success. It must not do that all the
// time.
func TestEndOfARelapseIsHeldBack(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]time.Duration{"no cache": 0, "cached": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(ttl))
				f.transport.setInterceptor(failing(refusals["access denied"].answer, "PutItem"))

				for i, held := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, maxHold, maxHold, maxHold} {
					require.Error(t, store.Upsert(ld.Features, flag("any", i+1)))
					f.transport.reset()
					time.Sleep(max(held, pollInterval) - time.Millisecond)
					assert.Empty(t, f.transport.recorded("GetItem", "Query"), "nor is the table asked before")
					time.Sleep(2 * pollInterval)
					require.Len(t, f.log.ofStores("WARN:"), i+1)
					ends := f.log.ofStores("INFO:")
					require.Len(t, ends, i+1)
					assert.GreaterOrEqual(t, loggedDuration(t, ends[i]), held)
				}
			})
		})
	}
}

// With a cache for ever the store itself writes what was refused, so there is no
// end before that.
func TestOutageLastsUntilWhatWasRefusedIsStored(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(-1))
		f.transport.setInterceptor(failing(refusals["access denied"].answer, "PutItem"))
		require.Error(t, store.Upsert(ld.Features, flag("any", 1)))
		time.Sleep(time.Minute)
		assert.Len(t, f.log.ofStores(), 1)

		f.transport.setInterceptor(passEmpty)
		time.Sleep(maxHold + 2*pollInterval)

		assert.Len(t, f.log.ofStores("INFO:", "can be used again"), 1)
		assert.Len(t, f.log.ofStores(), 2)
	})
}

// Only one Init can write at a time. An availability check waits for none.
func TestOutageEndsDuringAnInit(t *testing.T) {
	t.Parallel()
	f := newRaceFixture(t)
	store := f.newStore(CacheTTL(50*time.Millisecond), StaleValues(RefreshStaleValues))
	require.NoError(t, store.Init(allData(flag("f", 1))))
	init := f.holdRequest("BatchWriteItem", "").during(initWith(store, flag("f", 2)))
	time.Sleep(100 * time.Millisecond) // the TTL is over
	f.transport.setInterceptor(denying("GetItem"))
	assertGet(t, store, ld.Features, "f", flag("f", 1))
	require.Len(t, f.log.ofStores("WARN:"), 1)

	f.transport.setInterceptor(f.intercept)

	require.Eventually(t, func() bool { return len(f.log.ofStores("INFO:", "can be used again")) == 1 },
		hangGuard, time.Millisecond)
	init.finish()
}

// The AWS SDK reads a file with credentials once, until they have expired.
func TestOutageEndsWithNewCredentials(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]StaleValuesPolicy{
		"evict": EvictStaleValues, "refresh": RefreshStaleValues, "refresh async": RefreshStaleValuesAsync,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "credentials")
			f := newFixture(t)
			require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
			store := f.newStore(CacheTTL(50*time.Millisecond), StaleValues(policy), RequestTimeout(time.Second),
				ClientConfig(aws.NewConfig().WithCredentials(credentials.NewSharedCredentials(file, ""))))
			writeCredentials(t, file, "old")
			assertGet(t, store, ld.Features, "f", flag("f", 1))
			f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
				if strings.Contains(r.http.Header.Get("Authorization"), "Credential=old/") {
					return answerError(r, http.StatusBadRequest, "ExpiredTokenException", "expired"), nil
				}
				return send()
			})
			require.Eventually(t, func() bool {
				_, _ = store.Get(ld.Features, "f")
				return len(f.log.ofStores("WARN:")) == 1
			}, hangGuard, time.Millisecond)

			writeCredentials(t, file, "new")

			require.Eventually(t, func() bool { return len(f.log.ofStores("INFO:", "can be used again")) == 1 },
				hangGuard, time.Millisecond)
			assertGet(t, store, ld.Features, "f", flag("f", 1))
		})
	}
}

func writeCredentials(t *testing.T, file, id string) {
	t.Helper()
	content := fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=secret\naws_session_token=token\n", id)
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
}

func TestOutageAfterACalmIsNoRelapse(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		for i := range 5 {
			f.transport.setInterceptor(failing(refusals["access denied"].answer, "PutItem"))
			require.Error(t, store.Upsert(ld.Features, flag("any", 1)))
			f.transport.setInterceptor(passEmpty)
			time.Sleep(2 * pollInterval)
			assert.Len(t, f.log.ofStores("INFO:"), i+1, "it ended at once")
			time.Sleep(calmAfter)
		}
	})
}

func TestClosedStoreHasNoOutages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore()
	f.transport.setInterceptor(func(*sentRequest, func() (*http.Response, error)) (*http.Response, error) {
		return nil, io.ErrUnexpectedEOF
	})
	require.NoError(t, store.(io.Closer).Close())

	assert.False(t, store.Initialized())
	for _, call := range storeCalls {
		_, err := call(store, 1)
		require.Error(t, err)
	}

	assert.Empty(t, f.log.ofStores())
}
