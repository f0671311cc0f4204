package lddynamodb

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func TestInitWritesNothingIfNothingChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	data := append(numberedFlags("f", 100), segment("s", 1), deletedFlag("deleted", 3))
	require.NoError(t, f.newStore().Init(allData(data...)))
	f.transport.reset()
	require.NoError(t, f.newStore().Init(allData(data...)))
	assert.Len(t, f.transport.recorded("GetItem"), 1)
	assert.Len(t, f.transport.recorded("Query"), 2)
	assert.Len(t, f.transport.recorded(), 3)
	f.requireHolds(data)
	line := fmt.Sprintf("Init of table %q with 102 items: wrote 0, deleted 0, left 102 alone", f.table)
	assert.Contains(t, strings.Join(f.log.all(), "\n"), line)
}

func TestInitWritesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	otherJSON := flag("f-7", 1)
	otherJSON.Salt = strings.ToUpper(otherJSON.Salt) // as long as before
	encoded := text(jsonOf(t, flag("f-7", 1)))
	others := slices.DeleteFunc(numberedFlags("f", 100), func(item ld.VersionedData) bool { return item.GetKey() == "f-7" })
	for name, c := range map[string]struct {
		row  rawItem            // what is in the place of f-7 before, beside its key
		data []ld.VersionedData // instead of f-7
	}{
		"another version":                     {data: []ld.VersionedData{flag("f-7", 2)}},
		"an older version":                    {data: []ld.VersionedData{flag("f-7", 0)}},
		"the same version with other content": {data: []ld.VersionedData{otherJSON}},
		"a flag that is deleted now":          {data: []ld.VersionedData{deletedFlag("f-7", 2)}},
		"a flag that is gone":                 {},
		"some items":                          {data: []ld.VersionedData{flag("f-7", 2), flag("new", 1)}},
		"a row with an older version":         {rawItem{versionAttribute: number("0"), itemAttribute: encoded}, []ld.VersionedData{flag("f-7", 1)}},
		"a row whose version is a string":     {rawItem{versionAttribute: text("1"), itemAttribute: encoded}, []ld.VersionedData{flag("f-7", 1)}},
		"a row without a version":             {rawItem{itemAttribute: encoded}, []ld.VersionedData{flag("f-7", 1)}},
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore().Init(allData(numberedFlags("f", 100)...)))
			if c.row != nil {
				f.putFlagRow("f-7", c.row)
			}
			data, want := slices.Concat(others, c.data), []string{"features/f-7"}
			if len(c.data) > 1 {
				want = append(want, "features/new")
			}
			f.transport.reset()
			require.NoError(t, f.newStore().Init(allData(data...)))
			assert.Len(t, f.transport.writes(), 1)
			assert.ElementsMatch(t, want, f.transport.written())
			f.requireHolds(data)
		})
	}
}

func TestInitReplacesAndDeletesMalformedRows(t *testing.T) {
	t.Parallel()
	f := newMalformedFixture(t)
	var half, data []ld.VersionedData
	for i, key := range slices.Sorted(maps.Keys(malformedRows)) {
		data = append(data, flag(key, 3))
		if i%2 == 0 {
			half = append(half, flag(key, 3))
		}
	}
	require.NoError(t, f.newStore().Init(allData(half...)))
	f.requireHolds(half)
	for key := range malformedRows {
		f.putFlagRow(key, malformedRows[key])
	}
	require.NoError(t, f.newStore().Init(allData(data...)))
	f.requireHolds(data)
	assert.Empty(t, f.log.ofStores("ERROR:"), "nobody had to read the malformed rows")
}

func TestInitKeepsBatchesUnderDynamoDBsLimits(t *testing.T) {
	t.Parallel()
	large := make([]ld.VersionedData, 20) // more than 16 MB in a request
	for i := range large {
		item := flag(fmt.Sprint("large-", i), 1)
		item.Salt = strings.Repeat(`"`, 195<<10) // two bytes each in the row, four in the request
		large[i] = item
	}
	for name, data := range map[string][]ld.VersionedData{"large items": large, "small items": numberedFlags("small", 60)} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(RequestTimeout(hangGuard)) // DynamoDB Local can take its time with large items
			require.NoError(t, store.Init(allData(data...)))
			for _, r := range f.transport.recorded("BatchWriteItem") {
				table, requests := r.batch()
				assert.Equal(t, f.table, table)
				assert.LessOrEqual(t, len(requests), 25)
				assert.Less(t, len(r.body), 12<<20) // well under 16 MB
			}
			assertAll(t, f.newStore(), ld.Features, data...)
		})
	}
}

