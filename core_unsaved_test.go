package lddynamodb

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// An unsavedFixture is a process whose table has version 1 of the flags f and g,
// of the segment s and of the experiment x.
type unsavedFixture struct {
	*fixture
	t            *testing.T
	store        ld.FeatureStore
	mode, prefix string
}

// testUnsaved runs a test in each mode, in some of them with a prefix.
func testUnsaved(t *testing.T, test func(f *unsavedFixture)) {
	t.Helper()
	for mode := range outageModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			testUnsavedIn(t, mode, test)
		})
	}
}

// testEachWay runs a test for each way in which the table refuses something. The
// most different ones are tested in all modes.
func testEachWay(t *testing.T, ways map[string]interceptor, test func(f *unsavedFixture, refusing interceptor)) {
	t.Helper()
	for way, refusing := range ways {
		for mode := range outageModes {
			if way != "all" && way != "writes" && mode != "no cache" && mode != "cached forever" {
				continue
			}
			t.Run(way+"/"+mode, func(t *testing.T) {
				t.Parallel()
				testUnsavedIn(t, mode, func(f *unsavedFixture) { test(f, refusing) })
			})
		}
	}
}

func testUnsavedIn(t *testing.T, mode string, test func(f *unsavedFixture)) {
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		u := &unsavedFixture{fixture: f, t: t, mode: mode}
		if mode == "no cache" || mode == "cached, RefreshStaleValues" {
			u.prefix = "p"
		}
		u.store = f.newStore(append(outageModes[mode], Prefix(u.prefix))...)
		require.NoError(t, u.store.Init(allKinds(flag("f", 1), flag("g", 1), segment("s", 1), x(1))))
		test(u)
	})
}

// allKinds is allData with the kind that the SDK knows nothing of.
func allKinds(items ...ld.VersionedData) map[ld.VersionedDataKind]map[string]ld.VersionedData {
	data := allData(items...)
	if data[experiments] == nil {
		data[experiments] = map[string]ld.VersionedData{}
	}
	return data
}

func x(version int) *experiment { return &experiment{ID: "x", Revision: version} }

// another makes a store like one of another process, which has no outage.
func (f *unsavedFixture) another() ld.FeatureStore {
	return f.newStore(CacheTTL(0), DynamoClient(f.client), Prefix(f.prefix))
}

// ways has the ways in which a table refuses writes.
var ways = map[string]interceptor{
	"all":                failing(noConnection),
	"all denied":         denying(),
	"writes":             denying("PutItem", "BatchWriteItem"),
	"throttled writes":   failing(throttled, "PutItem", "BatchWriteItem"),
	"unprocessed writes": failing(unprocessedOrThrottled, "PutItem", "BatchWriteItem"),
}

func unprocessedOrThrottled(r *sentRequest) (*http.Response, error) {
	if r.action == "BatchWriteItem" {
		return unprocessed(r)
	}
	return throttled(r)
}

// recover ends the outage, and returns when what waited is written.
func (f *unsavedFixture) recover() {
	f.t.Helper()
	f.transport.reset()
	f.transport.setInterceptor(nil)
	ended := f.hasEnded(len(f.log.ofStores("WARN:", "can't be used")))
	assert.LessOrEqual(f.t, timeUntil(f.t, "the end", ended), denialInterval+time.Second)
}

// checkServed checks that the store has just these items, now and when TTLs have
// run out.
func (f *unsavedFixture) checkServed(want ...ld.VersionedData) {
	f.t.Helper()
	for range 3 {
		if strings.HasSuffix(f.mode, "Async") {
			f.readAll() // what is served at once may be old
		}
		f.checkStore(f.store, want)
		time.Sleep(400 * time.Millisecond) // so that TTLs run out
	}
}

func (f *unsavedFixture) readAll() {
	for _, kind := range []ld.VersionedDataKind{ld.Features, ld.Segments, experiments} {
		_, _ = f.store.All(kind)
		for _, key := range unsavedKeys {
			_, _ = f.store.Get(kind, key)
		}
	}
	synctest.Wait()
}

var unsavedKeys = []string{"f", "g", "s", "x", "removed", "new"}

func (f *unsavedFixture) checkStore(store ld.FeatureStore, want []ld.VersionedData) {
	f.t.Helper()
	for _, kind := range []ld.VersionedDataKind{ld.Features, ld.Segments, experiments} {
		var ofKind []ld.VersionedData
		for _, item := range want {
			if kindOf(item) == kind {
				ofKind = append(ofKind, item)
				assertGet(f.t, store, kind, item.GetKey(), item)
			}
		}
		assertAll(f.t, store, kind, ofKind...)
		for _, key := range unsavedKeys {
			if !slices.ContainsFunc(ofKind, func(item ld.VersionedData) bool { return item.GetKey() == key }) {
				assertGet(f.t, store, kind, key, nil)
			}
		}
	}
	assert.True(f.t, store.Initialized())
}

