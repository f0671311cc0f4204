package lddynamodb

import (
	"maps"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What waits is written in the order of Init: segments before flags before all
// else, a flag after those that it needs, and last that it is complete.
func TestLateWriteIsInTheOrderOfInit(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore()
		f.transport.setInterceptor(failing(noConnection))
		require.Error(t, store.Init(allKinds(
			x(1), flag("top", 1, "middle"), flag("middle", 1, "bottom"), flag("bottom", 1), segment("s", 1))))
		f.transport.reset()
		f.transport.setInterceptor(nil)
		time.Sleep(time.Second)
		assert.Equal(t, []string{
			"segments/s", "features/bottom", "features/middle", "features/top", "experiments/x", "$inited/$inited",
		}, f.transport.written())
		assert.Empty(t, storeGoroutines())
	})
}

// What a late write costs depends on what waits, not on what the table holds. While it
// is refused, the table is asked for one row at a time.
func TestCostOfLateWrites(t *testing.T) {
	t.Parallel()
	const changed = 20
	refusals := map[string]interceptor{"batches denied": denying("BatchWriteItem")}
	maps.Copy(refusals, ways)
	for name, refusing := range refusals {
		runWithTable(t, name, func(t *testing.T, f *fixture) {
			f.options = []FeatureStoreOption{ClientConfig(aws.NewConfig().WithMaxRetries(2))}
			store := f.newStore()
			data := numberedFlags("f", 300)
			require.NoError(t, store.Init(allData(data...)))
			for i := range changed {
				data[i] = flag(data[i].GetKey(), 2)
			}
			f.transport.setInterceptor(refusing)
			require.Error(t, store.Init(allData(data...)))
			f.transport.reset()
			if name != "batches denied" {
				const hour = 3600
				time.Sleep(hour * time.Second)
				assert.LessOrEqual(t, len(f.transport.recorded()), 4*hour)
				for _, r := range f.transport.recorded("Query") {
					require.Contains(t, string(r.body), `"Limit":1`)
				}
				f.transport.reset()
				f.transport.setInterceptor(nil)
			}
			time.Sleep(time.Minute)
			assert.Len(t, f.transport.written(), changed+1, "and the row that says that it is complete")
			assert.LessOrEqual(t, len(f.transport.recorded()), changed+10)
			assert.Empty(t, storeGoroutines())
			f.requireHolds(data)
		})
	}
}

// A row that DynamoDB holds in the place of an item, and that is no valid one, is
// replaced unless it is newer.
func TestMalformedRowInThePlaceOfAnUpdate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attributes rawItem
		replaced   bool
	}{
		"same version":  {rawItem{versionAttribute: number("2"), itemAttribute: text("{")}, true},
		"older version": {rawItem{versionAttribute: number("1"), itemAttribute: text("{")}, true},
		"newer version": {rawItem{versionAttribute: number("3"), itemAttribute: text("{")}, false},
		"no version":    {rawItem{versionAttribute: text("3"), itemAttribute: text("{")}, true},
		"a fraction":    {rawItem{versionAttribute: number("2.5"), itemAttribute: text("{")}, false},
	} {
		for _, when := range []string{"at once", "known", "late"} {
			t.Run(name+"/"+when, func(t *testing.T) {
				testUnsaved(t, func(f *unsavedFixture) {
					late := when == "late"
					if late {
						f.transport.setInterceptor(failing(noConnection))
						require.Error(f.t, f.upsert(flag("f", 2)))
					}
					row := rowKey{"features", "f"}.attributes()
					maps.Copy(row, c.attributes)
					f.putRow(row)
					if when == "known" {
						time.Sleep(time.Second)
						f.readAll()
					}
					if late {
						f.recover()
					} else {
						require.NoError(f.t, f.upsert(flag("f", 2)))
						assert.Empty(f.t, f.log.ofStores("WARN"))
					}
					f.checkServed(flag("f", 2), flag("g", 1), segment("s", 1), x(1))
					if c.replaced {
						f.requireHoldsItem(f.rows(), flag("f", 2))
					} else {
						assert.Equal(f.t, c.attributes[itemAttribute], f.rows()["features/f"][itemAttribute])
					}
					assert.Empty(f.t, storeGoroutines())
				})
			})
		}
	}
}
