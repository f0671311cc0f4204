package lddynamodb

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// hasEnded tells whether a store has said so of this many outages.
func (f *fixture) hasEnded(outages int) func() bool {
	return func() bool { return len(f.log.ofStores("INFO:", "can be used again")) == outages }
}

func TestStoreEndsOutageItself(t *testing.T) {
	t.Parallel()
	for faultName, fault := range faults {
		for _, modeName := range []string{"no cache", "cached, RefreshStaleValues", "cached forever"} {
			t.Run(faultName+"/"+modeName, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(outageModes[modeName]...)
					f.transport.setInterceptor(failing(fault.answer))
					began := time.Now()
					require.Error(t, get(store, "any")())
					time.Sleep(5 * time.Second)
					f.transport.reset()

					time.Sleep(time.Minute)
					tries := len(f.transport.recorded())
					assert.InDelta(t, int(time.Minute/fault.interval), tries, 10, "and without the AWS SDK's retries")
					lines := f.log.ofStores()
					require.Len(t, lines, 1)
					assert.Contains(t, lines[0], "WARN:")
					assert.Contains(t, lines[0], `Table "no-table" can't be used: GetItem features/any`)
					assert.Contains(t, lines[0], fault.remedy)

					f.transport.setInterceptor(nil)
					assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), fault.ended+timeStep)

					lasted := time.Since(began)
					assert.NoError(t, get(store, "any")())
					assert.Empty(t, storeGoroutines())
					lines = f.log.ofStores()
					require.Len(t, lines, 2)
					assert.Contains(t, lines[1], "items that were written late: 0")
					assert.InDelta(t, lasted.Seconds(), loggedDuration(t, lines[1]).Seconds(), fault.noticed.Seconds()+0.1)
				})
			})
		}
	}
}

// loggedDuration is how long an outage lasted, by the line about its end.
func loggedDuration(t *testing.T, line string) time.Duration {
	t.Helper()
	found := regexp.MustCompile(`after ([^;]*);`).FindStringSubmatch(line)
	require.Len(t, found, 2, line)
	lasted, err := time.ParseDuration(found[1])
	require.NoError(t, err)
	return lasted
}

// All that fails together is one outage, with one warning and then one in ten
// minutes, however long a request may take.
func TestOutageIsLoggedOnceInTenMinutes(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{
		"default": DefaultRequestTimeout, "none": 0, "long": 90 * time.Second,
	} {
		for _, faultName := range []string{"connection refused", "black hole", "denial"} {
			fault := faults[faultName]
			t.Run(faultName+"/"+name, func(t *testing.T) {
				t.Parallel()
				inFakeTime(t, func(t *testing.T, f *fixture) {
					store := f.newStore(CacheTTL(0), RequestTimeout(timeout))
					f.transport.setInterceptor(failing(fault.answer))
					began := time.Now()
					var callers sync.WaitGroup
					for _, call := range calls {
						for range 5 {
							callers.Go(func() { _, _ = call(store, flag("any", 1)) })
						}
					}
					callers.Wait()
					time.Sleep(32 * time.Minute)

					assert.Len(t, f.log.ofStores("WARN:", "can't be used"), 1)
					lasted := time.Since(began).Minutes() // the calls can take some minutes, where nothing bounds them
					assert.InDelta(t, lasted/10, len(f.log.ofStores("WARN:", "has not been usable for")), 1.5)
					assert.Len(t, f.log.ofStores(fault.remedy), len(f.log.ofStores()), "each says what to do")
				})
			})
		}
	}
}

func TestNoGoroutineWithoutAnOutage(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(*testing.T, *fixture){
		"unused": func(_ *testing.T, f *fixture) { f.newStore() },
		"idle": func(t *testing.T, f *fixture) {
			store := f.newStore()
			for name, call := range calls {
				if name != "Initialized" {
					_, err := call(store, flag("any", 1))
					require.NoError(t, err)
				}
			}
			store.Initialized()
		},
		"offline": func(t *testing.T, f *fixture) {
			factory, err := NewDynamoDBFeatureStoreFactory(f.table, ClientConfig(f.awsConfig(f.transport)))
			require.NoError(t, err)
			for range 100 {
				_, err := factory(ld.Config{Offline: true, UseLdd: true, Loggers: configLoggingTo(f.log).Loggers})
				require.NoError(t, err)
			}
		},
		"with an item that can't be stored": func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore().Upsert(ld.Features, flagOfSize("big", 1, maxItemBytes)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				use(t, f)
				f.transport.reset()
				assert.Empty(t, storeGoroutines())
				time.Sleep(time.Minute)
				assert.Empty(t, f.transport.recorded())
				assert.Empty(t, f.log.ofStores("WARN"))
			})
		})
	}
}

