package lddynamodb

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A backlogFixture is a process that keeps everything for ever, in an outage
// that it learns of with its first request. Before, it has made the table hold
// version 1 of the flags f and g and of the segment s.
type backlogFixture struct {
	*fixture
	t     *testing.T
	store ld.FeatureStore
}

func newBacklogFixture(t *testing.T) *backlogFixture {
	f := &backlogFixture{newFixture(t), t, nil}
	f.store = f.newStore(CacheTTL(-1))
	require.NoError(t, f.store.Init(allData(flag("f", 1), flag("g", 1), segment("s", 1))))
	f.transport.setInterceptor(denying())
	return f
}

// another makes a store like one of another process, which has no outage.
func (f *backlogFixture) another() ld.FeatureStore {
	return f.newStore(CacheTTL(0), DynamoClient(f.client))
}

// recover ends the outage. The SDK asks for that twice a second.
func (f *backlogFixture) recover() {
	f.t.Helper()
	f.transport.reset()
	f.transport.setInterceptor(nil)
	require.Eventually(f.t, func() bool { return len(f.log.ofStores("INFO", "can be used again")) == 1 },
		hangGuard, time.Millisecond)
}

// putKey returns the key of the row that a PutItem request is about.
func putKey(r *sentRequest) string {
	var input struct {
		Item map[string]map[string]string
	}
	if err := json.Unmarshal(r.body, &input); err != nil {
		panic(err) // the AWS SDK made it
	}
	return input.Item[keyAttribute]["S"]
}

func TestRefusedUpdatesAreServedAndWrittenLater(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)

	assert.Error(t, f.store.Upsert(ld.Features, flag("f", 2)), "the SDK has to know")
	assert.Error(t, f.store.Upsert(ld.Features, flag("f", 3)))
	assert.Error(t, f.store.Upsert(ld.Features, flag("new", 1)))
	assert.Error(t, f.store.Delete(ld.Features, "g", 2))
	assert.Error(t, f.store.Upsert(ld.Segments, segment("s", 2)))

	served := func() {
		t.Helper()
		assertGet(t, f.store, ld.Features, "f", flag("f", 3))
		assertGet(t, f.store, ld.Features, "g", nil)
		assertAll(t, f.store, ld.Features, flag("f", 3), flag("new", 1))
		assertAll(t, f.store, ld.Segments, segment("s", 2))
	}
	served()
	assertAll(t, f.another(), ld.Features, flag("f", 1), flag("g", 1))

	f.recover()

	served()
	assertAll(t, f.another(), ld.Features, flag("f", 3), flag("new", 1))
	assertAll(t, f.another(), ld.Segments, segment("s", 2))
	assert.Len(t, f.transport.writes(), 4, "one for each key")
}

func TestRefusedInitIsServedAndWrittenLater(t *testing.T) {
	t.Parallel()
	f := &backlogFixture{newFixture(t), t, nil}
	f.store = f.newStore(CacheTTL(-1))
	f.transport.setInterceptor(denying())
	require.False(t, f.store.Initialized())

	require.Error(t, f.store.Init(allData(flag("f", 1), flag("g", 1), segment("s", 1))))

	assert.True(t, f.store.Initialized())
	assertGet(t, f.store, ld.Features, "f", flag("f", 1))
	assertAll(t, f.store, ld.Features, flag("f", 1), flag("g", 1))
	assertAll(t, f.store, ld.Segments, segment("s", 1))
	assert.Empty(t, f.rows())

	f.recover()

	assert.True(t, f.another().Initialized())
	assertAll(t, f.another(), ld.Features, flag("f", 1), flag("g", 1))
	assertAll(t, f.another(), ld.Segments, segment("s", 1))
	assertAll(t, f.store, ld.Features, flag("f", 1), flag("g", 1))
}

// Later updates count, whether they come before or after an Init.
func TestRefusedInitAndUpdatesTogether(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)
	require.Error(t, f.store.Upsert(ld.Features, flag("f", 9)))
	require.Error(t, f.store.Upsert(ld.Features, flag("removed", 9)))
	require.Error(t, f.store.Init(allData(flag("f", 10), flag("h", 1))))
	require.Error(t, f.store.Upsert(ld.Features, flag("h", 2)))

	assertAll(t, f.store, ld.Features, flag("f", 10), flag("h", 2))
	assertGet(t, f.store, ld.Features, "g", nil)
	assertGet(t, f.store, ld.Features, "removed", nil)

	f.recover()

	assertAll(t, f.store, ld.Features, flag("f", 10), flag("h", 2))
	for key, want := range map[string]ld.VersionedData{"f": flag("f", 10), "h": flag("h", 2), "removed": nil} {
		assertGet(t, f.another(), ld.Features, key, want)
	}
}

