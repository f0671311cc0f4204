package lddynamodb

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// An unstorableFixture has a table with version 1 of the flag f, and two processes that use it.
type unstorableFixture struct {
	*fixture
	store ld.FeatureStore // the one that gets what can't be stored
	other ld.FeatureStore
}

// testUnstorable runs a test with each sort of TTL.
func testUnstorable(t *testing.T, test func(t *testing.T, f *unstorableFixture)) {
	t.Helper()
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &unstorableFixture{fixture: newFixture(t)}
			f.store, f.other = f.newStore(CacheTTL(ttl)), f.newStore(CacheTTL(0))
			require.NoError(t, f.other.Init(allData(flag("f", 1), flag("small", 1))))
			test(t, f)
		})
	}
}

// tooLarge makes a version of the flag that DynamoDB can't hold.
func tooLarge(version int) *ld.FeatureFlag { return flagOfSize("f", version, maxItemBytes) }

// assertServes checks what a store has of the flag, without printing it.
func assertServes(t *testing.T, store ld.FeatureStore, want ld.VersionedData) {
	t.Helper()
	item, err := store.Get(ld.Features, "f")
	require.NoError(t, err)
	assert.True(t, assert.ObjectsAreEqual(want, item), "Get returns another one than wanted, version %d", visibleVersion(item))
	all, err := store.All(ld.Features)
	require.NoError(t, err)
	assert.True(t, assert.ObjectsAreEqual(want, all["f"]), "All returns another one than wanted, version %d", visibleVersion(all["f"]))
}

// assertLogged checks that one line says all there is to know.
func (f *unstorableFixture) assertLogged(t *testing.T, version int) {
	t.Helper()
	r, err := encodeRow(ld.Features.GetNamespace(), tooLarge(version))
	require.Error(t, err)
	assert.Len(t, f.log.ofStores(
		"ERROR", "features/f can't be stored: ", fmt.Sprintf("version %d: ", version), fmt.Sprint(r.size()), fmt.Sprint(maxItemBytes)), 1)
}

func TestTooLargeItemsAreLeftOut(t *testing.T) {
	testUnstorable(t, func(t *testing.T, f *unstorableFixture) {
		large := segment("big", 1, strings.Repeat("u", maxItemBytes))
		data := allData(tooLarge(2), flag("new", 1, "f"), large, segment("new", 1))
		for range 2 {
			require.NoError(t, f.store.Init(data))
			f.requireHolds([]ld.VersionedData{flag("f", 1), flag("new", 1, "f"), segment("new", 1)})
			assertServes(t, f.store, tooLarge(2))
			assertServes(t, f.other, flag("f", 1))
			assertGet(t, f.store, ld.Segments, "big", large)
			f.assertLogged(t, 2)
			assert.Len(t, f.log.ofStores(), 2, "one line for each of the items, and no more at the next Init")
		}
		for _, version := range []int{3, 3, 4, 2} {
			require.NoError(t, f.store.Upsert(ld.Features, tooLarge(version)))
		}
		assertServes(t, f.store, tooLarge(4))
		assertServes(t, f.other, flag("f", 1))
		f.assertLogged(t, 4)
		assert.Len(t, f.log.ofStores(), 4)
	})
}

// A too large item is served until this process gets a newer one, or another one with an Init.
func TestWhatTakesTheTooLargeItemsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		update func(store ld.FeatureStore) error
		want   ld.VersionedData
	}{
		"newer update":                    {func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 4)) }, flag("f", 4)},
		"newer Delete":                    {func(s ld.FeatureStore) error { return s.Delete(ld.Features, "f", 4) }, nil},
		"older Init":                      {func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 1))) }, flag("f", 1)},
		"older Init, too large again":     {func(s ld.FeatureStore) error { return s.Init(allData(tooLarge(2))) }, tooLarge(2)},
		"Init of the same version, small": {func(s ld.FeatureStore) error { return s.Init(allData(flag("f", 3))) }, flag("f", 3)},
		"Init without it":                 {func(s ld.FeatureStore) error { return s.Init(allData(flag("small", 1))) }, nil},
		"update, not newer":               {func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("f", 3)) }, tooLarge(3)},
		"Delete, not newer":               {func(s ld.FeatureStore) error { return s.Delete(ld.Features, "f", 3) }, tooLarge(3)},
	} {
		t.Run(name, func(t *testing.T) {
			testUnstorable(t, func(t *testing.T, f *unstorableFixture) {
				require.NoError(t, f.store.Upsert(ld.Features, tooLarge(3)))
				require.NoError(t, c.update(f.store))
				assertServes(t, f.store, c.want)
			})
		})
	}
}

