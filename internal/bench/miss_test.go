package bench

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

var (
	dynamoStores = []storeMaker{ours, theOriginal}
	// bothSDKs has ours with either version of the AWS SDK.
	bothSDKs = []storeMaker{ours, oursWithV2, theOriginal}
)

const missFlags = 1_000

// A missFixture has a table behind a replay.
type missFixture struct {
	table  string
	data   dataSet
	replay *replay
}

func newMissFixture(tb testing.TB) *missFixture {
	tb.Helper()
	data := newData(missFlags)
	return &missFixture{newFilledTable(tb, data), data, &replay{}}
}

// open makes a store that reads from the replay.
func (f *missFixture) open(tb testing.TB, maker storeMaker) ld.FeatureStore {
	tb.Helper()
	return maker.open(tb, f.table, newClient(tb, f.replay), expired)
}

func all(store ld.FeatureStore) error {
	items, err := store.All(ld.Features)
	if err == nil && len(items) != missFlags {
		return fmt.Errorf("%d items", len(items))
	}
	return err
}

func get(store ld.FeatureStore) error {
	item, err := store.Get(ld.Features, flagKey(0))
	if err == nil && item == nil {
		return fmt.Errorf("no item")
	}
	return err
}

// BenchmarkFirstAll measures how a new process reads all flags.
func BenchmarkFirstAll(b *testing.B) {
	f := newMissFixture(b)
	for _, maker := range bothSDKs {
		maker.run(b, fmt.Sprintf("flags=%d", missFlags), func(b *testing.B) {
			require.NoError(b, all(f.open(b, maker))) // records the responses
			var store ld.FeatureStore
			loop(b, func() { store = f.open(b, maker) }, func() error { return all(store) })
		})
	}
}

// BenchmarkRefreshAll measures how a process reads all flags again after a TTL,
// with as many of them changed.
func BenchmarkRefreshAll(b *testing.B) {
	f := newMissFixture(b)
	for _, maker := range bothSDKs {
		store := f.open(b, maker)
		maker.run(b, fmt.Sprintf("flags=%d/changed=0", missFlags), func(b *testing.B) {
			require.NoError(b, all(store))
			loop(b, nil, func() error { return all(store) })
		})
		maker.run(b, fmt.Sprintf("flags=%d/changed=1", missFlags), func(b *testing.B) {
			f.changing(b, store)
			loop(b, f.turn, func() error { return all(store) })
		})
		f.replay.state = ""
	}
}

// changing records two states of the table that differ in one flag.
func (f *missFixture) changing(b *testing.B, store ld.FeatureStore) {
	for range 2 {
		change(f.data)
		writer := ours.open(b, f.table, newClient(b, http.DefaultTransport), 0)
		require.NoError(b, writer.Upsert(ld.Features, f.data[ld.Features][flagKey(0)]))
		f.turn()
		require.NoError(b, all(store))
	}
}

// turn has the replay answer in the other one of two states.
func (f *missFixture) turn() {
	if f.replay.state == "before" {
		f.replay.state = "after"
	} else {
		f.replay.state = "before"
	}
}

// BenchmarkRefreshGet measures how an evaluation reads a flag again after a TTL.
func BenchmarkRefreshGet(b *testing.B) {
	f := newMissFixture(b)
	for _, maker := range dynamoStores {
		maker.run(b, "changed=0", func(b *testing.B) {
			store := f.open(b, maker)
			require.NoError(b, get(store))
			loop(b, nil, func() error { return get(store) })
		})
	}
}

// BenchmarkUpdate measures how a connected process takes a new version of a flag.
func BenchmarkUpdate(b *testing.B) {
	f := newMissFixture(b)
	for _, maker := range bothSDKs {
		maker.run(b, "", func(b *testing.B) {
			store := maker.open(b, f.table, newClient(b, f.replay), time.Hour)
			flag := newFlag(0)
			loop(b, nil, func() error {
				newer := *flag
				newer.Version++
				flag = &newer
				return store.Upsert(ld.Features, flag)
			})
		})
	}
}