// checkWritten ends the outage and checks that both processes serve this.
func (f *unsavedFixture) checkWritten(want ...ld.VersionedData) {
	f.t.Helper()
	f.recover()
	f.checkServed(want...)
	f.checkStore(f.another(), want)
}

func (f *unsavedFixture) checkRefused(err error, what string) {
	f.t.Helper()
	assert.ErrorContains(f.t, err, what+": will be written when the table can be used again: ")
	var cause interface{ Code() string }
	assert.ErrorAs(f.t, err, &cause, "the AWS SDK's error is in it")
}

func TestRefusedUpdatesAreServedAndWrittenLater(t *testing.T) {
	t.Parallel()
	testEachWay(t, ways, func(f *unsavedFixture, refusing interceptor) {
		f.checkServed(flag("f", 1), flag("g", 1), segment("s", 1), x(1))
		f.transport.setInterceptor(refusing)
		f.checkRefused(f.store.Upsert(ld.Features, flag("f", 2)), "features/f to version 2")
		f.checkRefused(f.store.Upsert(ld.Features, flag("f", 3)), "features/f to version 3")
		f.checkRefused(f.store.Upsert(ld.Features, flag("f", 3)), "features/f to version 3")
		require.NoError(f.t, f.store.Upsert(ld.Features, flag("f", 2)), "this is none any more")
		f.checkRefused(f.store.Upsert(ld.Features, flag("new", 1)), "features/new to version 1")
		f.checkRefused(f.store.Delete(ld.Features, "g", 2), "features/g to version 2")
		f.checkRefused(f.store.Upsert(ld.Segments, segment("s", 2)), "segments/s to version 2")
		f.checkRefused(f.store.Upsert(experiments, x(2)), "experiments/x to version 2")

		for item, want := range map[ld.VersionedData]ld.VersionedData{
			flag("f", 0): flag("f", 3), flag("new", 0): flag("new", 1), flag("g", 0): nil,
			segment("s", 0): segment("s", 2), x(0): x(2),
		} {
			assertGet(f.t, f.store, kindOf(item), item.GetKey(), want)
		}
		f.checkStore(f.another(), []ld.VersionedData{flag("f", 1), flag("g", 1), segment("s", 1), x(1)})

		f.checkWritten(flag("f", 3), flag("new", 1), segment("s", 2), x(2))

		assert.Len(f.t, f.transport.writes(), 5, "one for each item")
		assert.Len(f.t, f.log.ofStores("items that were written late: 5"), 1)
		assert.Len(f.t, f.log.ofStores(), 2)
	})
}

func TestRefusedInitIsServedAndWrittenLater(t *testing.T) {
	t.Parallel()
	want := []ld.VersionedData{flag("f", 2), flag("new", 1), segment("s", 1), x(2)}
	some := map[string]interceptor{"Query": denying("Query"), "reads": denying("Query", "GetItem")}
	maps.Copy(some, ways)
	testEachWay(t, some, func(f *unsavedFixture, refusing interceptor) {
		f.transport.setInterceptor(refusing)
		f.checkRefused(f.store.Init(allData(want...)), "init")

		f.checkServed(want...)

		f.checkWritten(want...)
		assert.NotContains(f.t, f.rows(), strings.TrimPrefix(f.prefix+":features/g", ":"))
	})
}

// A process that has just started knows nothing of the table.
func TestRefusedFirstInit(t *testing.T) {
	t.Parallel()
	for name, options := range outageModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				store := f.newStore(options...)
				f.transport.setInterceptor(denying())
				require.False(t, store.Initialized())
				require.Error(t, store.Init(allData(flag("f", 1), segment("s", 1))))
				assert.True(t, store.Initialized())
				assertHas(t, store, flag("f", 1))
				assert.Empty(t, f.rows())

				f.transport.setInterceptor(nil)
				timeUntil(t, "the end", f.hasEnded(1))

				f.requireHolds([]ld.VersionedData{flag("f", 1), segment("s", 1)})
			})
		})
	}
}

// Later updates count, and every Init drops what was unsaved before.
func TestRefusedInitAndUpdatesTogether(t *testing.T) {
	t.Parallel()
	testEachWay(t, ways, func(f *unsavedFixture, refusing interceptor) {
		f.transport.setInterceptor(refusing)
		require.Error(f.t, f.store.Upsert(ld.Features, flag("f", 9)))
		require.Error(f.t, f.store.Upsert(ld.Features, flag("removed", 9)))
		require.Error(f.t, f.store.Init(allKinds(flag("f", 8), flag("removed", 9), x(2))))
		require.Error(f.t, f.store.Init(allKinds(flag("f", 7), flag("new", 1), x(3))))
		require.Error(f.t, f.store.Upsert(ld.Features, flag("new", 2)))
		require.Error(f.t, f.store.Delete(experiments, "x", 4))

		f.checkServed(flag("f", 7), flag("new", 2))

		f.checkWritten(flag("f", 7), flag("new", 2))
	})
}

