package lddynamodb

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/assert"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// Seen by the goroutines that share a store, each call happens at one moment between its begin and its end: once anyone
// has seen a version of a flag, or the update to it has returned, nobody sees an older one. Here random calls run
// against a store, slowed down at random at the transport, and a linearizability checker looks for such moments.

// A registerCall is what a call means for one flag. A read has as its output the version, or 0 where there is no flag.
type registerCall struct {
	name    string
	version int
}

// A register is what the model has of a flag.
type register struct {
	version int
	deleted bool
}

var registerModel = porcupine.Model{
	Init: func() interface{} { return register{} },
	Step: func(state, input, output interface{}) (bool, interface{}) {
		r, call := state.(register), input.(registerCall)
		switch call.name {
		case "read":
			return output == r.visible(), r
		case "init": // version 0 removes the flag
			return true, register{version: call.version}
		default:
			if call.version > r.version {
				r = register{call.version, call.name == "delete"}
			}
			return true, r
		}
	},
	DescribeOperation: func(input, output interface{}) string { return fmt.Sprint(input, " -> ", output) },
}

func (r register) visible() int {
	if r.deleted {
		return 0
	}
	return r.version
}

// A linearRun is a store, and what goroutines did to it.
type linearRun struct {
	store    ld.FeatureStore
	keys     []string
	inits    bool          // Init is among the calls
	pause    time.Duration // before a call, at most
	begin    time.Time
	versions atomic.Int64

	initsBegun, initsEnded atomic.Int64

	mu        sync.Mutex
	histories map[string][]porcupine.Operation
}

// work makes random calls.
func (run *linearRun) work(worker, calls int, random *rand.Rand) {
	for range calls {
		time.Sleep(rand.N(run.pause + 1))
		key := run.keys[random.IntN(len(run.keys))]
		begin := time.Since(run.begin) // before the version, so that a newer one never comes from an earlier call
		version := int(run.versions.Add(1))
		switch n := random.IntN(100); {
		case n < 50:
			run.get(worker, key)
		case n < 65:
			run.all(worker)
		case n < 85:
			run.write(worker, begin, map[string]registerCall{key: {"update", version}},
				func() error { return run.store.Upsert(ld.Features, flag(key, version)) })
		case n < 95 || !run.inits:
			run.write(worker, begin, map[string]registerCall{key: {"delete", version}},
				func() error { return run.store.Delete(ld.Features, key, version) })
		default:
			run.init(worker, begin, version, random)
		}
	}
}

func (run *linearRun) get(worker int, key string) {
	meetsInit := run.meetsInit()
	begin := time.Since(run.begin)
	item, err := run.store.Get(ld.Features, key)
	if err == nil && !meetsInit() {
		run.record(worker, key, registerCall{name: "read"}, visibleVersion(item), begin, time.Since(run.begin))
	}
}

func (run *linearRun) all(worker int) {
	meetsInit := run.meetsInit()
	begin := time.Since(run.begin)
	items, err := run.store.All(ld.Features)
	end := time.Since(run.begin)
	if err != nil || meetsInit() {
		return
	}
	for _, key := range run.keys {
		run.record(worker, key, registerCall{name: "read"}, visibleVersion(items[key]), begin, end)
	}
}

// meetsInit returns what tells, at the end of a read, whether an Init was under way during it. An Init is not atomic:
// of two reads that it meets, the later one may still find what it removes.
func (run *linearRun) meetsInit() func() bool {
	ended, begun := run.initsEnded.Load(), run.initsBegun.Load()
	return func() bool { return ended < begun || run.initsBegun.Load() > begun }
}

func visibleVersion(item ld.VersionedData) int {
	if item == nil {
		return 0
	}
	return item.GetVersion()
}

// init has some of the flags in its data, and so removes the others.
func (run *linearRun) init(worker int, begin time.Duration, version int, random *rand.Rand) {
	calls := make(map[string]registerCall)
	data := allData()
	for _, key := range run.keys {
		calls[key] = registerCall{"init", 0}
		if random.IntN(2) == 0 {
			calls[key] = registerCall{"init", version}
			data[ld.Features][key] = flag(key, version)
		}
	}
	run.initsBegun.Add(1)
	defer run.initsEnded.Add(1)
	run.write(worker, begin, calls, func() error { return run.store.Init(data) })
}

