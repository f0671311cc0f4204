package lddynamodb

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// inFakeTime runs a test in which time passes only while all wait, and then at
// once. Its stores have no table: the test answers in DynamoDB's place.
func inFakeTime(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	_, err := dynamolocal.Endpoint() // before, because it is real
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		// An error after Close makes the SDK's wrapper ask for the status once more,
		// after half a second.
		defer time.Sleep(time.Second)
		test(t, &fixture{tb: t, table: "no-table", transport: &transport{}, log: &logLines{}})
	})
}

// blackHole is a network that swallows packets.
func blackHole(r *sentRequest) (*http.Response, error) {
	<-r.http.Context().Done()
	return nil, r.http.Context().Err()
}

// refuse is a machine on which nothing listens.
func refuse(*sentRequest) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func failInternally(r *sentRequest) (*http.Response, error) {
	return answerError(r, http.StatusInternalServerError, dynamodb.ErrCodeInternalServerError, "try again"), nil
}

// failing makes an interceptor that fails the requests of some actions. To others
// it answers as an empty table does.
func failing(fail func(*sentRequest) (*http.Response, error), actions ...string) interceptor {
	return func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
		if slices.Contains(actions, r.action) {
			return fail(r)
		}
		return answerEmpty(r), nil
	}
}

// answerEmpty makes the response of an empty table.
func answerEmpty(r *sentRequest) *http.Response {
	return answer(r, http.StatusOK, map[string]string{
		"GetItem":        `{}`,
		"Query":          `{"Items":[],"Count":0,"ScannedCount":0}`,
		"PutItem":        `{}`,
		"BatchWriteItem": `{"UnprocessedItems":{}}`,
	}[r.action])
}

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
		fail func(*sentRequest) (*http.Response, error)
		last string
	}{
		"InternalServerError": {failInternally, "InternalServerError: try again"},
		"connection refused":  {refuse, "connection refused"},
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
				return failInternally(r)
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
		for name, fail := range map[string]func(*sentRequest) (*http.Response, error){
			"no answer":       blackHole,
			"between retries": failInternally,
			"throttled":       func(r *sentRequest) (*http.Response, error) { return answerThrottled(r), nil },
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
