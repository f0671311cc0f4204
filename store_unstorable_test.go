package lddynamodb

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// An unstorableFixture has a table with version 1 of a flag, and two processes
// that use it.
type unstorableFixture struct {
	*fixture
	t     *testing.T
	store ld.FeatureStore // the one that gets what can't be stored
	other ld.FeatureStore
}

func newUnstorableFixture(t *testing.T, options ...FeatureStoreOption) *unstorableFixture {
	f := &unstorableFixture{fixture: newFixture(t), t: t}
	f.store, f.other = f.newStore(options...), f.newStore(CacheTTL(0))
	require.NoError(t, f.other.Init(allData(flag("big", 1), flag("small", 1))))
	return f
}

// tooLarge makes a version of the flag that DynamoDB can't hold.
func tooLarge(version int) *ld.FeatureFlag { return flagOfSize("big", version, maxItemBytes) }

// assertServes checks what a store has of the flag; nil is nothing.
func (f *unstorableFixture) assertServes(store ld.FeatureStore, want ld.VersionedData) {
	f.t.Helper()
	assertGet(f.t, store, ld.Features, "big", want)
	all, err := store.All(ld.Features)
	require.NoError(f.t, err)
	assert.Equal(f.t, want, all["big"])
}

// assertLogged checks that one line says all there is to know.
func (f *unstorableFixture) assertLogged(version int) {
	f.t.Helper()
	r, err := encodeRow(ld.Features.GetNamespace(), tooLarge(version))
	require.Error(f.t, err)
	assert.Len(f.t, f.log.ofStores(
		"ERROR", "features/big", fmt.Sprintf("version %d ", version), fmt.Sprint(r.size()), fmt.Sprint(maxItemBytes)), 1)
}

func TestInitLeavesOutTooLargeItems(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newUnstorableFixture(t, CacheTTL(ttl))
			largeSegment := segment("big", 1, strings.Repeat("u", maxItemBytes))
			data := allData(tooLarge(2), flag("new", 1, "big"), largeSegment, segment("new", 1))

			require.NoError(t, f.store.Init(data))

			f.requireHolds([]ld.VersionedData{flag("big", 1), flag("new", 1, "big"), segment("new", 1)})
			f.assertServes(f.store, tooLarge(2))
			f.assertServes(f.other, flag("big", 1))
			assertGet(t, f.store, ld.Segments, "big", largeSegment)
			f.assertLogged(2)

			f.transport.reset()
			require.NoError(t, f.store.Init(data))
			assert.Empty(t, f.transport.writes())
			f.assertServes(f.store, tooLarge(2))
			assert.Len(t, f.log.ofStores(), 2, "one line for each of the items, and no more at the next Init")
		})
	}
}

func TestUpsertLeavesOutTooLargeItems(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newUnstorableFixture(t, CacheTTL(ttl))
			f.assertServes(f.store, flag("big", 1)) // so it is cached

			for _, version := range []int{2, 2, 3, 2} {
				require.NoError(t, f.store.Upsert(ld.Features, tooLarge(version)))
			}

			f.requireHolds([]ld.VersionedData{flag("big", 1), flag("small", 1)})
			f.assertServes(f.store, tooLarge(3))
			f.assertServes(f.other, flag("big", 1))
			f.assertLogged(2)
			f.assertLogged(3)
			assert.Len(t, f.log.ofStores(), 2)
		})
	}
}

func TestUpsertOfATooLargeItemThatIsNotNewer(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newUnstorableFixture(t, CacheTTL(ttl))
			require.NoError(t, f.other.Upsert(ld.Features, flag("big", 2)))

			require.NoError(t, f.store.Upsert(ld.Features, tooLarge(2)))
			require.NoError(t, f.store.Upsert(ld.Features, tooLarge(1)))

			f.assertServes(f.store, flag("big", 2))
			assert.Empty(t, f.log.ofStores())
		})
	}
}

// Without an answer, what was last seen in the table tells whether the item is
// newer. An error would have the SDK send everything again, to no effect.
func TestUpsertOfATooLargeItemDuringAnOutage(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newUnstorableFixture(t, CacheTTL(ttl))
			require.NoError(t, f.store.Upsert(ld.Features, flag("big", 5)))
			f.breakDown(func() {
				require.NoError(t, f.store.Upsert(ld.Features, tooLarge(4)))
				if ttl != 0 {
					assertGet(t, f.store, ld.Features, "big", flag("big", 5))
				}
			})
			f.assertServes(f.store, flag("big", 5))

			f.breakDown(func() {
				require.NoError(t, f.store.Upsert(ld.Features, tooLarge(6)))
				assertGet(t, f.store, ld.Features, "big", tooLarge(6))
			})
			f.assertServes(f.store, tooLarge(6))
			f.requireHolds([]ld.VersionedData{flag("big", 5), flag("small", 1)})
		})
	}
}

func TestUpsertOfATooLargeItemThatIsOlderThanTheKeptOne(t *testing.T) {
	t.Parallel()
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newUnstorableFixture(t, CacheTTL(ttl))
			require.NoError(t, f.other.Upsert(ld.Features, flag("big", 6)))
			require.NoError(t, f.store.Upsert(ld.Features, tooLarge(10)))

			require.NoError(t, f.store.Upsert(ld.Features, tooLarge(5)))

			f.assertServes(f.store, tooLarge(10))
		})
	}
}