// Initialized returns no error, so the SDK knows nothing of this outage.
func TestOutageThatOnlyInitializedMet(t *testing.T) {
	t.Parallel()
	for name, options := range outageModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				require.NoError(t, f.newStore().Init(allData()))
				store := f.newStore(options...)
				f.transport.setInterceptor(failing(noConnection))
				assert.False(t, store.Initialized())

				f.transport.setInterceptor(nil)
				assert.LessOrEqual(t, timeUntil(t, "Initialized", store.Initialized), 2*time.Second+timeStep)

				timeUntil(t, "the end", f.hasEnded(1))
			})
		})
	}
}

// Only one Init can write at a time. The end of an outage of reads waits for none.
func TestOutageEndsDuringAnInit(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(time.Second), RequestTimeout(0))
		require.NoError(t, store.Init(allData(flag("f", 1))))
		init := f.holdRequest("BatchWriteItem", "").during(initWith(store, flag("f", 2)))
		time.Sleep(2 * time.Second) // the TTL is over
		f.transport.setInterceptor(denying("GetItem"))
		assertGet(t, store, ld.Features, "f", flag("f", 1))
		require.Len(t, f.log.ofStores("WARN:"), 1)

		f.transport.setInterceptor(nil)

		assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), denialInterval+timeStep)
		init.finish()
		assertHas(t, store, flag("f", 2))
	})
}

// The AWS SDK reads a file with credentials once, until they have expired.
func TestOutageEndsWithNewCredentials(t *testing.T) {
	t.Parallel()
	for name, options := range outageModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
				file := filepath.Join(t.TempDir(), "credentials")
				writeCredentials(t, file, "old")
				provider := ClientConfig(aws.NewConfig().WithCredentials(credentials.NewSharedCredentials(file, "")))
				store := f.newStore(append(options, provider)...)
				f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
					if strings.Contains(r.http.Header.Get("Authorization"), "Credential=old/") {
						return answerError(r, http.StatusBadRequest, "ExpiredTokenException", "expired"), nil
					}
					return send()
				})
				require.Error(t, get(store, "f")())

				writeCredentials(t, file, "new")

				assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), 2*time.Second+timeStep)
				assertGet(t, store, ld.Features, "f", flag("f", 1))
			})
		})
	}
}

func writeCredentials(t *testing.T, file, id string) {
	t.Helper()
	content := fmt.Sprintf("[default]\naws_access_key_id=%s\naws_secret_access_key=secret\naws_session_token=token\n", id)
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
}

// Close must not wait for an answer, whatever is being tried.
func TestCloseEndsALateWrite(t *testing.T) {
	t.Parallel()
	for action, lost := range map[string]string{"GetItem": "2", "Query": "[12]", "PutItem": "2", "BatchWriteItem": ""} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				store := f.newStore()
				require.NoError(t, store.Init(allData(flag("removed", 1), flag("f", 1))))
				f.transport.setInterceptor(failing(noConnection))
				require.Error(t, store.Init(allData(flag("f", 1), flag("g", 1, "f"))))
				arrived := make(chan struct{}, 100)
				f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
					arrived <- struct{}{}
					return blackHole(r)
				}, action))
				<-arrived

				assert.Zero(t, elapsed(func() { require.NoError(t, store.(io.Closer).Close()) }))

				assert.Empty(t, slices.DeleteFunc(storeGoroutines(), func(stack string) bool {
					return strings.Contains(stack, "FeatureStoreStatusManager") // the SDK's own, for half a second
				}))
				require.NoError(t, store.(io.Closer).Close())
				time.Sleep(time.Minute)
				warnings := f.log.ofStores("Closed with")
				if lost == "" {
					assert.Empty(t, warnings, "all items are written")
				} else {
					require.Len(t, warnings, 1)
					assert.Regexp(t, "WARN.*Closed with "+lost+" items that table", warnings[0])
				}
				assert.Empty(t, f.log.ofStores("INFO"))
			})
		})
	}
}

