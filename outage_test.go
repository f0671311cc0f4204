package lddynamodb

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// faults has ways in which all requests fail.
var faults = map[string]reply{
	"connection refused": noConnection,
	"unknown host":       unknownHost,
	"bad certificate": func(*sentRequest) (*http.Response, error) {
		return nil, &tls.CertificateVerificationError{Err: io.ErrUnexpectedEOF}
	},
	"internal error":     internalError,
	"black hole":         blackHole,
	"missing table":      refusals["missing table"].answer,
	"not from DynamoDB":  withBody("<html>Log in to this network</html>"),
	"throttling":         throttled,
	"denial":             refusals["access denied"].answer,
	"expired credential": refusals["expired credentials"].answer,
}

// differentFaults has those of faults that a store meets in different ways.
var differentFaults = []string{"unknown host", "black hole", "throttling", "denial"}

// unknownHost is a failure that the AWS SDK does not retry.
func unknownHost(*sentRequest) (*http.Response, error) {
	return nil, &net.DNSError{Err: "no such host", Name: "dynamodb.example", IsNotFound: true}
}

func TestKnownOutageIsFailFast(t *testing.T) {
	t.Parallel()
	for faultName, fault := range faults {
		for modeName, options := range outageModes {
			runInFakeTime(t, faultName+"/"+modeName, func(t *testing.T, f *fixture) {
				store := f.newStore(options...)
				f.transport.setInterceptor(holding(t, flag("f", 1)))
				assertGet(t, store, ld.Features, "f", flag("f", 1))
				time.Sleep(2 * time.Second)
				f.transport.setInterceptor(failing(fault))
				known := modeName != "no cache" && modeName != "cached, EvictStaleValues"
				checkCallsFail(t, store, known, 1, DefaultRequestTimeout)
				time.Sleep(30 * time.Millisecond) // between two requests of the keeper
				f.transport.reset()
				checkCallsFail(t, store, known, 2, 0)
				for i := range 200 {
					assert.Zero(t, elapsed(func() { assert.Error(t, get(store, fmt.Sprint("unknown-", i))()) }))
				}
				assert.Empty(t, f.transport.recorded())
			})
		}
	}
}

// checkCallsFail makes a call of each sort that needs the table, and checks that each takes no longer than it may. It
// writes a kind that nothing is read of.
func checkCallsFail(t *testing.T, store ld.FeatureStore, fIsKnown bool, version int, longest time.Duration) {
	t.Helper()
	failing := map[string]func() error{
		"Get":         get(store, "unknown"),
		"Get segment": func() error { _, err := store.Get(ld.Segments, "unknown"); return err },
		"All":         all(store),
		"Upsert":      upsert(store, x(version)),
	}
	if fIsKnown {
		assert.LessOrEqual(t, elapsed(func() { assertGet(t, store, ld.Features, "f", flag("f", 1)) }), min(getPatience, longest))
	} else {
		failing["Get f"] = get(store, "f")
	}
	for name, call := range failing {
		assert.LessOrEqual(t, elapsed(func() { assert.Error(t, call(), name) }), longest, name)
	}
	if longest > 0 { // else it may wait for a late write that is just being made
		data := map[ld.VersionedDataKind]map[string]ld.VersionedData{experiments: {"x": x(version)}}
		assert.LessOrEqual(t, elapsed(func() { assert.Error(t, store.Init(data)) }), 2*longest)
	}
}

// A failure counts at once, and for a moment only: the first look is soon. Of less than an outage nobody hears.
func TestBlipCostsMillisecondsAndIsNotTold(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		for action, call := range callOf {
			runInFakeTime(t, name+"/"+action, func(t *testing.T, f *fixture) {
				const blip = 50 * time.Millisecond
				told := new(toldStatuses)
				store := f.newStore(CacheTTL(0), StatusListener(told.listen))
				began := time.Now().Add(timeStep / 2) // so that no call comes at the same time as a look
				f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
					if r.action == action && time.Since(began) < blip {
						return fault(r)
					}
					return send()
				})
				time.Sleep(timeStep / 2)
				_, err := call(store, flag("f", 1))
				time.Sleep(timeStep / 2)
				lasted := timeUntil(t, "success", func() bool { _, err = call(store, flag("f", 2)); return err == nil })
				assert.LessOrEqual(t, lasted, firstPause+timeStep)
				if name != "black hole" && name != "throttling" { // those take what the AWS SDK or RequestTimeout takes
					assert.Less(t, time.Since(began), time.Second)
				}
				time.Sleep(time.Minute)
				if name == "denial" && action == "BatchWriteItem" {
					assert.Len(t, f.log.ofStores(), 2, "no look tells whether it lasts, and late writes do without it")
				} else {
					assert.Empty(t, f.log.ofStores())
				}
				told.require(t)
				assert.Empty(t, storeGoroutines())
			})
		}
	}
}

