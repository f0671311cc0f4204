package lddynamodb

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A store says at its start which table it uses, and after an Init what became of it.
func TestInfoLines(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newSDKStore(configLoggingTo(f.log), Prefix("p"))
		require.NoError(t, store.Init(allData(flag("a", 1), flag("b", 1), segment("s", 1))))
		require.NoError(t, store.Init(allData(flag("a", 1), flag("b", 2))))
		lines := f.log.all()
		require.Len(t, lines, 3)
		for i, tells := range []string{
			`under the prefix "p"`, "with 3 items: wrote 3, deleted 0, left 0 alone", "with 2 items: wrote 1, deleted 1, left 1 alone",
		} {
			assert.Contains(t, lines[i], "INFO: DynamoDBFeatureStore: ")
			assert.Contains(t, lines[i], f.table)
			assert.Contains(t, lines[i], tells)
		}
	})
}

// A store of the SDK's looks at the table when it is made, because nobody else notices before the first evaluation. It
// has only the permissions of its mode.
func TestLookAtStart(t *testing.T) {
	t.Parallel()
	initialized := func(f *fixture) { require.NoError(f.tb, f.newStore(Prefix("p")).Init(allData())) }
	fail := func(i interceptor) func(*fixture) {
		return func(f *fixture) { f.transport.setInterceptor(i) }
	}
	daemon, connected := ld.Config{UseLdd: true}, ld.Config{}
	for name, c := range map[string]struct {
		prepare func(f *fixture)
		config  ld.Config
		warning string // none if it is empty
		outage  bool
		quiet   bool // it does not look
	}{
		"a data set": {prepare: initialized, config: daemon},
		"another environment's": {
			prepare: func(f *fixture) { require.NoError(f.tb, f.newStore(Prefix("q")).Init(allData())) },
			config:  daemon, warning: `holds no data set under the prefix "p"`},
		"an empty table": {config: daemon, warning: `holds no data set under the prefix "p"`},
		"no table":       {prepare: fail(failing(refusals["missing table"].answer)), config: daemon, warning: "can't be used", outage: true},
		"a denial":       {prepare: fail(denying()), config: daemon, warning: "can't be used", outage: true},
		"no connection":  {prepare: fail(failing(noConnection)), config: daemon, warning: "can't be used", outage: true},
		"a denial of $inited alone": {prepare: func(f *fixture) {
			initialized(f)
			f.transport.setInterceptor(failingWith(`{"S":"p:$inited"}`, refusals["access denied"].answer, "GetItem"))
		}, config: daemon},
		"offline":                   {config: ld.Config{Offline: true, UseLdd: true}, quiet: true},
		"connected, an empty table": {config: connected},
		"connected, no connection":  {prepare: fail(failing(noConnection)), config: connected, warning: "can't be used", outage: true},
	} {
		runWithTable(t, name, func(t *testing.T, f *fixture) {
			if c.prepare != nil {
				c.prepare(f)
			}
			f.transport.reset()
			told := new(toldStatuses)
			c.config.Loggers = configLoggingTo(f.log).Loggers
			var store ld.FeatureStore
			assert.Zero(t, elapsed(func() { store = f.newSDKStore(c.config, Prefix("p"), StatusListener(told.listen)) }))
			time.Sleep(10 * time.Second)
			assert.Equal(t, c.quiet, len(f.transport.recorded()) == 0)
			assert.Empty(t, f.transport.writes())
			if c.warning == "" {
				assert.Empty(t, f.log.ofStores())
			} else {
				assert.Len(t, f.log.ofStores("WARN", c.warning), 1)
				assert.Len(t, f.log.ofStores(), 1)
			}
			assert.Equal(t, c.outage, len(storeGoroutines()) > 0)
			if c.outage {
				told.require(t, "GetItem p:features/$probe")
				f.transport.setInterceptor(nil)
				timeUntil(t, "the end", f.hasEnded(1))
			}
			require.NoError(t, store.(io.Closer).Close())
			assert.Empty(t, storeGoroutines())
		})
	}
}