// The SDK may succeed with an Init before the table is asked whether it is back.
// What waited for it is then out of date.
func TestInitTakesThePlaceOfWhatWaits(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)
	require.Error(t, f.store.Upsert(ld.Features, flag("f", 2)))
	require.Error(t, f.store.Upsert(ld.Features, flag("removed", 2)))
	f.transport.setInterceptor(nil)

	require.NoError(t, f.store.Init(allData(flag("f", 1))))

	f.recover()
	assert.Empty(t, f.transport.writes())
	assertAll(t, f.another(), ld.Features, flag("f", 1))
	assertAll(t, f.store, ld.Features, flag("f", 1))
}

// Where another process has written a newer version meanwhile, that counts.
func TestNewerRowsOfOtherProcessesAreTakenOver(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)
	require.Error(t, f.store.Upsert(ld.Features, flag("f", 2)))
	require.Error(t, f.store.Upsert(ld.Features, flag("g", 2)))
	require.Error(t, f.store.Upsert(ld.Segments, segment("s", 5)))
	require.NoError(t, f.another().Upsert(ld.Features, flag("f", 3)))
	require.NoError(t, f.another().Delete(ld.Features, "g", 3))
	require.NoError(t, f.another().Upsert(ld.Segments, segment("s", 4)))

	f.recover()

	for _, store := range []ld.FeatureStore{f.store, f.another()} {
		assertGet(t, store, ld.Features, "f", flag("f", 3))
		assertAll(t, store, ld.Features, flag("f", 3))
		assertAll(t, store, ld.Segments, segment("s", 5))
	}
	assert.Len(t, f.transport.writes(), 1)
}

// Another process can be faster between the comparison with the table and the
// write.
func TestBacklogNeverRollsBackAFasterProcess(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)
	require.Error(t, f.store.Upsert(ld.Features, flag("f", 2)))
	require.Error(t, f.store.Upsert(ld.Features, flag("g", 2)))
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		response, err := send()
		if r.action == "Query" {
			require.NoError(t, f.another().Upsert(ld.Features, flag("f", 3)))
			require.NoError(t, f.another().Delete(ld.Features, "g", 2))
		}
		return response, err
	})
	require.Eventually(t, func() bool { return len(f.log.ofStores("INFO", "can be used again")) == 1 }, hangGuard, time.Millisecond)

	for _, store := range []ld.FeatureStore{f.store, f.another()} {
		assertGet(t, store, ld.Features, "f", flag("f", 3))
	}
	assertGet(t, f.another(), ld.Features, "g", nil)
}

// What waits is written in the order of Init: segments before flags before all
// else, and a flag after those that it needs.
func TestBacklogIsWrittenInTheOrderOfInit(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)
	require.Error(t, f.store.Upsert(experiments, &experiment{ID: "x", Revision: 1}))
	require.Error(t, f.store.Upsert(ld.Features, flag("top", 1, "middle", "f")))
	require.Error(t, f.store.Upsert(ld.Features, flag("middle", 1, "bottom")))
	require.Error(t, f.store.Upsert(ld.Features, flag("bottom", 1)))
	require.Error(t, f.store.Upsert(ld.Segments, segment("s", 2)))

	f.recover()

	var order []string
	for _, r := range f.transport.recorded("PutItem") {
		order = append(order, putKey(r))
	}
	assert.Equal(t, []string{"s", "bottom", "middle", "top", "x"}, order)
}

// As long as anything can't be written, the outage goes on, and nothing that
// waits is lost.
func TestOutageLastsUntilAllIsWritten(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)
	for i := range 10 {
		require.Error(t, f.store.Upsert(ld.Features, flag(fmt.Sprintf("f%d", i), 1)))
	}
	f.transport.reset()
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action == "PutItem" && putKey(r) == "f7" {
			return answerError(r, http.StatusBadRequest, "AccessDeniedException", "denied"), nil
		}
		return send()
	})
	require.Eventually(t, func() bool {
		tries := 0
		for _, r := range f.transport.recorded("PutItem") {
			if putKey(r) == "f7" {
				tries++
			}
		}
		return tries >= 2
	}, hangGuard, time.Millisecond)
	assert.Empty(t, f.log.ofStores("can be used again"))
	assertGet(t, f.store, ld.Features, "f7", flag("f7", 1))

	f.recover()

	items, err := f.another().All(ld.Features)
	require.NoError(t, err)
	assert.Len(t, items, 2+10)
}

// An update that succeeds while others wait takes the place of what waits of
// its item, and an older one is none.
func TestUpdatesWhileOthersWait(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)
	require.Error(t, f.store.Upsert(ld.Features, flag("f", 5)))
	require.Error(t, f.store.Upsert(ld.Features, flag("g", 5)))
	f.transport.setInterceptor(nil)
	require.NoError(t, f.store.Upsert(ld.Features, flag("f", 6)))
	require.NoError(t, f.store.Upsert(ld.Features, flag("g", 4)))
	assertAll(t, f.store, ld.Features, flag("f", 6), flag("g", 5))

	f.recover()

	assertAll(t, f.store, ld.Features, flag("f", 6), flag("g", 5))
	assertAll(t, f.another(), ld.Features, flag("f", 6), flag("g", 5))
}