// With half of all requests lost, no request takes longer than RequestTimeout.
func TestLostRequests(t *testing.T) {
	t.Parallel()
	for name, call := range calls {
		for first := range int64(2) {
			runInFakeTime(t, fmt.Sprint(name, "/", first), func(t *testing.T, f *fixture) {
				f.transport.setInterceptor(losingHalf(first))
				store := f.newSDKStore(configLoggingTo(f.log), CacheTTL(0))
				for version := range 20 {
					longest := DefaultRequestTimeout
					if name == "Init" {
						longest *= 2 // it makes requests one after the other
					}
					assert.LessOrEqual(t, elapsed(func() { _, _ = call(store, flag("f", version)) }), longest)
				}
			})
		}
	}
}

var rowFaults = map[string]reply{"reset": brokenConnection, "deaf": blackHole, "500": internalError}

// Nothing else is asked for meanwhile, so at first nobody can know that it is the row.
func TestRowThatCantBeReadTakesNothingElseAway(t *testing.T) {
	t.Parallel()
	for faultName, fault := range rowFaults {
		for modeName, options := range outageModes {
			runWithTable(t, faultName+"/"+modeName, func(t *testing.T, f *fixture) {
				require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
				store := f.newStore(options...)
				f.transport.setInterceptor(failingWith(`"key":{"S":"bad`, fault, "GetItem"))
				for i := range 10 {
					for _, key := range []string{"bad", "bad too"} {
						if err := get(store, key)(); i == 0 {
							require.Error(t, err)
						} // else All may have told that there is no such row
						if i == 0 {
							time.Sleep(2 * firstPause)
						}
					}
					assertGet(t, store, ld.Features, "f", flag("f", 1))
					require.NoError(t, get(store, fmt.Sprint("unknown ", i))())
					require.NoError(t, all(store)())
					require.NoError(t, store.Upsert(ld.Segments, segment("s", i+1)))
					time.Sleep(2 * time.Second)
				}
				f.transport.reset()
				time.Sleep(time.Hour)
				assert.Empty(t, f.transport.recorded())
				assert.Empty(t, f.log.ofStores())
				assert.Empty(t, storeGoroutines())
			})
		}
	}
}

// While others are answered, nothing but the row itself tells that it can't be read.
func TestRowThatCantBeReadIsReadOnceASecond(t *testing.T) {
	t.Parallel()
	for _, policy := range []StaleValuesPolicy{RefreshStaleValues, RefreshStaleValuesAsync} {
		runWithTable(t, fmt.Sprint(policy), func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
			config := ClientConfig(f.awsConfig(f.transport).WithMaxRetries(0))
			store := f.newStore(CacheTTL(10*time.Second), StaleValues(policy), config)
			f.transport.setInterceptor(failingWith(`"key":{"S":"f"`, internalError, "GetItem"))
			assertAll(t, store, ld.Features, flag("f", 1))
			time.Sleep(10 * time.Second)
			f.transport.reset()
			for range 100 {
				assertGet(t, store, ld.Features, "f", flag("f", 1))
				time.Sleep(100 * time.Millisecond)
			}
			assert.LessOrEqual(t, len(f.transport.recorded("GetItem")), 20, "and looks at whether that lasts")
		})
	}
}

// If others are answered meanwhile, the table is there.
func TestRequestThatFailsWhileOthersAreAnswered(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
		store := f.newStore(CacheTTL(0))
		f.transport.setInterceptor(failingWith(`"key":{"S":"bad"`, noConnection, "GetItem"))
		held := f.holdResponse("GetItem", `"bad"`)
		result := make(chan error, 1)
		go func() { result <- get(store, "bad")() }()
		<-held.arrived
		assertHas(t, store, flag("f", 1))
		close(held.released)
		require.Error(t, <-result)
		assertHas(t, store, flag("f", 1))
	})
}