// The latency of requests must not add up.
func TestInitMakesRequestsAtTheSameTime(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(func(_ *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			time.Sleep(10 * time.Millisecond)
			return send()
		})
		store := f.newStore()
		data := allData(numberedFlags("f", 4*maxParallelBatches*maxBatchRequests)...)
		took := elapsed(func() { require.NoError(t, store.Init(data)) })
		assert.Equal(t, 60*time.Millisecond, took, "one read of each kind and of $inited at once, 4 times all batches, $inited")
	})
}

// A writeLog notes when each row was first sent, and when DynamoDB had stored or deleted it.
type writeLog struct {
	mu           sync.Mutex
	clock        int
	sent, stored map[string]int // by "namespace/key"
	deletes      map[string]bool
}

func (l *writeLog) intercept(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
	requests := r.writeRequests()
	rows := rowNames(requests)
	done, again := rows, false
	l.mu.Lock()
	l.clock++
	for i, name := range rows {
		if _, again = l.sent[name]; !again {
			l.sent[name], l.deletes[name] = l.clock, requests[i].DeleteRequest != nil
		}
	}
	l.mu.Unlock()
	var response *http.Response
	var err error
	if again || r.action != "BatchWriteItem" {
		response, err = send()
	} else { // each batch is throttled once
		done = rows[:len(rows)/2]
		response, err = sendPart(r, len(done), send)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	for _, name := range done {
		l.stored[name] = l.clock
	}
	return response, err
}

// rank is in which order rows are written: what is obsolete is deleted at the end, and then the table is said to be
// complete.
func (l *writeLog) rank(name string) int {
	namespace, _, _ := strings.Cut(name, "/")
	if l.deletes[name] {
		return 3
	}
	return slices.Index([]string{"segments", "features", "experiments", "", initedKey}, namespace)
}

// A process that reads the table during an Init never meets a flag without what the flag needs. Prerequisites may be
// missing, and lead in cycles.
func TestInitWritesInAnOrderThatOtherProcessesCanRelyOn(t *testing.T) {
	t.Parallel()
	const flags, before, missing = 60, 20, 100
	for i := range 10 {
		runOnTable(t, fmt.Sprint(i), func(t *testing.T, f *fixture) {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			prerequisites := make([]int, flags)
			var items, obsolete []ld.VersionedData
			for n := range flags {
				prerequisites[n] = random.IntN(n + 1) // itself is a cycle
				items = append(items, flag(fmt.Sprint(n), 1, fmt.Sprint(prerequisites[n]), fmt.Sprint(missing)))
				obsolete = append(obsolete, flag(fmt.Sprint("obsolete-", n), 1), segment(fmt.Sprint("obsolete-", n), 1))
			}
			items[0] = flag("0", 1, fmt.Sprint(flags-1)) // and so is this
			random.Shuffle(before, func(a, b int) { obsolete[a], obsolete[b] = obsolete[b], obsolete[a] })
			items = append(items, segment("s", 1), &experiment{ID: "x"})
			store := f.newStore(CacheTTL(0))
			require.NoError(t, store.Init(allKinds(append(obsolete, items[:before]...)...)))
			f.deleteRow(rowKey{initedKey, initedKey}) // as it is where that Init has failed
			log := &writeLog{sent: map[string]int{}, stored: map[string]int{}, deletes: map[string]bool{}}
			f.transport.setInterceptor(log.intercept)
			require.NoError(t, store.Init(allKinds(items...)))
			assert.Len(t, log.stored, len(items)-before+len(obsolete)+1, "just what differs is written")
			f.requireHolds(items)
			for earlier, stored := range log.stored {
				for later, sent := range log.sent {
					if log.rank(earlier) < log.rank(later) {
						assert.Less(t, stored, sent, "%s was sent before %s was stored", later, earlier)
					}
				}
			}
			inCycle, last := map[int]bool{}, flags-1 // which has no order
			for ; prerequisites[last] != last; last = prerequisites[last] {
				inCycle[last] = true
			}
			for n := before; n < flags; n++ {
				if p := prerequisites[n]; p >= before && p != n && (last != 0 || !inCycle[n]) {
					assert.Less(t, log.stored[fmt.Sprint("features/", p)], log.sent[fmt.Sprint("features/", n)], "%d needs %d", n, p)
				}
			}
		})
	}
}

// Whether it came before or after the Init, nobody can tell.
func TestNewerRowThatIsReadDuringAnInit(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(time.Second))
		init := f.holdResponse("PutItem", initedKey).during(initWith(store, flag("f", 1)))
		for _, item := range []ld.VersionedData{flag("f", 5), flag("new", 1)} {
			require.NoError(t, f.newStore(DynamoClient(f.client)).Upsert(ld.Features, item))
		}
		time.Sleep(time.Second)
		assertGet(t, store, ld.Features, "f", flag("f", 5))
		assertGet(t, store, ld.Features, "new", flag("new", 1))
		init.finish()
		assertGet(t, store, ld.Features, "new", flag("new", 1))
		assertAll(t, store, ld.Features, flag("f", 5), flag("new", 1))
	})
}