// What DynamoDB can't hold waits for nothing.
func TestBacklogHoldsUpNothingForWhatCannotBeStored(t *testing.T) {
	t.Parallel()
	f := newBacklogFixture(t)
	big := flagOfSize("big", 1, maxItemBytes)
	require.Error(t, f.store.Init(allData(big, flag("f", 2), flag("", 1))))
	assertAll(t, f.store, ld.Features, big, flag("f", 2))

	f.recover()

	assertAll(t, f.store, ld.Features, big, flag("f", 2))
	assertGet(t, f.another(), ld.Features, "f", flag("f", 2))
	f.transport.setInterceptor(denying("PutItem"))
	require.Error(t, f.store.Upsert(ld.Segments, segment("other", 1)))
	f.transport.setInterceptor(nil)
	f.transport.reset()
	require.Eventually(t, func() bool { return len(f.log.ofStores("INFO", "can be used again")) == 2 }, hangGuard, time.Millisecond)
	for _, r := range f.transport.recorded("Query") {
		assert.NotContains(t, string(r.body), `"features"`, "nothing waits there any more")
	}
}

// An Init that runs while what waits is being written must have the last word.
func TestInitWhileTheBacklogIsWritten(t *testing.T) {
	t.Parallel()
	f := &raceFixture{fixture: newFixture(t), t: t}
	store := f.newStore(CacheTTL(-1))
	require.NoError(t, store.Init(allData(flag("f", 1))))
	f.transport.setInterceptor(denying())
	require.Error(t, store.Upsert(ld.Features, flag("removed", 1)))
	held := f.holdRequest("PutItem", `{"S":"removed"}`)
	f.transport.setInterceptor(f.intercept)
	await(t, "the write of what waits", held.arrived)

	result := make(chan error, 1)
	go func() { result <- store.Init(allData(flag("f", 2))) }()
	time.Sleep(100 * time.Millisecond) // for Init to run ahead, if it can
	close(held.released)
	require.NoError(t, await(t, "Init", result))

	require.Eventually(t, func() bool { return len(f.log.ofStores("INFO", "can be used again")) == 1 }, hangGuard, time.Millisecond)
	for _, store := range []ld.FeatureStore{store, f.newStore(CacheTTL(0))} {
		assertAll(t, store, ld.Features, flag("f", 2))
		assertGet(t, store, ld.Features, "removed", nil)
	}
}

// The table still has what the Init removed, and reads work. A process that has
// just started must not take that for an item.
func TestWhatARefusedInitRemovedStaysAway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.newStore().Init(allData(flag("removed", 1))))
	store := f.newStore(CacheTTL(-1))
	f.transport.setInterceptor(denying("BatchWriteItem", "PutItem"))
	require.Error(t, store.Init(allData(flag("f", 1))))

	assertGet(t, store, ld.Features, "removed", nil)
	assertAll(t, store, ld.Features, flag("f", 1))

	f.transport.setInterceptor(nil)
	require.NoError(t, store.Init(allData(flag("f", 1))))
	assertGet(t, store, ld.Features, "removed", nil)
	assert.NotContains(t, f.rows(), "features/removed")
}

// A read that began before the Init sees what the Init removed.
func TestWhatARefusedInitRemovedStaysAwayFromReadsUnderWay(t *testing.T) {
	t.Parallel()
	f := newRaceFixture(t)
	require.NoError(t, f.newStore().Init(allData(flag("removed", 1))))
	store := f.newStore(CacheTTL(-1))
	read := f.holdResponse("GetItem", "removed").during(get(store, "removed"))
	f.transport.setInterceptor(denying("BatchWriteItem", "PutItem"))
	require.Error(t, store.Init(allData(flag("f", 1))))

	read.finish()

	assertGet(t, store, ld.Features, "removed", nil)
	assertAll(t, store, ld.Features, flag("f", 1))
}

func TestLargeBacklogThatTheTableDoesNotTake(t *testing.T) {
	t.Parallel()
	data := allData(numberedFlags("f", 1000)...)

	t.Run("costs little", func(t *testing.T) {
		t.Parallel()
		inFakeTime(t, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(-1))
			f.transport.setInterceptor(failing(refusals["access denied"].answer, "BatchWriteItem", "PutItem"))
			require.Error(t, store.Init(data))
			f.transport.reset()

			time.Sleep(time.Minute)

			assert.LessOrEqual(t, len(f.transport.recorded("Query")), 20)
			assert.LessOrEqual(t, len(f.transport.recorded("PutItem")), 20*maxParallelBatches)
		})
	})

	t.Run("keeps no Init waiting", func(t *testing.T) {
		t.Parallel()
		inFakeTime(t, func(t *testing.T, f *fixture) {
			store := f.newStore(CacheTTL(-1))
			f.transport.setInterceptor(failing(blackHole, "BatchWriteItem", "PutItem"))
			require.Error(t, store.Init(data))
			time.Sleep(5 * time.Second) // now the backlog is being written
			began := time.Now()

			require.Error(t, store.Init(data))

			assert.LessOrEqual(t, time.Since(began), 3*DefaultRequestTimeout)
		})
	})
}
