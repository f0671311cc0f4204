package lddynamodb

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A fault is a way in which all requests fail.
type fault struct {
	answer   reply
	noticed  time.Duration // for how long at most it holds up a caller, all calls together
	ended    time.Duration // how long at most the store takes to notice its end
	interval time.Duration // between two tries of the store
	remedy   string
}

var faults = map[string]fault{
	"connection refused": {noConnection, 2 * time.Second, 2 * time.Second, time.Second, "nothing listens at the endpoint"},
	"unknown host": {func(*sentRequest) (*http.Response, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "dynamodb.example", IsNotFound: true}
	}, 2 * time.Second, 2 * time.Second, time.Second, "host name can't be resolved"},
	"bad certificate": {func(*sentRequest) (*http.Response, error) {
		return nil, &tls.CertificateVerificationError{Err: io.ErrUnexpectedEOF}
	}, 2 * time.Second, 2 * time.Second, time.Second, "the TLS connection failed"},
	"internal error": {internalError, 2 * time.Second, 2 * time.Second, time.Second, "DynamoDB failed internally"},
	"black hole":     {blackHole, 4 * time.Second, 2 * time.Second, time.Second, "there was no answer in time"},
	// The AWS SDK's retries are made for it, and there is no hurry.
	"throttling": {throttled, time.Minute, 2 * time.Second, time.Second, "DynamoDB is throttling"},
	"denial":     {refusals["access denied"].answer, 0, denialInterval, denialInterval, "add it to their IAM policy"},
}

// outageModes has each TTL with each policy.
var outageModes = map[string][]FeatureStoreOption{
	"no cache":                        {CacheTTL(0)},
	"cached forever":                  {CacheTTL(-1)},
	"cached, EvictStaleValues":        {CacheTTL(time.Second), StaleValues(EvictStaleValues)},
	"cached, RefreshStaleValues":      {CacheTTL(time.Second), StaleValues(RefreshStaleValues)},
	"cached, RefreshStaleValuesAsync": {CacheTTL(time.Second), StaleValues(RefreshStaleValuesAsync)},
}

// keepsOldValues has those of outageModes in which a known value is served during
// an outage.
var keepsOldValues = []string{"cached forever", "cached, RefreshStaleValues", "cached, RefreshStaleValuesAsync"}

func TestKnownOutageIsFailFast(t *testing.T) {
	t.Parallel()
	for faultName, fault := range faults {
		for modeName, options := range outageModes {
			t.Run(faultName+"/"+modeName, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(options...)
					f.transport.setInterceptor(holding(t, flag("f", 1)))
					assertGet(t, store, ld.Features, "f", flag("f", 1))
					time.Sleep(2 * time.Second)
					f.transport.setInterceptor(failing(fault.answer))

					known := slices.Contains(keepsOldValues, modeName)
					assert.LessOrEqual(t, elapsed(func() { checkCallsFail(t, store, known, 1) }), fault.noticed)

					// Between two tries of the store, so that they don't count.
					time.Sleep(30 * time.Millisecond)
					f.transport.reset()
					assert.Zero(t, elapsed(func() {
						checkCallsFail(t, store, known, 2)
						for i := range 200 {
							assert.Error(t, get(store, fmt.Sprint("unknown-", i))())
						}
					}))
					assert.Empty(t, f.transport.recorded())
				})
			})
		}
	}
}

// checkCallsFail makes a call of each sort that needs the table. It writes a kind
// that nothing is read of.
func checkCallsFail(t *testing.T, store ld.FeatureStore, fIsKnown bool, version int) {
	if fIsKnown {
		assertGet(t, store, ld.Features, "f", flag("f", 1))
	} else {
		assert.Error(t, get(store, "f")())
	}
	assert.Error(t, get(store, "unknown")())
	assert.Error(t, all(store)())
	_, err := store.Get(ld.Segments, "unknown")
	assert.Error(t, err)
	_, err = store.All(ld.Segments)
	assert.Error(t, err)
	if version == 1 {
		assert.False(t, store.Initialized())
	}
	const promise = "will be written when the table can be used again"
	x := &experiment{ID: "x", Revision: version}
	assert.ErrorContains(t, store.Upsert(experiments, x), promise)
	data := map[ld.VersionedDataKind]map[string]ld.VersionedData{experiments: {"x": x}}
	assert.ErrorContains(t, store.Init(data), promise)
}