// Where there is no $inited yet, what an Init deletes was not lost.
func TestRowThatIsReadBeforeAnInitDeletesIt(t *testing.T) {
	for name, ttl := range cachingTTLs {
		runWithTable(t, name, func(t *testing.T, f *fixture) {
			f.putFlagRow("old", rawItem{versionAttribute: number("1"), itemAttribute: text(jsonOf(t, flag("old", 1)))})
			store := f.newStore(CacheTTL(ttl))
			init := f.holdResponse("Query", "features").during(initWith(store, flag("g", 1)))
			assertGet(t, store, ld.Features, "old", flag("old", 1))
			time.Sleep(time.Second)
			init.finish()
			time.Sleep(time.Minute)
			f.requireHolds([]ld.VersionedData{flag("g", 1)})
			assertAll(t, store, ld.Features, flag("g", 1))
		})
	}
}

// What comes while an Init is under way is newer, and is served and written after it.
func TestUpdatesDuringAnInitStay(t *testing.T) {
	t.Parallel()
	for mode, options := range outageModes {
		runWithTable(t, mode, func(t *testing.T, f *fixture) {
			store := f.newStore(options...)
			require.NoError(t, store.Init(allData(flag("f", 1))))
			held := f.holdResponse("BatchWriteItem", "")
			var calls errgroup.Group
			calls.Go(func() error { return store.Init(allData(flag("f", 2))) })
			<-held.arrived
			calls.Go(func() error { return store.Upsert(ld.Features, flag("f", 3)) })
			calls.Go(func() error { return store.Upsert(ld.Features, flag("new", 1)) })
			synctest.Wait()
			close(held.released)
			require.NoError(t, calls.Wait())

			for _, s := range []ld.FeatureStore{store, f.newStore(DynamoClient(f.client))} {
				assertAll(t, s, ld.Features, flag("f", 3), flag("new", 1))
			}
		})
	}
}

func TestInitSendsUnprocessedItemsAgainUntilAllAreStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore()
	obsolete := numberedFlags("obsolete", 60)
	require.NoError(t, store.Init(allData(obsolete...)))
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action != "BatchWriteItem" {
			return send()
		}
		return sendPart(r, (len(r.writeRequests())+1)/2, send)
	})
	data := append(numberedFlags("new", 80), segment("s1", 1), segment("s2", 1), segment("s3", 1))
	require.NoError(t, store.Init(allData(data...)))
	f.requireHolds(data)
}

// throttles are the ways in which DynamoDB takes nothing of a batch.
var throttles = map[string]reply{
	"all items of a batch unprocessed": unprocessed,
	"the whole request throttled":      throttled,
}

// Of the random waits of so many Inits all lengths are among them.
func TestInitWaitsExponentiallyLongerWithFullJitter(t *testing.T) {
	t.Parallel()
	for name, throttle := range throttles {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			var attempts []time.Time
			f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
				attempts = append(attempts, time.Now())
				return throttle(r)
			}, "BatchWriteItem"))
			waits := make([][]time.Duration, maxFruitlessAttempts-1) // all first ones, all second ones, and so on
			for range 200 {
				attempts = nil
				store := f.newStore(CacheTTL(0))
				require.Error(t, store.Init(allData(flag("f", 1))))
				_ = store.(io.Closer).Close()
				require.Len(t, attempts, maxFruitlessAttempts)
				for i := range waits {
					waits[i] = append(waits[i], attempts[i+1].Sub(attempts[i]))
				}
			}
			for i, waits := range waits {
				longest := min(minBackoff<<(i+1), maxBackoff)
				assert.Less(t, slices.Max(waits), longest)
				assert.Greater(t, slices.Max(waits), longest*9/10)
				assert.Less(t, slices.Min(waits), longest/10)
			}
		})
	}
}

func TestInitGivesUpWhereNothingIsEverStored(t *testing.T) {
	t.Parallel()
	for name, throttle := range throttles {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			f.transport.setInterceptor(failingWith(`"features"`, throttle, "BatchWriteItem"))
			err := f.newStore().Init(allData(append(numberedFlags("f", 30), segment("a", 1), segment("b", 1))...))
			require.ErrorContains(t, err, "give the table more capacity")
			var cause awserr.Error
			require.ErrorAs(t, err, &cause)
			assert.Equal(t, dynamodb.ErrCodeProvisionedThroughputExceededException, cause.Code())
			assert.Empty(t, f.transport.recorded("PutItem"), "it does not say that the table is complete")
		})
	}
}
