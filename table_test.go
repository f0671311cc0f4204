package lddynamodb

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func TestRequestTimeoutEndsCallsThatGetNoAnswer(t *testing.T) {
	t.Parallel()
	for action, call := range storeCalls {
		for name, timeout := range map[string]time.Duration{"default": DefaultRequestTimeout, "short": time.Second} {
			t.Run(action+", "+name, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					var options []FeatureStoreOption
					if timeout != DefaultRequestTimeout {
						options = append(options, RequestTimeout(timeout))
					}
					store := f.newStore(options...)
					f.transport.setInterceptor(failing(blackHole, action))
					began := time.Now()

					_, err := call(store, 1)

					assert.Equal(t, timeout, time.Since(began))
					require.ErrorIs(t, err, context.DeadlineExceeded)
					assert.ErrorContains(t, err, action)
					assert.ErrorContains(t, err, "gave up after "+timeout.String())
					assert.ErrorContains(t, err, "RequestTimeout", "what to do")
				})
			})
		}
	}
}

func TestRequestTimeoutEndsInitialized(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		f.transport.setInterceptor(failing(blackHole, "GetItem"))
		began := time.Now()

		assert.False(t, store.Initialized())

		assert.Equal(t, DefaultRequestTimeout, time.Since(began))
		assert.Len(t, f.log.ofStores("WARN:", "GetItem $inited/$inited", "gave up after 10s"), 1)
	})
}

func TestRequestTimeoutIncludesRetries(t *testing.T) {
	t.Parallel()
	failures := map[string]struct {
		fail reply
		last string
	}{
		"InternalServerError": {internalError, "InternalServerError: try again"},
		"connection refused":  {noConnection, "connection refused"},
	}
	for action, call := range storeCalls {
		for name, failure := range failures {
			t.Run(action+", "+name, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(RequestTimeout(time.Second))
					f.transport.setInterceptor(failing(failure.fail, action))
					began := time.Now()

					_, err := call(store, 1)

					assert.Equal(t, time.Second, time.Since(began), "the retries would take longer")
					assert.Greater(t, len(f.transport.recorded(action)), 1)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					assert.ErrorContains(t, err, "gave up after 1s; the last attempt failed with ")
					assert.ErrorContains(t, err, failure.last)
				})
			})
		}
	}
}

func TestTimeoutTellsTheLastAttemptsErrorToo(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		isFirst := once()
		f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
			if isFirst() {
				return internalError(r)
			}
			return blackHole(r)
		}, "GetItem"))

		_, err := store.Get(ld.Features, "any")

		require.ErrorIs(t, err, context.DeadlineExceeded)
		var failure awserr.Error
		require.ErrorAs(t, err, &failure)
		assert.Equal(t, dynamodb.ErrCodeInternalServerError, failure.Code())
	})
}

func TestNoRequestTimeout(t *testing.T) {
	t.Parallel()
	for action, call := range storeCalls {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(RequestTimeout(0))
				f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
					time.Sleep(time.Hour)
					return answerEmpty(r), r.http.Context().Err()
				}, action))

				_, err := call(store, 1)

				require.NoError(t, err)
				assert.Len(t, f.transport.recorded(action), 1)
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
