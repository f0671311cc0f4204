package lddynamodb

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A readFault is what makes a table slow or useless. The zero readFault is none.
type readFault struct {
	interceptor
	credentials time.Duration // how long it takes to get some
}

var readFaults = map[string]readFault{
	"answers 1 s late":      {interceptor: answersLate(lateSecond)},
	"answers 3 s late":      {interceptor: answersLate(3 * time.Second)},
	"no answers":            {interceptor: failing(blackHole)},
	"no connection":         {interceptor: failing(noConnection)},
	"broken connections":    {interceptor: failing(brokenConnection)},
	"internal errors":       {interceptor: failing(internalError)},
	"throttling":            {interceptor: failing(throttled)},
	"denials":               {interceptor: denying()},
	"every second one lost": {interceptor: losingHalf(1)},
	"slow credentials":      {credentials: 4 * time.Second},
}

// lateSecond is longer than any read of what is known waits for.
const lateSecond = time.Second + time.Millisecond

// answersLate waits with requests.
func answersLate(delay time.Duration) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		select {
		case <-time.After(delay):
			return send()
		case <-r.http.Context().Done():
			return nil, r.http.Context().Err()
		}
	}
}

// losingHalf loses every second request, from the first or the second on.
func losingHalf(remainder int64) interceptor {
	var requests atomic.Int64
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if requests.Add(1)%2 == remainder {
			return blackHole(r)
		}
		return send()
	}
}

// A slowProvider takes its time for credentials, which are good for one request.
type slowProvider struct{ delay *atomic.Int64 }

func (slowProvider) IsExpired() bool { return true }
func (p slowProvider) Retrieve() (credentials.Value, error) {
	time.Sleep(time.Duration(p.delay.Load()))
	return credentials.Value{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
}

// A staleFixture has a table of some flags that are all of the same version.
type staleFixture struct {
	*fixture
	t           *testing.T
	keys        []string
	credentials atomic.Int64
}

const staleTTL = time.Minute

func inStaleTime(t *testing.T, test func(f *staleFixture)) {
	t.Helper()
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		s := &staleFixture{fixture: f, t: t, keys: []string{"f"}}
		config := f.awsConfig(f.transport).WithCredentials(credentials.NewCredentials(slowProvider{&s.credentials}))
		f.options = []FeatureStoreOption{ClientConfig(config), CacheTTL(staleTTL)}
		test(s)
	})
}

// hold gives the table a version of its flags, and a fault.
func (f *staleFixture) hold(version int, fault readFault) {
	f.t.Helper()
	var flags []*ld.FeatureFlag
	for _, key := range f.keys {
		flags = append(flags, flag(key, version))
	}
	table := holding(f.t, flags...)
	if fault.interceptor != nil {
		table = fault.over(table)
	}
	f.credentials.Store(int64(fault.credentials))
	f.transport.setInterceptor(table)
}

// know makes a store that has read version 1 of the flags, that there is no flag "absent", and all flags if it is to.
// Then it lets the TTL pass.
func (f *staleFixture) know(all bool, options ...FeatureStoreOption) ld.FeatureStore {
	f.t.Helper()
	f.hold(1, readFault{})
	store := f.newStore(options...)
	for _, key := range f.keys {
		assertGet(f.t, store, ld.Features, key, flag(key, 1))
	}
	assertGet(f.t, store, ld.Features, "absent", nil)
	if all {
		_, err := store.All(ld.Features)
		require.NoError(f.t, err)
	}
	time.Sleep(staleTTL)
	f.transport.reset()
	return store
}

// staleReads are the ways to read the flag f, and for how long they may wait for the table if it is known.
var staleReads = map[string]struct {
	patience time.Duration
	version  func(ld.FeatureStore) (int, error)
}{
	"Get": {250 * time.Millisecond, func(s ld.FeatureStore) (int, error) {
		item, err := s.Get(ld.Features, "f")
		return visibleVersion(item), err
	}},
	"All": {time.Second, func(s ld.FeatureStore) (int, error) {
		items, err := s.All(ld.Features)
		return visibleVersion(items["f"]), err
	}},
}

// What is known costs an evaluation 250 ms at most, and that once, whatever happens to the table.
func TestNobodyWaitsForWhatIsKnown(t *testing.T) {
	t.Parallel()
	for faultName, fault := range readFaults {
		for readName, read := range staleReads {
			for policyName, policy := range refreshPolicies {
				t.Run(fmt.Sprintf("%s/%s/%s", faultName, readName, policyName), func(t *testing.T) {
					inStaleTime(t, func(f *staleFixture) {
						store := f.know(readName == "All", StaleValues(policy))
						f.hold(1, fault)
						waits := 0
						readOnce := func() int {
							began := time.Now()
							version, err := read.version(store)
							require.NoError(f.t, err)
							require.LessOrEqual(f.t, time.Since(began), read.patience)
							if time.Since(began) > 0 {
								waits++
							}
							return version
						}
						for range 400 {
							require.Equal(f.t, 1, readOnce())
							time.Sleep(4 * staleTTL / 400)
						}
						switch {
						case policy == RefreshStaleValuesAsync:
							assert.Zero(f.t, waits)
						case faultName == "every second one lost":
							assert.LessOrEqual(f.t, waits, 5, "once a TTL, because the table is quick between")
						default:
							assert.LessOrEqual(f.t, waits, 1)
						}
						f.hold(2, readFaults["none"])
						isNew := func() bool { return readOnce() == 2 }
						assert.LessOrEqual(f.t, timeUntil(f.t, "version 2", isNew), staleTTL+denialPause+time.Second)
						time.Sleep(time.Minute)
						assert.Empty(f.t, storeGoroutines())
					})
				})
			}
		}
	}
}

