package lddynamodb

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// tableCalls has a call for each of the actions of DynamoDB.
var tableCalls = map[string]func(context.Context, *table) error{
	getItem: func(ctx context.Context, t *table) error {
		_, err := t.get(ctx, rowKey{"features", "f"}, true)
		return err
	},
	query: func(ctx context.Context, t *table) error {
		_, err := t.query(ctx, "features", true, "", 0)
		return err
	},
	putItem: func(ctx context.Context, t *table) error {
		_, err := t.putIfNewer(ctx, row{rowKey: rowKey{"features", "f"}, version: "1", item: "{}"})
		return err
	},
	batchWriteItem: func(ctx context.Context, t *table) error {
		_, err := t.batchWrite(ctx, "features", writeRequests([]row{{rowKey: rowKey{"features", "f"}}}))
		return err
	},
}

// newTable makes a table over the fixture's transport.
func (f *fixture) newTable(timeout time.Duration, configs ...*aws.Config) *table {
	f.tb.Helper()
	config := f.awsConfig(f.transport)
	config.MergeIn(configs...)
	return &table{client: f.newClientOf(config), name: f.table, timeout: timeout}
}

// eachTableCall runs a test in fake time for each of the actions of DynamoDB.
func eachTableCall(t *testing.T, test func(t *testing.T, f *fixture, action string, call func(context.Context, *table) error)) {
	t.Helper()
	for action, call := range tableCalls {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) { test(t, f, action, call) })
		})
	}
}

func TestRequestTimeoutEndsCallsThatGetNoAnswer(t *testing.T) {
	t.Parallel()
	eachTableCall(t, func(t *testing.T, f *fixture, action string, call func(context.Context, *table) error) {
		f.transport.setInterceptor(failing(blackHole)) // of a dead connection, others may be too
		for timeout, says := range map[time.Duration]string{time.Second: "gave up after 1s", 30 * time.Second: "gave up after 30s"} {
			var err error
			took := elapsed(func() { err = call(t.Context(), f.newTable(timeout)) })
			assert.Equal(t, timeout, took)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.True(t, concernsTable(err))
			for _, text := range []string{action, f.table, says, "there was no answer in time", "raise RequestTimeout"} {
				assert.ErrorContains(t, err, text)
			}
		}
		assert.EqualValues(t, 2, f.transport.closed.Load())
		assert.Empty(t, storeGoroutines())
	})
}

// Of a call that was being retried when its time was up, the error is what was wrong.
func TestRequestTimeoutIncludesRetries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail     reply
		says     string
		concerns bool // the table
	}{
		"throttling":     {throttled, "ProvisionedThroughputExceededException", false},
		"internal error": {internalError, "InternalServerError", true},
		"reset":          {brokenConnection, "the connection failed", true},
		"damaged":        {damaged, "CRC32CheckFailed", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachTableCall(t, func(t *testing.T, f *fixture, action string, call func(context.Context, *table) error) {
				f.transport.setInterceptor(failing(c.fail))
				var err error
				took := elapsed(func() { err = call(t.Context(), f.newTable(time.Second)) })
				assert.ErrorContains(t, err, c.says)
				assert.NotContains(t, err.Error(), "RequestTimeout")
				assert.Equal(t, c.concerns, concernsTable(err))
				assert.Equal(t, !c.concerns, isThrottle(err))
				if action == batchWriteItem && isThrottle(err) {
					assert.Len(t, f.transport.recorded(), 1, "the batchWriter retries it")
					return
				}
				assert.Equal(t, time.Second, took)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Greater(t, len(f.transport.recorded()), 1)
			})
		})
	}
}

// slowCredentials take their time for the first time.
type slowCredentials struct {
	takes time.Duration
	got   bool
}

func (s *slowCredentials) IsExpired() bool { return !s.got }

func (s *slowCredentials) Retrieve() (credentials.Value, error) {
	time.Sleep(s.takes)
	s.got = true
	return credentials.Value{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
}

func TestCredentialsThatTakeLong(t *testing.T) {
	t.Parallel()
	eachTableCall(t, func(t *testing.T, f *fixture, _ string, call func(context.Context, *table) error) {
		slow := f.newTable(5*time.Second, aws.NewConfig().WithCredentials(
			credentials.NewCredentials(&slowCredentials{takes: 6 * time.Second})))
		var err error
		took := elapsed(func() { err = call(t.Context(), slow) })
		assert.Equal(t, 5*time.Second, took)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, concernsTable(err))
		assert.ErrorContains(t, err, "the AWS credentials could not be obtained")
		assert.ErrorContains(t, err, "gave up after 5s")
		assert.NotContains(t, err.Error(), "network")
		assert.Empty(t, f.transport.recorded())
		time.Sleep(2 * time.Second) // in which they come
		require.NoError(t, call(t.Context(), slow))
	})
}

// Of a call whose time is up while it gets credentials once more, the error is why.
func TestCredentialsThatTakeLongTheSecondTime(t *testing.T) {
	t.Parallel()
	eachTableCall(t, func(t *testing.T, f *fixture, _ string, call func(context.Context, *table) error) {
		provider := &slowCredentials{}
		table := f.newTable(5*time.Second, aws.NewConfig().WithCredentials(credentials.NewCredentials(provider)))
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			provider.takes = 6 * time.Second
			return refusals["expired credentials"].answer(r)
		})
		err := call(t.Context(), table)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "renew them if they have expired")
		time.Sleep(6 * time.Second) // in which they come
	})
}

func TestCancelEndsCallsUnderWay(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]reply{"no answer": blackHole, "between retries": internalError, "throttled": throttled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachTableCall(t, func(t *testing.T, f *fixture, action string, call func(context.Context, *table) error) {
				f.transport.setInterceptor(failing(fail))
				ctx, cancel := context.WithCancel(t.Context())
				result := make(chan error)
				go func() { result <- call(ctx, f.newTable(0)) }()
				synctest.Wait() // the call can't get any further
				canceled := time.Now()
				cancel()
				err := <-result
				assert.Zero(t, time.Since(canceled))
				if action != batchWriteItem || name != "throttled" {
					require.ErrorContains(t, err, "canceled")
				}
			})
		})
	}
}

func TestKeysThatWereReplacedInTheFileAreReadAgain(t *testing.T) {
	t.Parallel()
	eachTableCall(t, func(t *testing.T, f *fixture, _ string, call func(context.Context, *table) error) {
		file := filepath.Join(t.TempDir(), "credentials")
		write := func(id string) {
			keys := "[default]\naws_access_key_id = " + id + "\naws_secret_access_key = secret\n"
			require.NoError(t, os.WriteFile(file, []byte(keys), 0o600))
		}
		write("OLDKEY")
		table := f.newTable(time.Second, aws.NewConfig().WithCredentials(credentials.NewSharedCredentials(file, "default")))
		require.NoError(t, call(t.Context(), table))
		write("NEWKEY")
		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			if strings.Contains(r.http.Header.Get("Authorization"), "OLDKEY") {
				return refusals["unknown credentials"].answer(r)
			}
			return send()
		})
		require.ErrorContains(t, call(t.Context(), table), "AWS does not accept the credentials")
		require.NoError(t, call(t.Context(), table))
	})
}

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