// Those that wait for the table, or in the AWS SDK's pauses between attempts, wait
// no longer than the first.
func TestCallsUnderWayEndWhenAnOutageIsKnown(t *testing.T) {
	t.Parallel()
	t.Run("without an answer", func(t *testing.T) {
		t.Parallel()
		inFakeTime(t, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0), RequestTimeout(time.Hour))
			f.transport.setInterceptor(failing(blackHole))
			began := time.Now()
			var callers sync.WaitGroup
			for i := range 200 {
				callers.Go(func() {
					time.Sleep(time.Duration(i) * 10 * time.Millisecond)
					assert.Error(t, get(store, fmt.Sprint(i))())
				})
				callers.Go(func() { assert.Error(t, all(store)()) })
			}
			callers.Wait()
			assert.LessOrEqual(t, time.Since(began), 4*time.Second)
			assert.Len(t, f.log.ofStores(), 1)
		})
	})

	t.Run("between attempts", func(t *testing.T) {
		t.Parallel()
		inFakeTime(t, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0), RequestTimeout(time.Hour))
			f.transport.setInterceptor(failing(throttled))
			ended := make(chan error, 1)
			go func() { ended <- get(store, "f")() }()
			time.Sleep(20 * time.Millisecond)
			require.NotEmpty(t, f.transport.recorded("GetItem"))

			f.transport.setInterceptor(failing(noConnection))
			require.Error(t, all(store)())

			assert.Zero(t, elapsed(func() { assert.Error(t, <-ended) }))
		})
	})
}

// One request that fails says nothing, and what the AWS SDK's retries get through
// is no outage.
func TestTransientFailureIsNoOutage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer reply
		times  int32
	}{
		"lost packet":        {blackHole, 1},
		"connection refused": {noConnection, 1},
		"unknown host":       {faults["unknown host"].answer, 1},
		"broken connection":  {brokenConnection, 1},
		"internal error":     {internalError, 1},
		"denial":             {refusals["access denied"].answer, 1},
		"throttling":         {throttled, 2},
	} {
		for action, call := range callOf {
			t.Run(name+"/"+action, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(CacheTTL(0))
					var failed atomic.Int32
					f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
						if r.action == action && failed.Add(1) <= c.times {
							return c.answer(r)
						}
						return send()
					})

					_, err := call(store, flag("f", 1))

					require.NoError(t, err)
					assert.Empty(t, f.log.ofStores())
					assert.Empty(t, storeGoroutines())
					require.Greater(t, failed.Load(), c.times)
				})
			})
		}
	}
}

// onPartition makes requests of an action on one partition fail.
func onPartition(partition, action string, fail reply) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action == action && strings.Contains(string(r.body), fmt.Sprintf(`{"S":%q}`, partition)) {
			return fail(r)
		}
		return send()
	}
}

