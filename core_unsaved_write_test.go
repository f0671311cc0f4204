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
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// written returns the rows that were written so far, in order, as "namespace/key".
func (t *transport) written() []string {
	var names []string
	for _, r := range t.writes() {
		names = append(names, rowNames(r.writeRequests())...)
	}
	return names
}

// refusingWriteOf makes one row's writes fail.
func refusingWriteOf(name string, fail reply) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if slices.Contains(rowNames(r.writeRequests()), name) {
			return fail(r)
		}
		return send()
	}
}

// What waits is written in the order of Init: segments before flags before all
// else, a flag after those that it needs, and last that it is complete.
func TestLateWriteIsInTheOrderOfInit(t *testing.T) {
	t.Parallel()
	items := []ld.VersionedData{x(1), flag("top", 1, "middle"), flag("middle", 1, "bottom"), flag("bottom", 1), segment("s", 1)}
	order := []string{"segments/s", "features/bottom", "features/middle", "features/top", "experiments/x"}
	for name, c := range map[string]struct {
		refused func(ld.FeatureStore) error
		order   []string
	}{
		"Init": {func(s ld.FeatureStore) error { return s.Init(allKinds(items...)) }, append(order, "$inited/$inited")},
		"updates": {func(s ld.FeatureStore) (err error) {
			for _, item := range items {
				err = s.Upsert(kindOf(item), item)
			}
			return err
		}, order},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				store := f.newStore()
				f.transport.setInterceptor(failing(noConnection))
				require.Error(t, c.refused(store))
				f.transport.reset()
				f.transport.setInterceptor(nil)
				timeUntil(t, "the end", f.hasEnded(1))
				assert.Equal(t, c.order, f.transport.written())
			})
		})
	}
}

// A network that comes and goes: all is served meanwhile, what is written stays
// written, and what waits is not lost.
func TestLateWriteGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	ways := map[string]interceptor{
		"all": failing(noConnection), "all denied": denying(), "no answer": failing(blackHole), "writes": denying("PutItem", "BatchWriteItem"),
	}
	testEachWay(t, ways, func(f *unsavedFixture, refusing interceptor) {
		want := append([]ld.VersionedData{segment("s", 2), flag("last", 1, "a-0"), x(2)}, numberedFlags("a", 10)...)
		f.transport.setInterceptor(refusing)
		require.Error(f.t, f.store.Init(allKinds(want...)))
		last := strings.TrimPrefix(f.prefix+":features/last", ":")
		writes := make(map[string]int)
		for range 3 {
			f.transport.reset()
			tried := make(chan struct{}, 100)
			f.transport.setInterceptor(refusingWriteOf(last, func(r *sentRequest) (*http.Response, error) {
				tried <- struct{}{}
				return refusals["access denied"].answer(r)
			}))
			<-tried
			f.transport.setInterceptor(refusing)
			f.checkServed(want...)
			for _, name := range f.transport.written() {
				writes[name]++
			}
		}
		assert.NotContains(f.t, f.rows(), last)
		assert.Empty(f.t, f.log.ofStores("can be used again"))

		f.checkWritten(want...)

		for _, item := range want {
			if name := strings.TrimPrefix(f.prefix+":"+nameOf(item), ":"); name != last && kindOf(item) != experiments {
				assert.Equal(f.t, 1, writes[name], "writes of %s", name)
			}
		}
	})
}