// A slow table is no outage. Once it is quick again, reads wait for it as before.
func TestTableIsSlowUntilItIsQuickAgain(t *testing.T) {
	t.Parallel()
	for readName, read := range staleReads {
		t.Run(readName, func(t *testing.T) {
			inStaleTime(t, func(f *staleFixture) {
				store := f.know(readName == "All")
				check := func(want int, wantWait time.Duration) {
					f.t.Helper()
					began := time.Now()
					version, err := read.version(store)
					require.NoError(f.t, err)
					assert.Equal(f.t, want, version)
					assert.Equal(f.t, wantWait, time.Since(began))
				}
				f.hold(2, readFaults["answers 3 s late"])
				check(1, read.patience)
				check(1, 0)
				time.Sleep(3 * time.Second)
				check(2, 0) // it was stored in the background
				time.Sleep(staleTTL)
				f.hold(3, readFault{})
				check(2, 0)
				synctest.Wait()
				check(3, 0)
				time.Sleep(staleTTL)
				f.hold(4, readFault{interceptor: answersLate(read.patience - time.Millisecond)})
				check(4, read.patience-time.Millisecond)
				assert.Empty(f.t, f.log.ofStores())
			})
		})
	}
}

// All takes longer by nature.
func TestAllWaitsWhilePagesComeIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pause, wantWait time.Duration
		want            int
	}{
		"in time": {900 * time.Millisecond, 5 * 900 * time.Millisecond, 5},
		"late":    {1100 * time.Millisecond, time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inStaleTime(t, func(f *staleFixture) {
				store := f.know(true)
				var pages atomic.Int64
				f.transport.setInterceptor(answersLate(c.pause).over(failing(func(r *sentRequest) (*http.Response, error) {
					key, last := fmt.Sprint("f", pages.Add(1)), ""
					if key != "f5" {
						last = fmt.Sprintf(`,"LastEvaluatedKey":{"namespace":{"S":"features"},"key":{"S":%q}}`, key)
					}
					return answer(r, http.StatusOK, fmt.Sprintf(`{"Items":[{"key":{"S":%q},"version":{"N":"1"},"item":{"S":%q}}]%s}`,
						key, jsonOf(f.t, flag(key, 1)), last)), nil
				})))
				for _, want := range []int{c.want, 5} {
					began := time.Now()
					items, err := store.All(ld.Features)
					require.NoError(f.t, err)
					assert.Len(f.t, items, want)
					assert.Equal(f.t, c.wantWait, time.Since(began))
					time.Sleep(10 * time.Second)
					c.wantWait = 0
				}
			})
		})
	}
}

func TestBackgroundReadsAreFew(t *testing.T) {
	t.Parallel()
	const flags, most = 80, 16
	for name, policy := range refreshPolicies {
		t.Run(name, func(t *testing.T) {
			inStaleTime(t, func(f *staleFixture) {
				f.keys = nil
				for i := range flags {
					f.keys = append(f.keys, fmt.Sprint("f", i))
				}
				store := f.know(false, StaleValues(policy))
				f.hold(2, readFaults["answers 1 s late"])
				readAll := func() (refreshed int) {
					for _, key := range f.keys {
						item, err := store.Get(ld.Features, key)
						require.NoError(f.t, err)
						refreshed += item.GetVersion() - 1
					}
					synctest.Wait()
					return refreshed
				}
				for range 3 {
					assert.Zero(f.t, readAll())
				}
				assert.Len(f.t, f.transport.recorded(), most)
				timeUntil(f.t, "version 2 of all", func() bool { return readAll() == flags })
				assert.Len(f.t, f.transport.recorded(), flags, "one for each")
			})
		})
	}
}

// An evaluation of a flag that was just made must not miss it for a TTL more.
func TestThatAKeyIsAbsentIsNotServedLate(t *testing.T) {
	t.Parallel()
	for name, policy := range refreshPolicies {
		t.Run(name, func(t *testing.T) {
			inStaleTime(t, func(f *staleFixture) {
				store := f.know(true, StaleValues(policy))
				f.keys = []string{"f", "absent"}
				f.hold(2, readFaults["answers 1 s late"])
				require.NoError(f.t, get(store, "f")()) // the table is slow
				began := time.Now()
				assertGet(f.t, store, ld.Features, "absent", flag("absent", 2))
				assert.Equal(f.t, lateSecond, time.Since(began))
			})
		})
	}
}