// Policies name actions, and partition keys as well. Throttling is of a partition.
func TestRefusalConcernsOneActionOnOnePartition(t *testing.T) {
	t.Parallel()
	checks := map[string]func(store ld.FeatureStore, version int) error{
		"Initialized":      func(s ld.FeatureStore, v int) error { _, err := calls["Initialized"](s, nil); return err },
		"Get":              func(s ld.FeatureStore, v int) error { return get(s, "f")() },
		"All":              func(s ld.FeatureStore, v int) error { return all(s)() },
		"Get segment":      func(s ld.FeatureStore, v int) error { _, err := s.Get(ld.Segments, "s"); return err },
		"All segments":     func(s ld.FeatureStore, v int) error { _, err := s.All(ld.Segments); return err },
		"All experiments":  func(s ld.FeatureStore, v int) error { _, err := s.All(experiments); return err },
		"Upsert":           func(s ld.FeatureStore, v int) error { return s.Upsert(ld.Features, flag("new", v)) },
		"Upsert a segment": func(s ld.FeatureStore, v int) error { return s.Upsert(ld.Segments, segment("new", v)) },
	}
	for name, c := range map[string]struct {
		partition, action string
		fails             []string
	}{
		"GetItem of $inited":       {"$inited", "GetItem", []string{"Initialized"}},
		"GetItem":                  {"features", "GetItem", []string{"Get"}},
		"Query":                    {"features", "Query", []string{"All"}},
		"PutItem":                  {"features", "PutItem", []string{"Upsert"}},
		"Query of segments":        {"segments", "Query", []string{"All segments"}},
		"Query of another kind":    {"experiments", "Query", []string{"All experiments"}},
		"GetItem of another table": {"elsewhere", "GetItem", nil},
	} {
		for _, refusal := range []string{"access denied", "throttling"} {
			for _, prefix := range []string{"", "p"} {
				t.Run(fmt.Sprintf("%s/%s/prefix %q", name, refusal, prefix), func(t *testing.T) {
					t.Parallel()
					inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
						require.NoError(t, f.newStore(Prefix(prefix)).Init(allData(flag("f", 1), segment("s", 1))))
						store, other := f.newStore(CacheTTL(0), Prefix(prefix)), f.newStore(CacheTTL(0), Prefix("other"))
						partition := strings.TrimPrefix(prefix+":"+c.partition, ":")
						f.transport.setInterceptor(onPartition(partition, c.action, refusals[refusal].answer))
						for version := range 2 { // the second time, it is known
							for name, check := range checks {
								if slices.Contains(c.fails, name) {
									assert.Error(t, check(store, version), name)
								} else {
									assert.NoError(t, check(store, version), name)
								}
								if name != "Initialized" {
									assert.NoError(t, check(other, version), "another prefix: "+name)
								}
							}
						}
						assert.Len(t, f.log.ofStores("WARN"), len(c.fails))
					})
				})
			}
		}
	}
}

// A policy for a connected process need not allow to read $inited: the Init writes
// it then.
func TestInitWithoutPermissionForInited(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(0))
		f.transport.setInterceptor(onPartition("$inited", "GetItem", refusals["access denied"].answer))
		require.NoError(t, store.Init(allData(flag("f", 1))))
		require.NoError(t, store.Init(allData(flag("f", 2))))
		f.requireHolds([]ld.VersionedData{flag("f", 2)})
		assertHas(t, store, flag("f", 2))
	})
}

// A request that fails after an outage's end, and began before it, says nothing of
// the time since.
func TestFailureThatBeganBeforeTheLastOutageEnded(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]struct {
		answer reply
		times  int // requests that fail
	}{
		"denial":             {refusals["access denied"].answer, 1},
		"connection refused": {noConnection, 2},
		"internal error":     {internalError, 2},
		"missing table":      {refusals["missing table"].answer, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(0), RequestTimeout(time.Hour))
				go_ := make(chan struct{})
				var queriesFail atomic.Bool
				queriesFail.Store(true)
				seen := 0
				f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
					if r.action == "Query" && queriesFail.Load() {
						return refusals["access denied"].answer(r)
					}
					if !strings.Contains(string(r.body), `"slow"`) {
						return send()
					}
					if seen++; seen == 1 {
						<-go_
					}
					if seen <= late.times {
						return late.answer(r)
					}
					return send()
				})
				slow := make(chan error, 1)
				go func() { slow <- get(store, "slow")() }()
				time.Sleep(time.Second)
				require.Error(t, all(store)())
				queriesFail.Store(false)
				timeUntil(t, "the end", func() bool { return len(f.log.ofStores("can be used again")) == 1 })

				close(go_)

				assert.NoError(t, <-slow)
				time.Sleep(time.Minute)
				assert.Len(t, f.log.ofStores(), 2)
				assert.Equal(t, late.times+1, seen)
			})
		})
	}
}

func TestClosedStoreHasNoOutages(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		f.transport.setInterceptor(failing(brokenConnection))
		require.NoError(t, store.(io.Closer).Close())

		for name, call := range calls {
			_, err := call(store, flag("any", 1))
			require.Error(t, err, name)
		}

		assert.False(t, store.Initialized(), "nothing came of the Init")
		assert.Empty(t, f.log.ofStores())
		assert.Empty(t, f.transport.recorded())
		assert.Empty(t, slices.DeleteFunc(storeGoroutines(), func(stack string) bool {
			return strings.Contains(stack, "FeatureStoreStatusManager") // the SDK's own, for half a second
		}))
	})
}
