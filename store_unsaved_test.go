package lddynamodb

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// An unsavedFixture is a process whose table has version 1 of the flags f and g, of the segment s and of the experiment
// x.
type unsavedFixture struct {
	*fixture
	t     *testing.T
	store ld.FeatureStore
	mode  string
}

// testUnsaved runs a test in each mode.
func testUnsaved(t *testing.T, test func(f *unsavedFixture)) {
	t.Helper()
	for mode, options := range outageModes {
		runWithTable(t, mode, func(t *testing.T, f *fixture) {
			f.options = []FeatureStoreOption{ClientConfig(aws.NewConfig().WithMaxRetries(2))}
			u := &unsavedFixture{f, t, f.newStore(options...), mode}
			require.NoError(t, u.init(flag("f", 1), flag("g", 1), segment("s", 1), x(1)))
			test(u)
		})
	}
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
	return f.newStore(CacheTTL(0), DynamoClient(f.client))
}

// ways has the ways in which a table refuses writes.
var ways = map[string]interceptor{
	"all":              failing(noConnection),
	"all denied":       denying(),
	"no answer":        failing(blackHole),
	"writes":           denying("PutItem", "BatchWriteItem"),
	"throttled writes": failing(throttled, "PutItem", "BatchWriteItem"),
	"unprocessed writes": func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action == "BatchWriteItem" {
			return unprocessed(r)
		}
		return failing(throttled, "PutItem")(r, send)
	},
}

// lost has requests executed, and their responses lost.
func lost(actions ...string) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		response, err := send()
		if err != nil || !r.isOf(actions) {
			return response, err
		}
		_ = response.Body.Close()
		return brokenConnection(r)
	}
}

// written returns the rows that were written so far, in order, as "namespace/key".
func (t *transport) written() []string {
	var names []string
	for _, r := range t.writes() {
		names = append(names, rowNames(r.writeRequests())...)
	}
	return names
}

// refusingWriteOf makes the writes of rows fail whose names begin so.
func refusingWriteOf(name string, fail reply) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if slices.ContainsFunc(rowNames(r.writeRequests()), func(row string) bool { return strings.HasPrefix(row, name) }) {
			return fail(r)
		}
		return send()
	}
}

// recover ends the outage, and returns when what waited is written.
func (f *unsavedFixture) recover() {
	f.t.Helper()
	time.Sleep(2 * DefaultRequestTimeout) // so that there is an outage
	f.transport.reset()
	f.transport.setInterceptor(nil)
	began := f.log.ofStores("can't be used")
	assert.LessOrEqual(f.t, timeUntil(f.t, "the end", f.hasEnded(len(began))), denialPause+DefaultRequestTimeout)
}