// Where the table is asked again, what another process has put there takes the place too, if it is as new.
func TestNewerRowTakesTheTooLargeItemsPlace(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]time.Duration{"no cache": 0, "expires": time.Second} {
		runWithTable(t, name, func(t *testing.T, f *fixture) {
			store, other := f.newStore(CacheTTL(ttl)), f.newStore(CacheTTL(0))
			require.NoError(t, store.Init(allData(tooLarge(3))))
			check := func(want ld.VersionedData, theirs func() error) {
				require.NoError(t, theirs())
				time.Sleep(ttl)
				assertServes(t, store, want)
			}
			check(tooLarge(3), upsert(other, flag("f", 2)))
			check(flag("f", 3), upsert(other, flag("f", 3)))
			check(flag("f", 1), initWith(other, flag("f", 1))) // so the too large one is really forgotten
		})
	}
}

func invalid(r *sentRequest) (*http.Response, error) {
	return answerError(r, http.StatusBadRequest, "ValidationException", "One or more parameter values were invalid: nesting"), nil
}

// DynamoDB may call an item invalid that looks valid. Nothing waits for it.
func TestItemThatDynamoDBCallsInvalid(t *testing.T) {
	t.Parallel()
	want := slices.Concat([]ld.VersionedData{flag("new", 2)}, numberedFlags("a", 60), []ld.VersionedData{flag("f", 2), segment("s", 2), x(2)})
	for when, late := range map[string]bool{"at once": false, "late": true} {
		t.Run(when, func(t *testing.T) {
			testUnsaved(t, func(f *unsavedFixture) {
				refusing := refusingWriteOf("features/new", invalid)
				if late {
					f.transport.setInterceptor(failing(noConnection))
					require.Error(f.t, f.init(want...))
					time.Sleep(time.Second)
					f.transport.setInterceptor(refusing)
					timeUntil(f.t, "the end", f.hasEnded(1))
				} else {
					f.transport.setInterceptor(refusing)
					require.NoError(f.t, f.init(want...))
				}
				require.NoError(f.t, f.upsert(flag("new", 3)))
				f.checkServed(append(slices.Clip(want[1:]), flag("new", 3))...)
				f.checkStore(f.another(), want[1:])
				assert.Len(f.t, f.log.ofStores("ERROR", "only this process has the item"), 2)
				f.transport.reset()
				time.Sleep(time.Minute)
				assert.Empty(f.t, f.transport.writes())
				assert.Empty(f.t, storeGoroutines())
			})
		})
	}
}

// What is known of an older version says nothing of a newer one that is being written.
func TestNewerItemThanTheOneThatDynamoDBCallsInvalid(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		runWithTable(t, mode, func(t *testing.T, f *fixture) {
			store := f.newStore(options...)
			f.transport.setInterceptor(failing(invalid))
			older, newer := f.holdResponse("PutItem", ""), f.holdRequest("PutItem", "")
			var calls errgroup.Group
			calls.Go(func() error { return store.Upsert(ld.Features, flag("f", 2)) })
			<-older.arrived
			f.transport.setInterceptor(nil)
			calls.Go(func() error { return store.Upsert(ld.Features, flag("f", 3)) })
			<-newer.arrived
			close(older.released)
			synctest.Wait()
			assertGet(t, store, ld.Features, "f", flag("f", 3))
			close(newer.released)
			require.NoError(t, calls.Wait())
			f.requireHoldsItem(f.rows(), flag("f", 3))
		})
	}
}