// An SDK client is ready when the Init has returned.
func TestConnectedStartDuringAnOutage(t *testing.T) {
	t.Parallel()
	for _, faultName := range differentFaults {
		for modeName, options := range outageModes {
			runWithTable(t, faultName+"/"+modeName, func(t *testing.T, f *fixture) {
				f.transport.setInterceptor(failing(faults[faultName]))
				config := ld.Config{Loggers: configLoggingTo(f.log).Loggers}
				store := f.newSDKStore(config, options...)
				assert.LessOrEqual(t, elapsed(func() { require.NoError(t, store.Init(allData(flag("f", 1), segment("s", 1)))) }), time.Second)
				longest := time.Duration(0)
				switch modeName { // until the failure is known
				case "no cache", "cached, EvictStaleValues":
					longest = 3 * DefaultRequestTimeout // one for each read
				case "cached, RefreshStaleValues":
					longest = getPatience
				}
				assert.LessOrEqual(t, elapsed(func() {
					assert.True(t, store.Initialized())
					assertHas(t, store, flag("f", 1))
					assertGet(t, store, ld.Segments, "s", segment("s", 1))
				}), longest)
				assert.LessOrEqual(t, elapsed(func() { require.NoError(t, store.Upsert(ld.Features, flag("f", 2))) }), DefaultRequestTimeout)
				assertHas(t, store, flag("f", 2))
				time.Sleep(20 * time.Second)
				assertHas(t, store, flag("f", 2))
				assert.Len(t, f.log.ofStores("WARN:", "can't be used"), 1)
				f.requireStatusChanges(0, 0)
				f.transport.setInterceptor(nil)
				assert.LessOrEqual(t, timeUntil(t, "the end", f.hasEnded(1)), 6*time.Second)
				f.requireHolds([]ld.VersionedData{flag("f", 2), segment("s", 1)})
			})
		}
	}
}

// Whoever has the data fills a table again that lost it during an outage, even if nothing but reads met that.
func TestTableThatComesBackEmptyIsFilled(t *testing.T) {
	t.Parallel()
	items := slices.Clip(append(numberedFlags("f", 50), segment("s", 1)))
	for _, faultName := range differentFaults {
		for modeName, options := range outageModes {
			if modeName == "no cache" {
				continue // see TestLostDataSetWithoutACache
			}
			runWithTable(t, faultName+"/"+modeName, func(t *testing.T, f *fixture) {
				store, daemon := f.newSDKStore(configLoggingTo(f.log), options...), f.newStore(CacheTTL(0), Logger(&logLines{}))
				require.NoError(t, store.Init(allData(append(items, flag("updated", 1), flag("deleted", 1))...)))
				require.NoError(t, store.Upsert(ld.Features, flag("updated", 2)))
				require.NoError(t, store.Delete(ld.Features, "deleted", 2))
				f.transport.setInterceptor(failing(faults[faultName]))
				_, err := store.Get(experiments, "x")
				require.Error(t, err)
				require.Error(t, all(daemon)())
				time.Sleep(time.Minute)
				require.NoError(t, f.clear())
				f.transport.setInterceptor(nil)
				assert.LessOrEqual(t, timeUntil(t, "the data set", func() bool { return len(f.rows()) == len(items)+3 }), 5*time.Second+timeStep)
				f.requireHolds(append(items, flag("updated", 2), deletedFlag("deleted", 2)))
				time.Sleep(2 * DefaultRequestTimeout) // the daemon looks on its own
				for _, s := range []ld.FeatureStore{store, daemon} {
					assertAll(t, s, ld.Features, append(numberedFlags("f", 50), flag("updated", 2))...)
				}
				timeUntil(t, "the end", f.hasEnded(1))
				time.Sleep(time.Minute)
				assert.Empty(t, storeGoroutines())
				assert.Len(t, f.log.ofStores("holds no complete data set"), 1)
			})
		}
	}
}