// checkServed checks that the store has just these items, now and when TTLs have run out.
func (f *unsavedFixture) checkServed(want ...ld.VersionedData) {
	f.t.Helper()
	for range 3 {
		time.Sleep(400 * time.Millisecond) // so that TTLs run out
		if strings.HasSuffix(f.mode, "Async") || f.mode == "cached, RefreshStaleValues" {
			f.readAll() // what is served at once may be old
		}
		f.checkStore(f.store, want)
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

var unsavedKeys = []string{"f", "g", "s", "x", "removed", "new", "theirs"}

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

func (f *unsavedFixture) checkRefused(err error, what string) {
	f.t.Helper()
	assert.ErrorContains(f.t, err, what+": will be written when the table can be used again: ")
	var cause interface{ Code() string }
	assert.ErrorAs(f.t, err, &cause, "the AWS SDK's error is in it")
}

func (f *unsavedFixture) init(items ...ld.VersionedData) error {
	return f.store.Init(allKinds(items...))
}

func (f *unsavedFixture) upsert(item ld.VersionedData) error {
	return f.store.Upsert(kindOf(item), item)
}

// refuse makes the table refuse everything, with an error that needs no retries, and lets failures of other kinds be
// over.
func (f *unsavedFixture) refuse() {
	f.transport.setInterceptor(denying())
	time.Sleep(2 * maxPause)
}

func TestRefusedUpdatesAreServedAndWrittenLater(t *testing.T) {
	t.Parallel()
	want := []ld.VersionedData{flag("f", 3), flag("new", 1), segment("s", 2), x(2)}
	for way, refusing := range ways {
		t.Run(way, func(t *testing.T) {
			testUnsaved(t, func(f *unsavedFixture) {
				f.transport.setInterceptor(refusing)
				f.checkRefused(f.upsert(flag("f", 2)), "features/f to version 2")
				for _, item := range append(want, flag("f", 3)) {
					f.checkRefused(f.upsert(item), fmt.Sprintf("%s to version %d", nameOf(item), item.GetVersion()))
				}
				require.NoError(f.t, f.upsert(flag("f", 2)), "there is a newer one")
				f.checkRefused(f.store.Delete(ld.Features, "g", 2), "features/g to version 2")
				for _, item := range want {
					assertGet(f.t, f.store, kindOf(item), item.GetKey(), item)
				}
				assertAll(f.t, f.store, ld.Features, flag("f", 3), flag("new", 1))
				f.checkStore(f.another(), []ld.VersionedData{flag("f", 1), flag("g", 1), segment("s", 1), x(1)})
				f.recover()
				f.checkServed(want...)
				f.checkStore(f.another(), want)
				assert.Len(f.t, f.transport.writes(), 5, "one for each item")
				assert.Len(f.t, f.log.ofStores(), 2)
				assert.Empty(f.t, storeGoroutines())
			})
		})
	}
}

// unsavedCases has what a process does while all is refused at first, in which the table's and the process's data are
// the same at the end.
var unsavedCases = map[string]struct {
	act  func(f *unsavedFixture)
	want []ld.VersionedData
}{
	"an Init that leaves out what an Init before it has stored in part": {func(f *unsavedFixture) {
		f.transport.setInterceptor(lost("BatchWriteItem"))
		require.Error(f.t, f.init(flag("f", 2), flag("removed", 1), flag("g", 1), segment("s", 1), x(1)))
		require.Contains(f.t, f.rows(), "features/removed")
		f.refuse()
		require.Error(f.t, f.init(flag("f", 2), segment("s", 1)))
	}, []ld.VersionedData{flag("f", 2), segment("s", 1)}},
	"an Init that leaves out an update whose response was lost": {func(f *unsavedFixture) {
		f.transport.setInterceptor(lost())
		require.Error(f.t, f.upsert(flag("removed", 1)))
		require.Contains(f.t, f.rows(), "features/removed")
		f.refuse()
		require.Error(f.t, f.init(flag("f", 2), segment("s", 1)))
	}, []ld.VersionedData{flag("f", 2), segment("s", 1)}},
	"an Init of fewer kinds that is stored in part": {func(f *unsavedFixture) {
		f.refuse()
		require.Error(f.t, f.init(flag("f", 2), segment("s", 2), x(2)))
		f.transport.setInterceptor(lost("BatchWriteItem"))
		onlyFlags := map[string]ld.VersionedData{"f": flag("f", 3), "new": flag("new", 1)}
		require.Error(f.t, f.store.Init(map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: onlyFlags}))
	}, []ld.VersionedData{flag("f", 3), flag("new", 1), segment("s", 2), x(2)}},
	"an Init that waits while updates are acknowledged": {func(f *unsavedFixture) {
		f.refuse()
		require.Error(f.t, f.init(flag("f", 2), segment("s", 2), x(2)))
		f.transport.setInterceptor(denying("BatchWriteItem").over(refusingWriteOf("segments/s", refusals["access denied"].answer)))
		time.Sleep(denialPause + time.Second)
		require.NoError(f.t, f.upsert(flag("f", 3)))
		require.NoError(f.t, f.upsert(flag("new", 1)))
		require.Error(f.t, f.upsert(segment("s", 3)))
		for _, item := range []ld.VersionedData{flag("f", 3), flag("new", 1), x(2)} {
			f.requireHoldsItem(f.rows(), item) // segments keep nothing else waiting
		}
	}, []ld.VersionedData{flag("f", 3), flag("new", 1), segment("s", 3), x(2)}},
}

func TestWhatWaitsIsServedAndWritten(t *testing.T) {
	t.Parallel()
	for name, c := range unsavedCases {
		t.Run(name, func(t *testing.T) {
			testUnsaved(t, func(f *unsavedFixture) {
				c.act(f)
				if f.mode != "cached, EvictStaleValues" { // it does not serve what the table has
					f.checkServed(c.want...)
				}
				f.recover()
				f.checkServed(c.want...)
				f.checkStore(f.another(), c.want)
				assert.Empty(f.t, storeGoroutines())
			})
		})
	}
}

// Where another process has written a version meanwhile that is as new, that counts. What it has put in the place of
// something that an Init left out stays.
func TestLateWriteLeavesTheWorkOfOtherProcessesAlone(t *testing.T) {
	t.Parallel()
	testUnsaved(t, func(f *unsavedFixture) {
		theirs := x(2)
		theirs.Hypothesis = "theirs"
		require.NoError(f.t, f.another().Upsert(ld.Features, flag("theirs", 1)))
		f.readAll()
		f.refuse()
		ours := []ld.VersionedData{flag("f", 2), segment("s", 5), x(2)}
		require.Error(f.t, f.init(ours...))
		for _, item := range []ld.VersionedData{flag("f", 3), flag("g", 3), flag("new", 1), segment("s", 4), theirs} {
			require.NoError(f.t, f.another().Upsert(kindOf(item), item))
		}
		for _, item := range ours {
			assertGet(f.t, f.store, kindOf(item), item.GetKey(), item)
		}
		f.recover()
		want := []ld.VersionedData{flag("f", 3), flag("g", 3), segment("s", 5), theirs}
		f.checkStore(f.another(), append(want, flag("new", 1), flag("theirs", 1)))
		for _, item := range want {
			assertGet(f.t, f.store, kindOf(item), item.GetKey(), item)
		}
	})
}

// What a process knows it can serve in the next outage, too.
func TestNothingIsForgottenAfterALateInit(t *testing.T) {
	t.Parallel()
	testUnsaved(t, func(f *unsavedFixture) {
		if f.mode == "no cache" || f.mode == "cached, EvictStaleValues" {
			return
		}
		f.refuse()
		tooLarge := flagOfSize("g", 2, maxItemBytes)
		want := []ld.VersionedData{flag("f", 2), tooLarge, flag("new", 1), segment("s", 1), x(2)}
		require.Error(f.t, f.init(want...))
		f.recover()
		for _, next := range []func(){
			func() {},
			func() { require.NoError(f.t, f.init(want...)) },
		} {
			next()
			f.transport.setInterceptor(failing(noConnection))
			f.checkServed(want...)
			f.recover()
			f.checkServed(want...)
		}
	})
}

// An update waits a second at most, also if other requests are answered meanwhile.
func TestUpdateWaitsASecondAtMost(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newSDKStore(configLoggingTo(f.log), CacheTTL(0))
		f.transport.setInterceptor(failing(blackHole, "PutItem"))
		time.AfterFunc(allPatience/2, func() { assertGet(t, store, ld.Features, "g", nil) })
		assert.Equal(t, allPatience, elapsed(func() { require.NoError(t, upsert(store, flag("f", 1))()) }))
	})
}