// write records what a call means for each flag. What the table refused is served nevertheless.
func (run *linearRun) write(worker int, begin time.Duration, calls map[string]registerCall, do func() error) {
	_ = do()
	end := time.Since(run.begin)
	for key, call := range calls {
		run.record(worker, key, call, nil, begin, end)
	}
}

func (run *linearRun) record(worker int, key string, call registerCall, output interface{}, begin, end time.Duration) {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.histories[key] = append(run.histories[key], porcupine.Operation{
		ClientId: worker, Input: call, Output: output, Call: int64(begin), Return: int64(end),
	})
}

// slowly delays requests and responses at random, and loses responses with a probability: then the table may have what
// the store doesn't know of.
func slowly(losses float64) interceptor {
	return func(_ *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		delay := func() {
			if rand.IntN(2) == 0 {
				time.Sleep(rand.N(4 * time.Millisecond))
			}
		}
		delay()
		response, err := send()
		delay()
		if err == nil && rand.Float64() < losses {
			_ = response.Body.Close()
			return nil, io.ErrUnexpectedEOF
		}
		return response, err
	}
}

func TestCallsHappenOneAfterTheOther(t *testing.T) {
	t.Parallel()
	const workers = 6
	setups := map[string][]FeatureStoreOption{
		"TTL zero":         {CacheTTL(0)},
		"TTL of an hour":   {CacheTTL(time.Hour)},
		"TTL that expires": {CacheTTL(5 * time.Millisecond), StaleValues(EvictStaleValues)},
		"TTL over at once": {CacheTTL(time.Nanosecond), StaleValues(EvictStaleValues)},
		"TTL negative":     {CacheTTL(-1)},
		"stale values":     {CacheTTL(5 * time.Millisecond), StaleValues(RefreshStaleValues)},
		"async":            {CacheTTL(5 * time.Millisecond), StaleValues(RefreshStaleValuesAsync)},
		"eventual reads":   {CacheTTL(5 * time.Millisecond), ConsistentReads(false)},
	}
	variants := map[string]struct {
		inits    bool
		losses   float64
		calls    int
		pause    time.Duration
		ofTheSDK bool
	}{
		"with Inits":            {inits: true, calls: 60},
		"with outages":          {losses: 0.3, calls: 120, pause: 8 * time.Millisecond}, // long enough for several
		"of the SDK, with both": {inits: true, losses: 0.2, calls: 120, pause: 8 * time.Millisecond, ofTheSDK: true},
	}
	for name, options := range setups {
		for variantName, variant := range variants {
			runOnTable(t, name+" "+variantName, func(t *testing.T, f *fixture) {
				f.transport.setInterceptor(slowly(variant.losses))
				config := ClientConfig(f.awsConfig(f.transport).WithMaxRetries(0).WithLogLevel(aws.LogOff))
				store := f.newStore(append(options, config)...)
				if variant.ofTheSDK {
					store = f.newSDKStore(configLoggingTo(f.log), append(options, config)...)
				}
				run := &linearRun{
					store:     store,
					keys:      []string{"a", "b", "c"},
					inits:     variant.inits,
					pause:     variant.pause,
					begin:     time.Now(),
					histories: make(map[string][]porcupine.Operation),
				}
				seed := rand.Uint64()
				var group sync.WaitGroup
				for worker := range workers {
					group.Go(func() { run.work(worker, variant.calls, rand.New(rand.NewPCG(seed, uint64(worker)))) })
				}
				group.Wait()
				for key, history := range run.histories {
					result := porcupine.CheckOperationsTimeout(registerModel, history, hangGuard)
					assert.Equal(t, porcupine.Ok, result, "flag %s, seed %d:\n%v", key, seed, history)
				}
			})
		}
	}
}