// Who has nothing to serve waits for an answer, but not beyond RequestTimeout, nor for what is known to fail.
func TestWhatIsNotKnownIsWaitedFor(t *testing.T) {
	t.Parallel()
	sorts := map[string]func(f *staleFixture) ld.FeatureStore{
		"cold":     func(f *staleFixture) ld.FeatureStore { return f.newStore(RequestTimeout(8 * time.Second)) },
		"TTL zero": func(f *staleFixture) ld.FeatureStore { return f.know(true, CacheTTL(0), RequestTimeout(8*time.Second)) },
		"evicted": func(f *staleFixture) ld.FeatureStore {
			return f.know(true, StaleValues(EvictStaleValues), RequestTimeout(8*time.Second))
		},
	}
	answered := map[string]time.Duration{
		"answers 1 s late": lateSecond, "answers 3 s late": 3 * time.Second, "slow credentials": 4 * time.Second,
	}
	for sort, open := range sorts {
		for faultName, fault := range readFaults {
			for readName, read := range staleReads {
				t.Run(fmt.Sprintf("%s/%s/%s", sort, faultName, readName), func(t *testing.T) {
					inStaleTime(t, func(f *staleFixture) {
						store := open(f)
						f.hold(2, fault)
						began := time.Now()
						version, err := read.version(store)
						waited := time.Since(began)
						assert.LessOrEqual(f.t, waited, 8*time.Second)
						if want, ok := answered[faultName]; ok {
							require.NoError(f.t, err)
							assert.Equal(f.t, 2, version)
							assert.Equal(f.t, want, waited)
							return
						}
						if faultName == "every second one lost" {
							return
						}
						require.Error(f.t, err)
						time.Sleep(time.Second)
						began = time.Now()
						_, err = read.version(store)
						assert.Error(f.t, err)
						assert.Zero(f.t, time.Since(began))
					})
				})
			}
		}
	}
}

// A row that is malformed by now is no outage, but its last good item is better than none. It is read, and logged, as
// seldom as others.
func TestLastGoodItemOfAMalformedRow(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]StaleValuesPolicy{
		"EvictStaleValues": EvictStaleValues, "RefreshStaleValues": RefreshStaleValues, "RefreshStaleValuesAsync": RefreshStaleValuesAsync,
	} {
		t.Run(name, func(t *testing.T) {
			inStaleTime(t, func(f *staleFixture) {
				store := f.know(true, StaleValues(policy))
				const malformed = `{"key":{"S":"f"},"version":{"N":"2"},"item":{"S":"{"}}`
				f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
					if r.action == "Query" {
						return withBody(`{"Items":[` + malformed + `]}`)(r)
					}
					return withBody(`{"Item":` + malformed + `}`)(r)
				})
				for range 100 {
					if policy == EvictStaleValues {
						assertHas(f.t, store, nil)
					} else {
						assertHas(f.t, store, flag("f", 1))
					}
					synctest.Wait()
				}
				assert.LessOrEqual(f.t, len(f.transport.recorded("GetItem")), 1)
				assert.Len(f.t, f.transport.recorded("Query"), 1)
				assert.Len(f.t, f.log.ofStores(), 1)
				assert.Len(f.t, f.log.ofStores("ERROR", "features/f is malformed"), 1)
			})
		})
	}
}

// The key may be a small part of a large string of the application's.
func TestNoStringOfACallerIsKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore(CacheTTL(time.Nanosecond))
	require.NoError(t, store.Init(allData(flag("f", 1))))
	f.transport.setInterceptor(failing(noConnection))
	large := bytes.Repeat([]byte("f"), 1<<20)
	isFreed := make(chan bool)
	runtime.AddCleanup(&large[0], func(freed chan bool) { close(freed) }, isFreed)
	assertGet(t, store, ld.Features, unsafe.String(&large[0], 1), flag("f", 1))
	large = nil
	assert.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-isFreed:
			return true
		default:
			return false
		}
	}, hangGuard, time.Millisecond)
	runtime.KeepAlive(store)
}

// What was evicted isn't all that there is, also if it was nothing, or another item is still fresh.
func TestEvictedSetIsNotServed(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(time.Second), StaleValues(EvictStaleValues))
		other := f.newStore(CacheTTL(0), DynamoClient(f.client))
		for _, item := range []ld.VersionedData{flag("f", 1), flag("g", 1)} {
			require.NoError(t, all(store)())
			require.NoError(t, other.Upsert(ld.Features, item))
			time.Sleep(time.Minute)
			require.NoError(t, get(store, "f")())
			f.transport.setInterceptor(failing(noConnection))
			assert.Error(t, all(store)())
			assert.Error(t, get(store, "g")())
			f.transport.setInterceptor(nil)
			time.Sleep(time.Minute)
		}
	})
}