// Nothing can be stored under these keys. An error would be an outage to the SDK, so there is none, and only the
// process that received the items has them.
func TestKeysThatDynamoDBCannotHold(t *testing.T) {
	t.Parallel()
	keys := []string{"", strings.Repeat("k", maxSortKeyBytes+1), strings.Repeat("é", maxSortKeyBytes/2+1), "not UTF-8: \xff"}
	longest := strings.Repeat("é", maxSortKeyBytes/2)
	for name, ttl := range ttls {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(ttl))
			items := []ld.VersionedData{flag(longest, 1)}
			for _, key := range keys {
				items = append(items, flag(key, 1))
			}
			require.NoError(t, store.Init(allData(items...)))
			assertAll(t, store, ld.Features, items...)
			f.transport.reset()
			for _, key := range keys {
				assertGet(t, store, ld.Features, key, flag(key, 1))
				require.NoError(t, store.Upsert(ld.Features, flag(key, 2)))
				assertGet(t, store, ld.Features, key, flag(key, 2))
				require.NoError(t, store.Delete(ld.Features, key, 3))
				assertGet(t, store, ld.Features, key, nil)
				assertGet(t, f.newStore(CacheTTL(ttl)), ld.Features, key, nil)
			}
			assert.Empty(t, f.transport.recorded())
			f.requireHolds([]ld.VersionedData{flag(longest, 1)})
			assertGet(t, store, ld.Features, longest, flag(longest, 1))
			assertAll(t, store, ld.Features, flag(longest, 1))
			assert.Len(t, f.log.ofStores("ERROR", "isn't a valid sort key"), 3*len(keys))
		})
	}
}

// setKind has items that are values and can't be compared.
type setKind struct{}

func (setKind) GetNamespace() string        { return "sets" }
func (setKind) GetDefaultItem() interface{} { return &set{} }
func (setKind) MakeDeletedItem(key string, version int) ld.VersionedData {
	return set{Key: key, Version: version, Deleted: true}
}

type set struct {
	Key     string          `json:"key"`
	Version int             `json:"version"`
	Deleted bool            `json:"deleted,omitempty"`
	Members map[string]bool `json:"members"`
}

func (s set) GetKey() string  { return s.Key }
func (s set) GetVersion() int { return s.Version }
func (s set) IsDeleted() bool { return s.Deleted }

func TestItemsThatCannotBeCompared(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		runWithTable(t, mode, func(t *testing.T, f *fixture) {
			store := f.newStore(options...)
			item := func(version int) set { return set{Key: "s", Version: version, Members: map[string]bool{"m": true}} }
			initially := map[ld.VersionedDataKind]map[string]ld.VersionedData{setKind{}: {"s": item(1), "removed": set{Key: "removed"}}}
			require.NoError(t, store.Init(initially))
			require.NoError(t, store.Upsert(setKind{}, item(2)))
			f.transport.setInterceptor(denying())
			require.Error(t, store.Init(map[ld.VersionedDataKind]map[string]ld.VersionedData{setKind{}: {"s": item(3)}}))
			require.Error(t, store.Upsert(setKind{}, item(4)))
			assertAll(t, store, setKind{}, item(4))
			time.Sleep(time.Second)
			f.transport.setInterceptor(nil)
			timeUntil(t, "the end", f.hasEnded(1))
			for range 2 {
				require.NoError(t, get(store, "s")())
				items, err := store.All(setKind{})
				require.NoError(t, err)
				require.Len(t, items, 1)
				assert.Equal(t, 4, items["s"].GetVersion())
				time.Sleep(time.Second)
			}
		})
	}
}

// As with the SDK's own stores, the caller can recover from it, and go on.
func TestNilItemsPanicInTheCaller(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		for _, store := range []ld.FeatureStore{f.newStore(), f.newSDKStore(configLoggingTo(f.log))} {
			for _, item := range []ld.VersionedData{nil, (*ld.FeatureFlag)(nil)} {
				assert.Panics(t, func() { _ = store.Upsert(ld.Features, item) })
				assert.Panics(t, func() {
					_ = store.Init(map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: {"f": item}})
				})
			}
			require.NoError(t, store.Init(allData(flag("f", 1))))
			assertHas(t, store, flag("f", 1))
		}
	})
}

// It came after the Init, so the Init does not replace it.
func TestUnstorableUpdateDuringAnInit(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		for name, initially := range map[string]ld.VersionedData{"new version": flag("f", 1), "new flag": flag("g", 1)} {
			runWithTable(t, mode+"/"+name, func(t *testing.T, f *fixture) {
				store := f.newStore(options...)
				init := f.holdResponse("BatchWriteItem", "").during(initWith(store, initially))
				require.NoError(t, store.Upsert(ld.Features, tooLarge(2)))
				assertGet(t, store, ld.Features, "f", tooLarge(2))
				init.finish()
				assertHas(t, store, tooLarge(2))
			})
		}
	}
}