// The SDK may succeed with an Init before the store tries.
func TestInitTakesThePlaceOfWhatWaits(t *testing.T) {
	t.Parallel()
	testUnsaved(t, func(f *unsavedFixture) {
		f.transport.setInterceptor(denying("PutItem", "BatchWriteItem"))
		require.Error(f.t, f.store.Upsert(ld.Features, flag("f", 3)))
		require.Error(f.t, f.store.Upsert(ld.Features, flag("removed", 3)))
		require.Error(f.t, f.store.Upsert(ld.Segments, segment("removed", 3)))
		f.transport.setInterceptor(denying("PutItem"))
		time.Sleep(100 * time.Millisecond)

		require.NoError(f.t, f.store.Init(allKinds(flag("f", 2), x(1))))

		f.checkServed(flag("f", 2), x(1))
		f.checkWritten(flag("f", 2), x(1))
		assert.Empty(f.t, f.transport.writes())
	})
}

// Where another process has written a newer version meanwhile, that counts, at
// equal versions too.
func TestNewerRowsOfOtherProcessesAreTakenOver(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]func(store ld.FeatureStore) error{
		"updates": func(store ld.FeatureStore) error {
			for _, item := range []ld.VersionedData{flag("f", 2), flag("g", 2), segment("s", 5), x(2)} {
				if err := store.Upsert(kindOf(item), item); err == nil {
					return nil
				}
			}
			return io.ErrUnexpectedEOF
		},
		"an Init": func(store ld.FeatureStore) error {
			return store.Init(allKinds(flag("f", 2), flag("g", 2), segment("s", 5), x(2)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			testUnsaved(t, func(f *unsavedFixture) {
				f.transport.setInterceptor(failing(noConnection))
				require.Error(f.t, refused(f.store))
				theirs := x(2)
				if f.mode != "cached forever" {
					theirs.Hypothesis = "theirs"
				}
				require.NoError(f.t, f.another().Upsert(ld.Features, flag("f", 3)))
				require.NoError(f.t, f.another().Delete(ld.Features, "g", 3))
				require.NoError(f.t, f.another().Upsert(ld.Features, flag("new", 1)))
				require.NoError(f.t, f.another().Upsert(ld.Segments, segment("s", 4)))
				require.NoError(f.t, f.another().Upsert(experiments, theirs))
				for _, item := range []ld.VersionedData{flag("f", 2), flag("g", 2), segment("s", 5), x(2)} {
					assertGet(f.t, f.store, kindOf(item), item.GetKey(), item)
				}

				want := []ld.VersionedData{flag("f", 3), flag("new", 1), segment("s", 5), theirs}
				f.recover()
				time.Sleep(2 * time.Second)
				f.checkStore(f.another(), want)
				if name == "updates" {
					for _, item := range want[:1] {
						assertGet(f.t, f.store, ld.Features, "f", item)
					}
					assertGet(f.t, f.store, ld.Features, "g", nil)
				} else {
					f.checkServed(want...)
				}
			})
		})
	}
}

// What an Init left out is deleted only as this process knew it. What another
// process has put there stays.
func TestLateInitLeavesOtherProcessesRowsAlone(t *testing.T) {
	t.Parallel()
	testEachWay(t, ways, func(f *unsavedFixture, refusing interceptor) {
		require.NoError(f.t, f.store.Upsert(ld.Features, flag("removed", 1)))
		f.transport.setInterceptor(refusing)
		require.Error(f.t, f.store.Init(allKinds(flag("f", 2))))
		f.checkServed(flag("f", 2))
		require.NoError(f.t, f.another().Upsert(ld.Features, flag("g", 2)))
		require.NoError(f.t, f.another().Upsert(ld.Features, flag("new", 1)))

		want := []ld.VersionedData{flag("f", 2), flag("g", 2), flag("new", 1)}
		f.recover()
		time.Sleep(2 * time.Second)
		f.checkServed(want...)
		f.checkStore(f.another(), want)
	})
}

// Another process can be faster between the comparison with the table and a write.
func TestLateWriteNeverRollsBackAFasterProcess(t *testing.T) {
	t.Parallel()
	testUnsaved(t, func(f *unsavedFixture) {
		f.transport.setInterceptor(denying())
		require.Error(f.t, f.store.Init(allKinds(flag("a", 1), flag("f", 2), flag("g", 2), segment("s", 1), x(1))))
		var faster sync.Once
		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			response, err := send()
			if r.action == "Query" && strings.Contains(string(r.body), "features\"") {
				faster.Do(func() {
					require.NoError(f.t, f.another().Upsert(ld.Features, flag("f", 3)))
					require.NoError(f.t, f.another().Delete(ld.Features, "g", 3))
				})
			}
			return response, err
		})
		timeUntil(f.t, "the end", f.hasEnded(1))

		f.checkServed(flag("a", 1), flag("f", 3), segment("s", 1), x(1))
		f.checkStore(f.another(), []ld.VersionedData{flag("a", 1), flag("f", 3), segment("s", 1), x(1)})
	})
}