// A too large item is served until this process gets a newer one, or another
// one with an Init.
func TestWhatTakesTheTooLargeItemsPlace(t *testing.T) {
	t.Parallel()
	otherContent := flagOfSize("big", 3, maxItemBytes+1)
	tests := map[string]struct {
		update func(store ld.FeatureStore) error
		want   ld.VersionedData
	}{
		"newer Upsert": {func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("big", 4)) }, flag("big", 4)},
		"newer Delete": {func(s ld.FeatureStore) error { return s.Delete(ld.Features, "big", 4) }, nil},
		"newer Init":   {func(s ld.FeatureStore) error { return s.Init(allData(flag("big", 4))) }, flag("big", 4)},
		"older Init":   {func(s ld.FeatureStore) error { return s.Init(allData(flag("big", 1))) }, flag("big", 1)},
		"older Init, too large again": {
			func(s ld.FeatureStore) error { return s.Init(allData(tooLarge(2))) }, tooLarge(2),
		},
		"older Init, too large again, of the row's version": {
			func(s ld.FeatureStore) error { return s.Init(allData(tooLarge(1))) }, flag("big", 1),
		},
		"Init of the same version, small": {
			func(s ld.FeatureStore) error { return s.Init(allData(flag("big", 3))) }, flag("big", 3),
		},
		"Init of the same version, with other content": {
			func(s ld.FeatureStore) error { return s.Init(allData(otherContent)) }, otherContent,
		},
		"Init without it":      {func(s ld.FeatureStore) error { return s.Init(allData(flag("small", 1))) }, nil},
		"Upsert, not newer":    {func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag("big", 3)) }, tooLarge(3)},
		"Delete, not newer":    {func(s ld.FeatureStore) error { return s.Delete(ld.Features, "big", 3) }, tooLarge(3)},
		"Upsert of other kind": {func(s ld.FeatureStore) error { return s.Upsert(ld.Segments, segment("big", 9)) }, tooLarge(3)},
	}
	for name, test := range tests {
		for ttlName, ttl := range ttls {
			t.Run(name+"/"+ttlName, func(t *testing.T) {
				t.Parallel()
				f := newUnstorableFixture(t, CacheTTL(ttl))
				require.NoError(t, f.store.Upsert(ld.Features, tooLarge(3)))

				require.NoError(t, test.update(f.store))

				f.assertServes(f.store, test.want)
			})
		}
	}
}

// Where the table is asked again at some time, what another process has put
// there takes the place too, if it is as new.
func TestNewerRowTakesTheTooLargeItemsPlace(t *testing.T) {
	t.Parallel()
	for name, ttl := range map[string]time.Duration{"TTL zero": 0, "TTL positive": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newUnstorableFixture(t, CacheTTL(ttl))
			require.NoError(t, f.store.Init(allData(tooLarge(3))))

			require.NoError(t, f.other.Upsert(ld.Features, flag("big", 2)))
			time.Sleep(10 * ttl)
			f.assertServes(f.store, tooLarge(3))

			require.NoError(t, f.other.Upsert(ld.Features, flag("big", 3)))
			time.Sleep(10 * ttl)
			f.assertServes(f.store, flag("big", 3))

			require.NoError(t, f.other.Init(allData(flag("big", 1)))) // so the too large one is really forgotten
			time.Sleep(10 * ttl)
			f.assertServes(f.store, flag("big", 1))
		})
	}
}

// Until an Init has stored what takes the too large item's place, the row that
// is still there is older than what was served before.
func TestTooLargeItemIsServedDuringInit(t *testing.T) {
	t.Parallel()
	f := newUnstorableFixture(t, CacheTTL(0))
	require.NoError(t, f.store.Upsert(ld.Features, tooLarge(2)))
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action == "BatchWriteItem" {
			f.assertServes(f.store, tooLarge(2))
		}
		return send()
	})

	require.NoError(t, f.store.Init(allData(flag("big", 3), flag("small", 1))))

	f.assertServes(f.store, flag("big", 3))
}

func TestTooLargeItemIsServedDuringAnOutage(t *testing.T) {
	t.Parallel()
	f := newUnstorableFixture(t, CacheTTL(0), RequestTimeout(time.Second))
	require.NoError(t, f.store.Upsert(ld.Features, tooLarge(2)))
	f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
		return answerError(r, http.StatusBadRequest, "AccessDeniedException", "no"), nil
	})
	assertGet(t, f.store, ld.Features, "big", tooLarge(2))
}

func TestItemWithoutJSON(t *testing.T) {
	t.Parallel()
	f := newUnstorableFixture(t, CacheTTL(0))
	noJSON := flag("big", 2)
	noJSON.Variations = []interface{}{math.Inf(1)}

	require.NoError(t, f.store.Init(allData(noJSON, flag("small", 1))))

	f.requireHolds([]ld.VersionedData{flag("big", 1), flag("small", 1)})
	f.assertServes(f.store, noJSON)
	assert.Len(t, f.log.ofStores("ERROR", "features/big", "no JSON"), 1)
}

// Nothing can be stored under these keys. An error would be an outage to the
// SDK, so there is none, and only the process that received the items has them.
func TestKeysThatDynamoDBCannotHold(t *testing.T) {
	t.Parallel()
	keys := []string{"", strings.Repeat("k", maxSortKeyBytes+1), strings.Repeat("é", maxSortKeyBytes/2+1), "not UTF-8: \xff"}
	longest := strings.Repeat("é", maxSortKeyBytes/2)
	for name, ttl := range ttls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
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