// DynamoDB may call an item invalid that looks valid. Nothing waits for it.
func TestItemThatDynamoDBCallsInvalid(t *testing.T) {
	t.Parallel()
	invalid := func(r *sentRequest) (*http.Response, error) {
		return answerError(r, http.StatusBadRequest, "ValidationException", "One or more parameter values were invalid: nesting"), nil
	}
	want := append(numberedFlags("a", 60), flag("bad", 2), flag("f", 2), segment("s", 2), x(2))
	writtenLater := func(write func(f *unsavedFixture) error) func(f *unsavedFixture) {
		return func(f *unsavedFixture) {
			require.Error(f.t, write(f))
			f.transport.setInterceptor(refusingWriteOf(strings.TrimPrefix(f.prefix+":features/bad", ":"), invalid))
			timeUntil(f.t, "the end", f.hasEnded(1))
		}
	}
	init := func(f *unsavedFixture) error { return f.store.Init(allKinds(want...)) }
	updates := func(f *unsavedFixture) (err error) {
		require.Error(f.t, f.store.Delete(ld.Features, "g", 2))
		for _, item := range want {
			err = f.store.Upsert(kindOf(item), item)
		}
		return err
	}
	for name, write := range map[string]func(f *unsavedFixture){
		"an Init":            func(f *unsavedFixture) { require.NoError(f.t, init(f)) },
		"an update":          func(f *unsavedFixture) { require.NoError(f.t, f.store.Upsert(ld.Features, flag("bad", 2))) },
		"an Init, late":      writtenLater(init),
		"some updates, late": writtenLater(updates),
	} {
		t.Run(name, func(t *testing.T) {
			testUnsaved(t, func(f *unsavedFixture) {
				if strings.HasSuffix(name, "late") {
					f.transport.setInterceptor(failing(noConnection))
				} else {
					f.transport.setInterceptor(refusingWriteOf(strings.TrimPrefix(f.prefix+":features/bad", ":"), invalid))
				}
				write(f)

				all := want
				if name == "an update" {
					all = []ld.VersionedData{flag("bad", 2), flag("f", 1), flag("g", 1), segment("s", 1), x(1)}
				}
				f.checkServed(all...)
				f.checkStore(f.another(), slices.DeleteFunc(slices.Clone(all), func(item ld.VersionedData) bool {
					return item.GetKey() == "bad"
				}))
				assert.Len(f.t, f.log.ofStores("ERROR", "only this process has now"), 1)
				assert.Empty(f.t, f.log.ofStores("has not been usable"))
				f.transport.reset()
				time.Sleep(time.Minute)
				assert.Empty(f.t, f.transport.writes())
				assert.Empty(f.t, storeGoroutines())
			})
		})
	}
}

// A malformed row is no reason to wait either.
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
	} {
		for _, late := range []bool{false, true} {
			for modeName, options := range outageModes {
				t.Run(fmt.Sprintf("%s/late %v/%s", name, late, modeName), func(t *testing.T) {
					t.Parallel()
					inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
						store := f.newStore(options...)
						require.NoError(t, store.Init(allData(flag("f", 1))))
						if late {
							f.transport.setInterceptor(failing(noConnection))
							require.Error(t, store.Upsert(ld.Features, flag("f", 2)))
						}
						f.putFlagRow("f", c.attributes)
						if late {
							f.transport.setInterceptor(nil)
							timeUntil(t, "the end", f.hasEnded(1))
						} else {
							require.NoError(t, store.Upsert(ld.Features, flag("f", 2)))
							assert.Empty(t, f.log.ofStores("WARN"))
						}
						for range 3 {
							_, _ = store.All(ld.Features)
							synctest.Wait()
							assertHas(t, store, flag("f", 2))
							time.Sleep(400 * time.Millisecond)
						}
						row := f.rows()["features/f"]
						if c.replaced {
							f.requireHoldsItem(f.rows(), flag("f", 2))
						} else {
							assert.Equal(t, c.attributes[itemAttribute], row[itemAttribute])
						}
						assert.Empty(t, storeGoroutines())
					})
				})
			}
		}
	}
}

// What is older than the known row is never served, also if the table can't be
// asked.
func TestRefusedUpdateThatIsOlderThanTheRow(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"all", "writes"} {
		t.Run(way, func(t *testing.T) {
			testUnsaved(t, func(f *unsavedFixture) {
				f.transport.setInterceptor(ways[way])
				_ = f.store.Upsert(ld.Features, flag("f", 0))
				_ = f.store.Delete(ld.Features, "g", 0)

				assertGet(f.t, f.store, ld.Features, "f", flag("f", 1))
				assertGet(f.t, f.store, ld.Features, "g", flag("g", 1))

				f.checkWritten(flag("f", 1), flag("g", 1), segment("s", 1), x(1))
			})
		})
	}
}

