package lddynamodb

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A call ends after the request timeout, and so does the trial that follows it.
func TestRequestTimeoutEndsCallsThatGetNoAnswer(t *testing.T) {
	t.Parallel()
	for action, call := range storeCalls {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(RequestTimeout(time.Second))
				f.transport.setInterceptor(failing(blackHole, action))
				began := time.Now()

				_, err := call(store, 1)

				assert.Equal(t, 2*time.Second, time.Since(began))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, action)
				assert.ErrorContains(t, err, "gave up after 1s")
				assert.ErrorContains(t, err, "RequestTimeout", "what to do")
			})
		})
	}
}

func TestDefaultRequestTimeoutEndsWritesThatGetNoAnswer(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"PutItem", "BatchWriteItem"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore()
				f.transport.setInterceptor(failing(blackHole, action))
				began := time.Now()

				_, err := storeCalls[action](store, 1)

				assert.Equal(t, 2*DefaultRequestTimeout, time.Since(began), "reads get an answer")
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, action)
				assert.ErrorContains(t, err, "gave up after 5s")
				assert.ErrorContains(t, err, "RequestTimeout", "what to do")
			})
		})
	}
}

// Whatever the request timeout is, a network that swallows everything is found
// out sooner.
func TestCallsIntoABlackHoleEndEarly(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]FeatureStoreOption{
		"default": {}, "long": {RequestTimeout(time.Hour)}, "none": {RequestTimeout(0)},
	} {
		for action, call := range storeCalls {
			t.Run(name+", "+action, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(options...)
					f.transport.setInterceptor(failing(blackHole))
					began := time.Now()

					_, err := call(store, 1)

					assert.Equal(t, noAnswerAfter+minPatience, time.Since(began))
					require.ErrorIs(t, err, context.DeadlineExceeded)
					assert.ErrorContains(t, err, f.table)
					assert.ErrorContains(t, err, "there was no answer in time")
				})
			})
		}
	}
}

func TestInitializedInABlackHole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout, took time.Duration
	}{
		"default": {DefaultRequestTimeout, noAnswerAfter + minPatience},
		"short":   {time.Second, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(RequestTimeout(c.timeout))
				f.transport.setInterceptor(failing(blackHole, "GetItem"))
				began := time.Now()

				assert.False(t, store.Initialized())

				assert.Equal(t, c.took, time.Since(began))
				assert.Len(t, f.log.ofStores("WARN:", "GetItem $inited/$inited", "gave up after 1s"), 1)
			})
		})
	}
}

// Of requests that are throttled, batches have retries of their own.
func TestRequestTimeoutIncludesRetries(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"GetItem", "Query", "PutItem"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(RequestTimeout(time.Second))
				f.transport.setInterceptor(failing(throttled, action))
				began := time.Now()

				_, err := storeCalls[action](store, 1)

				assert.Equal(t, time.Second, time.Since(began), "the retries would take longer")
				assert.Greater(t, len(f.transport.recorded(action)), 2)
				assertTells(t, err, action, f.table, "ProvisionedThroughputExceededException", "give the table more capacity")
			})
		})
	}
}

// The AWS SDK would try ten times more.
func TestRetriesOfUnreachableTablesAreCutShort(t *testing.T) {
	t.Parallel()
	failures := map[string]struct {
		fail reply
		says string
	}{
		"InternalServerError": {internalError, "InternalServerError: try again"},
		"connection refused":  {noConnection, "connection refused"},
	}
	for action, call := range storeCalls {
		for name, failure := range failures {
			t.Run(action+", "+name, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore()
					f.transport.setInterceptor(failing(failure.fail, action))
					began := time.Now()

					_, err := call(store, 1)

					assert.Less(t, time.Since(began), time.Second)
					assert.Len(t, f.transport.recorded(action), maxUnreached)
					assert.ErrorContains(t, err, action)
					assert.ErrorContains(t, err, failure.says)
				})
			})
		}
	}
}

// With no bound, a slow answer is waited for as long as others get one.
func TestNoRequestTimeout(t *testing.T) {
	t.Parallel()
	for action, call := range storeCalls {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(RequestTimeout(0))
				isFirst := once()
				f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
					if isFirst() {
						time.Sleep(time.Hour)
					}
					return answerEmpty(r), nil
				}, action))
				began := time.Now()

				_, err := call(store, 1)

				require.NoError(t, err)
				assert.Equal(t, time.Hour, time.Since(began))
				assert.Empty(t, f.log.ofStores())
			})
		})
	}
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	t.Parallel()
	for action, call := range storeCalls {
		for name, fail := range map[string]reply{
			"no answer":       blackHole,
			"between retries": internalError,
			"throttled":       throttled,
		} {
			t.Run(action+", "+name, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(RequestTimeout(0))
					f.transport.setInterceptor(failing(fail, action))
					result := make(chan error)
					go func() {
						_, err := call(store, 1)
						result <- err
					}()
					synctest.Wait() // the call can't get any further
					closed := time.Now()

					require.NoError(t, store.(io.Closer).Close())
					err := <-result

					assert.Zero(t, time.Since(closed))
					require.ErrorContains(t, err, "canceled")
					assert.Empty(t, f.log.ofStores(), "the end of a store is no outage")
				})
			})
		}
	}
}

// DynamoDB's clients for other endpoints, DAX for one, know only the parameters
// that have replaced these.
func TestNoRequestHasLegacyParameters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, options := range modes {
		store := f.newStore(options...)
		require.NoError(t, store.Init(allData(flag("f", 1), flag("removed", 1), segment("s", 1))))
		require.NoError(t, store.Init(allData(flag("f", 1))))
		for name, call := range calls {
			_, err := call(store, flag("f", 2))
			require.NoError(t, err, name)
		}
	}

	for _, r := range f.transport.recorded() {
		var parameters map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(r.body, &parameters))
		for _, legacy := range []string{
			"AttributesToGet", "AttributeUpdates", "ConditionalOperator", "Expected", "KeyConditions", "QueryFilter", "ScanFilter",
		} {
			assert.NotContains(t, parameters, legacy, r.action)
		}
	}
	assert.Equal(t, readWriteActions, f.transport.actions())
}