// It is tried again, because it has to be in the table, but nothing else waits for it.
func TestRowThatCantBeWrittenTakesNothingElseAway(t *testing.T) {
	t.Parallel()
	for faultName, fault := range rowFaults {
		runWithTable(t, faultName, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0))
			require.NoError(t, store.Init(allData(flag("f", 1))))
			f.transport.setInterceptor(failingWith(`"key":{"S":"bad`, fault, "PutItem"))
			require.Error(t, store.Upsert(ld.Features, flag("bad", 1)))
			time.Sleep(10 * time.Second)
			for i := range 20 {
				assertGet(t, store, ld.Features, "f", flag("f", 1))
				assertGet(t, store, ld.Features, "bad", flag("bad", 1))
				require.NoError(t, all(store)())
				require.NoError(t, store.Upsert(ld.Features, flag("g", i+1)))
				time.Sleep(370 * time.Millisecond)
			}
			f.transport.setInterceptor(nil)
			assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), DefaultRequestTimeout+maxPause+timeStep)
			f.requireHolds([]ld.VersionedData{flag("f", 1), flag("g", 20), flag("bad", 1)})
		})
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
				runWithTable(t, fmt.Sprintf("%s/%s/prefix %q", name, refusal, prefix), func(t *testing.T, f *fixture) {
					require.NoError(t, f.newStore(Prefix(prefix)).Init(allData(flag("f", 1), segment("s", 1))))
					store, other := f.newStore(CacheTTL(0), Prefix(prefix)), f.newStore(CacheTTL(0), Prefix("other"))
					partition := fmt.Sprintf(`{"S":%q}`, strings.TrimPrefix(prefix+":"+c.partition, ":"))
					f.transport.setInterceptor(failingWith(partition, refusals[refusal].answer, c.action))
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
						time.Sleep(10 * time.Second)
					}
					assert.Len(t, f.log.ofStores("WARN", "can't be used"), len(c.fails))
					assert.Len(t, f.log.ofStores(), len(c.fails))
					f.transport.setInterceptor(nil)
					time.Sleep(denialPause + time.Second)
					for name, check := range checks {
						assert.NoError(t, check(store, 3), name)
					}
				})
			}
		}
	}
}

// A process that was sent a data set needs the row no longer that tells of one.
func TestInitEndsTheOutageOfTheRowThatTellsOfADataSet(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		runWithTable(t, mode, func(t *testing.T, f *fixture) {
			store := f.newStore(options...)
			f.transport.setInterceptor(failingWith(`{"S":"$inited"}`, refusals["access denied"].answer, "GetItem"))
			require.False(t, store.Initialized())
			time.Sleep(2 * time.Second)
			assert.Len(t, f.log.ofStores("WARN", "can't be used"), 1)
			require.NoError(t, store.Init(allData(flag("f", 1))))
			assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), 2*maxPause)
			assert.Empty(t, storeGoroutines())
		})
	}
}

// Any answer ends that the table can't be used, a denial too.
func TestWhatEndsAFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault, then interceptor
		getFails    bool
	}{
		"no connection, then a denial":   {failing(noConnection), denying("GetItem"), true},
		"missing table, then throttling": {failing(refusals["missing table"].answer), failing(throttled, "GetItem"), true},
		"throttling, then a denial":      {failing(throttled, "GetItem"), denying("GetItem"), true},
		"throttling, then all is well":   {failing(throttled, "GetItem"), nil, false},
	} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0), ClientConfig(aws.NewConfig().WithMaxRetries(0)))
			f.transport.setInterceptor(c.fault)
			require.Error(t, errors.Join(get(store, "f")(), all(store)()))
			f.transport.setInterceptor(c.then)
			time.Sleep(firstPause + timeStep)
			assert.NoError(t, all(store)())
			assert.Equal(t, c.getFails, get(store, "f")() != nil)
		})
	}
}

// That only this row can't be read was true once.
func TestOutageThatOnlyARowWithABlipMeets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Get", "All"} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(0))
			fail := func() {
				f.transport.setInterceptor(failing(noConnection))
				_, err := calls[name](store, flag("f", 1))
				require.Error(t, err)
			}
			for outages := range 3 {
				for i := range 11 { // the first one is a blip
					fail()
					if i == 0 {
						f.transport.setInterceptor(nil)
					}
					time.Sleep(time.Second)
					assert.Len(t, f.log.ofStores("can't be used"), min(outages+i, outages+1))
				}
				f.transport.setInterceptor(nil)
				time.Sleep(10 * time.Second)
			}
		})
	}
}