// An update that succeeds while others wait takes the place of what waits of its
// item, and an older one is none.
func TestUpdatesWhileOthersWait(t *testing.T) {
	t.Parallel()
	testUnsaved(t, func(f *unsavedFixture) {
		f.transport.setInterceptor(denying("PutItem"))
		require.Error(f.t, f.store.Upsert(ld.Features, flag("f", 5)))
		require.Error(f.t, f.store.Upsert(ld.Features, flag("g", 5)))
		require.Error(f.t, f.store.Upsert(ld.Segments, segment("s", 5)))
		require.Error(f.t, f.store.Upsert(ld.Features, flag("f", 6)))
		require.NoError(f.t, f.store.Upsert(ld.Features, flag("g", 4)))
		want := []ld.VersionedData{flag("f", 6), flag("g", 5), segment("s", 5), x(1)}
		f.checkServed(want...)
		f.transport.setInterceptor(refusingWriteOf(strings.TrimPrefix(f.prefix+":segments/s", ":"), refusals["access denied"].answer))
		time.Sleep(2 * denialInterval)
		f.checkServed(want...)
		f.checkWritten(want...)
	})
}

// An Init that arrives while what waits is being written has the last word.
func TestInitDuringALateWrite(t *testing.T) {
	t.Parallel()
	testUnsaved(t, func(f *unsavedFixture) {
		f.transport.setInterceptor(failing(noConnection))
		require.Error(f.t, f.store.Upsert(ld.Features, flag("removed", 1)))
		held := f.holdRequest("PutItem", `{"S":"removed"}`)
		f.transport.setInterceptor(nil)
		<-held.arrived

		result := make(chan error, 1)
		go func() { result <- f.store.Init(allKinds(flag("f", 2), x(1))) }()
		synctest.Wait()
		close(held.released)
		require.NoError(f.t, <-result)

		f.checkServed(flag("f", 2), x(1))
		f.checkWritten(flag("f", 2), x(1))
	})
}

// The table still has what the Init removed, and reads work. Neither a process that
// has just started nor a read that is under way must take it for an item.
func TestWhatARefusedInitRemovedStaysAway(t *testing.T) {
	t.Parallel()
	testUnsaved(t, func(f *unsavedFixture) {
		require.NoError(f.t, f.another().Upsert(ld.Features, flag("removed", 1)))
		f.store = f.newStore(append(outageModes[f.mode], Prefix(f.prefix), RequestTimeout(0))...)
		read := f.holdResponse("GetItem", `{"S":"removed"}`).during(get(f.store, "removed"))
		readAll := f.holdResponse("Query", `features"}`).during(all(f.store))
		f.transport.setInterceptor(denying("BatchWriteItem", "PutItem"))
		require.Error(f.t, f.store.Init(allKinds(flag("f", 1), segment("s", 1))))

		read.finish()
		readAll.finish()

		f.checkServed(flag("f", 1), segment("s", 1))
		f.checkWritten(flag("f", 1), segment("s", 1))
	})
}

// Nobody who reads waits for a late write that gets no answer, and an Init not for
// long.
func TestLateWriteWithoutAnAnswerKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		store := f.newStore(CacheTTL(0))
		data := allData(numberedFlags("f", 1000)...)
		f.transport.setInterceptor(failing(blackHole, "BatchWriteItem", "PutItem"))
		require.Error(t, store.Init(data))
		for range 10 {
			time.Sleep(3 * time.Second / 2)
			assert.Zero(t, elapsed(func() {
				assertGet(t, store, ld.Features, "f-1", flag("f-1", 1))
				assert.NoError(t, all(store)())
			}))
			assert.LessOrEqual(t, elapsed(func() { assert.Error(t, store.Init(data)) }), 3*DefaultRequestTimeout)
		}
	})
}

