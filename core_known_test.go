package lddynamodb

import (
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A countingKind is that of experiments, and counts how many are decoded.
type countingKind struct {
	experimentKind
	decoded *atomic.Int64
}

func newCountingKind() countingKind { return countingKind{decoded: new(atomic.Int64)} }

func (k countingKind) GetDefaultItem() interface{} {
	k.decoded.Add(1)
	return k.experimentKind.GetDefaultItem()
}

// mapOf tells one map from another with the same contents.
func mapOf(items map[string]ld.VersionedData) uintptr { return reflect.ValueOf(items).Pointer() }

// readingModes has modes in which each read reads the table.
var readingModes = map[string][]FeatureStoreOption{
	"no cache":        {CacheTTL(0)},
	"expires at once": {CacheTTL(time.Nanosecond), StaleValues(EvictStaleValues)},
	"refreshed":       {CacheTTL(time.Nanosecond), StaleValues(RefreshStaleValues)},
}

func TestUnchangedRowsAreNotDecodedAgain(t *testing.T) {
	t.Parallel()
	for mode, options := range readingModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			kind := newCountingKind()
			writer, store := f.newStore(), f.newStore(options...)
			require.NoError(t, writer.Upsert(experiments, &experiment{ID: "a", Revision: 1}))
			require.NoError(t, writer.Upsert(experiments, &experiment{ID: "b", Revision: 1}))
			require.NoError(t, writer.Delete(experiments, "deleted", 1))
			f.transport.reset()

			for range 3 {
				assertAll(t, store, kind, &experiment{ID: "a", Revision: 1}, &experiment{ID: "b", Revision: 1})
				assertGet(t, store, kind, "a", &experiment{ID: "a", Revision: 1})
				assertGet(t, store, kind, "deleted", nil)
			}
			assert.Len(t, f.transport.recorded(), 9)
			assert.EqualValues(t, 3, kind.decoded.Load())

			require.NoError(t, writer.Upsert(experiments, &experiment{ID: "a", Revision: 2}))
			for range 3 {
				assertAll(t, store, kind, &experiment{ID: "a", Revision: 2}, &experiment{ID: "b", Revision: 1})
			}
			assert.EqualValues(t, 4, kind.decoded.Load(), "one row has changed")
		})
	}
}

// What this process wrote, or found in the table as it was to be, it need not
// decode at all.
func TestRowsOfThisProcessAreNotDecoded(t *testing.T) {
	t.Parallel()
	for mode, options := range readingModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			kind := newCountingKind()
			found, written, updated := &experiment{ID: "found"}, &experiment{ID: "written"}, &experiment{ID: "updated"}
			require.NoError(t, f.newStore().Upsert(experiments, found))
			store := f.newStore(options...)
			data := allData()
			data[kind] = map[string]ld.VersionedData{"found": found, "written": written}
			require.NoError(t, store.Init(data))
			require.NoError(t, store.Upsert(kind, updated))
			f.transport.reset()

			items, err := store.All(kind)

			require.NoError(t, err)
			assert.Len(t, f.transport.recorded("Query"), 1)
			for _, item := range []*experiment{found, written, updated} {
				assert.Same(t, item, items[item.ID])
			}
			assert.Zero(t, kind.decoded.Load())
		})
	}
}

// The table may have been filled from another environment.
func TestRowsOfTheSameVersionWithOtherContentAreDecoded(t *testing.T) {
	t.Parallel()
	before := flag("f", 7)
	asLong := flag("f", 7)
	asLong.Salt = strings.ToUpper(before.Salt)
	for name, after := range map[string]*ld.FeatureFlag{"as long": asLong, "longer": flagOfSize("f", 7, 100)} {
		for mode, options := range readingModes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				readers := []ld.FeatureStore{f.newStore(options...), f.newStore(options...)}
				require.NoError(t, readers[0].Init(allData(before)))
				for _, store := range readers {
					assertHas(t, store, before)
				}

				require.NoError(t, f.newStore().Init(allData(after)))

				for _, store := range readers {
					assertHas(t, store, after)
				}
			})
		}
	}
}

// Its version is in the row and in the JSON, so this one is malformed.
func TestRowsOfAnotherVersionWithTheSameContentAreDecoded(t *testing.T) {
	t.Parallel()
	for mode, options := range readingModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			store := f.newStore(options...)
			require.NoError(t, store.Init(allData(flag("f", 7))))
			assertHas(t, store, flag("f", 7))

			f.putFlagRow("f", rawItem{versionAttribute: number("8"), itemAttribute: text(jsonOf(t, flag("f", 7)))})

			assertAll(t, store, ld.Features)
			assert.Len(t, f.log.ofStores("ERROR:", "features/f is malformed"), 1)
		})
	}
}

// A row that was gone meanwhile is there again as it was.
func TestRowsThatComeBackAreServed(t *testing.T) {
	t.Parallel()
	for mode, options := range readingModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			store := f.newStore(options...)
			for range 2 {
				require.NoError(t, f.newStore().Init(allData(flag("f", 7))))
				assertHas(t, store, flag("f", 7))
				require.NoError(t, f.newStore().Init(allData()))
				assertHas(t, store, nil)
			}
		})
	}
}

func TestAllReturnsTheSameMapWhereNothingChanged(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]StaleValuesPolicy{"evicted": EvictStaleValues, "refreshed": RefreshStaleValues} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			storeFlags(t, f)
			store := f.newStore(CacheTTL(time.Nanosecond), StaleValues(policy))
			readAll := func() uintptr {
				items, err := store.All(ld.Features)
				require.NoError(t, err)
				return mapOf(items)
			}
			first := readAll()
			assert.Equal(t, first, readAll())
			assert.Len(t, f.transport.recorded("Query"), 2+2, "Init's and All's")

			require.NoError(t, f.newStore().Upsert(ld.Features, flag("f", 2)))
			changed := readAll()
			assert.NotEqual(t, first, changed)
			require.NoError(t, f.newStore().Delete(ld.Features, "deleted", 3))
			assert.Equal(t, changed, readAll(), "what is deleted is not in it")
		})
	}
}

type keyTaker struct {
	experimentKind
	taken *string
}

func (k keyTaker) MakeDeletedItem(key string, version int) ld.VersionedData {
	*k.taken = key
	return k.experimentKind.MakeDeletedItem(key, version)
}

func TestDeletedItemOfAnotherSDKHasAKeyOfItsOwn(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
			return answer(r, http.StatusOK, `{"Item":{"version":{"N":"2"},"item":{"S":"{\"revision\":2,\"abandoned\":true}"}}}`), nil
		})
		key, taken := "key", ""
		assertGet(t, f.newStore(), keyTaker{taken: &taken}, key, nil)
		assert.Equal(t, key, taken)
		assert.NotSame(t, unsafe.StringData(key), unsafe.StringData(taken))
	})
}