// Where reads work, they go on as ever, and writing is tried once in five seconds.
func TestDeniedWrites(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]func(store ld.FeatureStore) error{
		"Upsert": func(store ld.FeatureStore) error { return store.Upsert(ld.Features, flag("new-0", 1)) },
		"Init": func(store ld.FeatureStore) error {
			return store.Init(allData(append(numberedFlags("new", 1000), flag("f", 1))...))
		},
	} {
		for modeName, options := range outageModes {
			t.Run(name+"/"+modeName, func(t *testing.T) {
				t.Parallel()
				inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
					store, another := f.newStore(options...), f.newStore(CacheTTL(0), DynamoClient(f.client))
					require.NoError(t, store.Init(allData(flag("f", 1))))
					f.transport.setInterceptor(denying("PutItem", "BatchWriteItem"))
					require.Error(t, refused(store))

					f.transport.reset()
					for i := range 12 {
						require.NoError(t, another.Upsert(ld.Features, flag("f", i+2)))
						time.Sleep(denialInterval)
						if strings.HasSuffix(modeName, "Async") {
							require.NoError(t, get(store, "f")())
							synctest.Wait()
						}
						if modeName != "cached forever" {
							assertGet(t, store, ld.Features, "f", flag("f", i+2))
						}
						assertGet(t, store, ld.Features, "new-0", flag("new-0", 1))
						require.NoError(t, all(store)())
						_, err := store.All(ld.Segments)
						require.NoError(t, err)
					}
					assert.LessOrEqual(t, len(f.transport.writes()), 13, "one in five seconds")
					assert.Len(t, f.log.ofStores("WARN"), 1)
				})
			})
		}
	}
}

// The table may answer, and refuse writes for other reasons.
func TestLateWriteIsTriedOnceASecond(t *testing.T) {
	t.Parallel()
	for _, faultName := range []string{"internal error", "connection refused", "throttling"} {
		t.Run(faultName, func(t *testing.T) {
			t.Parallel()
			inFakeTime(t, func(t *testing.T, f *fixture) {
				store := f.newStore(CacheTTL(0))
				f.transport.setInterceptor(failing(faults[faultName].answer, "PutItem"))
				require.Error(t, store.Upsert(ld.Features, flag("f", 1)))
				require.Error(t, store.Upsert(ld.Segments, segment("s", 1)))
				time.Sleep(time.Second)
				f.transport.reset()
				time.Sleep(time.Minute)
				assert.InDelta(t, 60, len(f.transport.writes()), 5, "and without the AWS SDK's retries")
				require.NoError(t, get(store, "g")())
				require.NoError(t, all(store)())
				assert.Len(t, f.log.ofStores(), 1)
			})
		})
	}
}

// What is denied may be the reads that come before a write.
func TestInitWhoseQueryIsDeniedIsTriedSeldom(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(0))
		f.transport.setInterceptor(denying("Query"))
		require.Error(t, store.Init(allData(append(numberedFlags("f", 100), segment("s", 1))...)))
		f.transport.reset()

		time.Sleep(time.Minute)

		assert.LessOrEqual(t, len(f.transport.recorded("Query")), 4*13, "one of each kind to find out, one to write")
		assert.LessOrEqual(t, len(f.transport.writes()), 13)
		f.transport.setInterceptor(nil)
		assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), denialInterval+time.Second)
		f.requireHolds(append(numberedFlags("f", 100), segment("s", 1)))
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

func TestLateInitIsTriedSeldomWhileItsQueryIsDenied(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(denying("Query"))
		store := f.newStore()
		require.Error(t, store.Init(allData(flag("a", 1), flag("b", 1))))
		synctest.Wait()
		f.transport.reset()
		const minutes = 1
		time.Sleep(minutes * time.Minute)
		assert.LessOrEqual(t, len(f.transport.writes()), 13)
		assert.LessOrEqual(t, len(f.transport.recorded("Query")), 4*13)
	})
}