// Each store has its own outages, and keeps its own items.
func TestTwoStoresOfOneProcess(t *testing.T) {
	t.Parallel()
	for _, prefixes := range [][2]string{{"", "p"}, {"p", "q"}, {"", ""}} {
		t.Run(fmt.Sprintf("%q", prefixes), func(t *testing.T) {
			t.Parallel()
			inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
				g := f.sibling(t)
				g.transport.table = f.transport.table
				one, two := f.newStore(CacheTTL(0), Prefix(prefixes[0])), g.newStore(CacheTTL(0), Prefix(prefixes[1]))
				require.NoError(t, one.Init(allKinds(flag("f", 1))))
				require.NoError(t, two.Init(allKinds(flag("f", 1))))
				f.transport.setInterceptor(denying("PutItem"))
				require.Error(t, one.Upsert(ld.Features, flag("f", 2)))
				require.Error(t, one.Upsert(experiments, x(1)))

				assertHas(t, two, flag("f", 1))
				assertGet(t, two, experiments, "x", nil)
				require.NoError(t, two.Upsert(ld.Features, flag("g", 1)))
				assertHas(t, one, flag("f", 2))
				f.transport.setInterceptor(nil)
				timeUntil(t, "the end", f.hasEnded(1))

				assertHas(t, one, flag("f", 2))
				if prefixes[0] == prefixes[1] {
					assertHas(t, two, flag("f", 2))
				} else {
					assertHas(t, two, flag("f", 1))
					assertGet(t, one, ld.Features, "g", nil)
				}
				assert.Empty(t, g.log.ofStores())
			})
		})
	}
}

func TestSlowQueryOfLateInitStopsNoReads(t *testing.T) {
	inFakeTime(t, func(t *testing.T, f *fixture) {
		f.transport.setInterceptor(denying("Query"))
		store := f.newStore(CacheTTL(0))
		require.Error(t, store.Init(allData(flag("f", 2))))

		table := holding(t, flag("other", 1))
		f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
			if r.action == "Query" && !strings.Contains(string(r.body), `"Limit"`) {
				select {
				case <-time.After(1500 * time.Millisecond):
				case <-r.http.Context().Done():
					return nil, r.http.Context().Err()
				}
			}
			return table(r, send)
		})
		for range 300 {
			assertGet(t, store, ld.Features, "other", flag("other", 1))
			time.Sleep(100 * time.Millisecond)
		}
		assert.Len(t, f.log.ofStores("INFO", "can be used again"), 1)
	})
}

func TestReadDuringLateWriteServesTheUpdate(t *testing.T) {
	reads := map[string]func(ld.FeatureStore) (ld.VersionedData, error){
		"GetItem": func(s ld.FeatureStore) (ld.VersionedData, error) { return s.Get(ld.Features, "f") },
		"Query": func(s ld.FeatureStore) (ld.VersionedData, error) {
			items, err := s.All(ld.Features)
			return items["f"], err
		},
	}
	for action, read := range reads {
		t.Run(action, func(t *testing.T) {
			inFakeTime(t, func(t *testing.T, f *fixture) {
				table := holding(t, flag("f", 1))
				f.transport.setInterceptor(denying("PutItem").over(table))
				store := f.newStore(CacheTTL(0), RequestTimeout(time.Minute))
				require.Error(t, store.Upsert(ld.Features, flag("f", 2)))

				held := f.holdResponse(action, `"features"`)
				var served ld.VersionedData
				call := held.during(func() (err error) {
					served, err = read(store)
					return err
				})
				f.transport.setInterceptor(table)
				time.Sleep(10 * time.Second)
				require.Len(t, f.log.ofStores("INFO", "items that were written late: 1"), 1)
				call.finish()
				assert.Equal(t, flag("f", 2), served)
			})
		})
	}
}