// Without an outage, a read tells that the data set is gone.
func TestDataSetThatVanishesIsWrittenAgain(t *testing.T) {
	t.Parallel()
	items := append(numberedFlags("f", 50), segment("s", 1))
	for readName, read := range map[string]func(ld.FeatureStore) func() error{
		"Get": func(s ld.FeatureStore) func() error { return get(s, "f-1") }, "All": all,
	} {
		for modeName, options := range outageModes {
			if !strings.HasPrefix(modeName, "cached, ") {
				continue // nobody reads what is cached forever
			}
			runWithTable(t, readName+"/"+modeName, func(t *testing.T, f *fixture) {
				store := f.newSDKStore(configLoggingTo(f.log), options...)
				require.NoError(t, store.Init(allData(items...)))
				for _, fill := range []func() error{func() error { return f.newStore().Init(allData(items...)) }, get(store, "f-2")} {
					require.NoError(t, f.clear())
					time.Sleep(2 * time.Second)
					require.NoError(t, read(store)())
					require.NoError(t, fill()) // another process, then this one
					time.Sleep(time.Second)
					f.requireHolds(items)
				}
				assertAll(t, store, ld.Features, numberedFlags("f", 50)...)
				assertGet(t, store, ld.Features, "f-1", flag("f-1", 1))
				f.requireStatusChanges(0, 0)
			})
		}
	}
}

// The items are not kept. The SDK sends them again when its stream begins anew, which it does after an outage.
func TestLostDataSetWithoutACache(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newSDKStore(configLoggingTo(f.log), CacheTTL(0))
		require.NoError(t, store.Init(allData(flag("f", 1))))
		f.transport.setInterceptor(failing(unknownHost))
		require.Error(t, get(store, "f")())
		time.Sleep(time.Second)
		require.NoError(t, f.clear())
		f.transport.reset()
		f.transport.setInterceptor(nil)
		time.Sleep(time.Minute)
		assertHas(t, store, nil)
		assert.Empty(t, f.transport.writes())
		assert.Empty(t, storeGoroutines())
		f.requireStatusChanges(1, 1)
		require.NoError(t, store.Init(allData(flag("f", 2)))) // what the SDK does then
		f.requireHolds([]ld.VersionedData{flag("f", 2)})
	})
}

// A process in daemon mode writes nothing, whatever it finds.
func TestDaemonNeverWrites(t *testing.T) {
	t.Parallel()
	for modeName, options := range outageModes {
		runWithTable(t, modeName, func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore().Init(allData(flag("f", 1))))
			f.transport.reset()
			store := f.newSDKStore(ld.Config{UseLdd: true, Loggers: configLoggingTo(f.log).Loggers}, options...)
			read := func() { _, _ = get(store, "f")(), all(store)() }
			read()
			for _, fault := range []reply{noConnection, throttled, refusals["access denied"].answer} {
				f.transport.setInterceptor(failing(fault))
				time.Sleep(2 * time.Second)
				read()
				_, err := store.Get(experiments, "x")
				require.Error(t, err)
				time.Sleep(time.Minute)
				require.NoError(t, f.clear())
				f.transport.setInterceptor(nil)
				time.Sleep(10 * time.Second)
				read()
			}
			time.Sleep(time.Hour)
			assert.Equal(t, readActions, f.transport.actions())
			assert.Empty(t, storeGoroutines())
		})
	}
}

// Where nobody may look whether there is a data set, rows that are missing were removed.
func TestMissingRowsWhereTheRowThatTellsOfADataSetIsDenied(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		store := f.newStore(outageModes["cached, EvictStaleValues"]...)
		f.transport.setInterceptor(failingWith(`{"S":"$inited"}`, refusals["access denied"].answer, "GetItem"))
		require.NoError(t, store.Init(allData(flag("f", 1), flag("g", 1))))
		require.NoError(t, f.newStore(DynamoClient(f.client)).Init(allData(flag("f", 1))))
		time.Sleep(time.Second)
		assertGet(t, store, ld.Features, "g", nil)
		assertAll(t, store, ld.Features, flag("f", 1))
		time.Sleep(time.Minute)
		assert.Empty(t, f.log.ofStores())
	})
}
