package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestMain(m *testing.M) {
	dynamolocal.HideAWSSettings()
	os.Exit(m.Run())
}

var small = fleet{processes: 100, flags: 50, startWithin: time.Second, ttl: lddynamodb.DefaultCacheTTL, isSpread: true}

func TestWithoutSpreadEveryTTLIsAPeak(t *testing.T) {
	t.Parallel()
	together := small
	together.isSpread = false
	for second, units := range simulate(together) {
		if second%15 == 0 {
			assert.Equal(t, 100*50, units)
		} else {
			assert.Zero(t, units)
		}
	}
}

func TestSpreadTakesThePeaksAway(t *testing.T) {
	t.Parallel()
	r := result{"", simulate(small)}
	assert.Equal(t, r.units, simulate(small), "the same numbers each time")
	assert.Equal(t, 100*50, r.units[0])
	settled := r.after(small.ttl)
	assert.InEpsilon(t, 100*50/(0.95*15), settled.mean(), 0.02, "as docs/fleets.md calculates it")
	assert.LessOrEqual(t, float64(settled.highest()), 2.3*float64(settled.mean()))
}

// The store itself has to read when the simulation says.
func TestTheStoreReadsAsSimulated(t *testing.T) {
	t.Parallel()
	const flags, ttls = 100, 20
	readsOf := map[string][][]time.Duration{"store": readsOfStore(t, flags, ttls*small.ttl)}
	random := rand.New(rand.NewPCG(1, 2))
	for range flags {
		readsOf["simulation"] = append(readsOf["simulation"], slices.Collect(small.reads(0, ttls*small.ttl, random)))
	}
	for name, reads := range readsOf {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Len(t, reads, flags)
			var first, later []time.Duration
			for _, moments := range reads {
				pauses := pausesBetween(moments)
				first, later = append(first, pauses[0]), append(later, pauses[1:]...)
			}
			require.Greater(t, len(later), flags*(ttls-1))
			assertSpread(t, first, 50)
			assertSpread(t, later, 90)
		})
	}
}

// assertSpread requires pauses between reads to be spread over the TTL from a given
// percentage of it to its end.
func assertSpread(t *testing.T, pauses []time.Duration, percent int) {
	t.Helper()
	from := small.ttl * time.Duration(percent) / 100
	margin := (small.ttl - from) / 5
	var sum time.Duration
	for _, pause := range pauses {
		sum += pause
	}
	assert.GreaterOrEqual(t, slices.Min(pauses), from)
	assert.Less(t, slices.Min(pauses), from+margin)
	assert.LessOrEqual(t, slices.Max(pauses), small.ttl)
	assert.Greater(t, slices.Max(pauses), small.ttl-margin)
	assert.InDelta(t, (from+small.ttl)/2, sum/time.Duration(len(pauses)), float64(margin))
}

// readsOfStore evaluates flags all the time for that long, in fake time, and returns
// when each was read.
func readsOfStore(t *testing.T, flags int, duration time.Duration) (moments [][]time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reads := &table{moments: make(map[string][]time.Duration)}
		store := newStore(t, reads)
		for start := time.Now(); time.Since(start) < duration; time.Sleep(100 * time.Millisecond) {
			for i := range flags {
				item, err := store.Get(ld.Features, fmt.Sprint("flag-", i))
				require.NoError(t, err)
				require.NotNil(t, item)
			}
		}
		synctest.Wait() // for what the store does in the background
		delete(reads.moments, "$probe")
		moments = slices.Collect(maps.Values(reads.moments))
	})
	return moments
}

func pausesBetween(moments []time.Duration) (pauses []time.Duration) {
	for i, moment := range moments[1:] {
		pauses = append(pauses, moment-moments[i])
	}
	return pauses
}

func newStore(t *testing.T, table http.RoundTripper) ld.FeatureStore {
	t.Helper()
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory("table", lddynamodb.ClientConfig(
		aws.NewConfig().WithRegion("us-east-1").WithCredentials(credentials.NewStaticCredentials("id", "secret", "")).
			WithHTTPClient(&http.Client{Transport: table})))
	require.NoError(t, err)
	store, err := factory(ld.Config{Loggers: ldlog.NewDefaultLoggers()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.(io.Closer).Close()) })
	return store
}

// A table has every flag, and knows when each was read.
type table struct {
	mu      sync.Mutex
	moments map[string][]time.Duration
}

// RoundTrip implements http.RoundTripper.
func (reads *table) RoundTrip(request *http.Request) (*http.Response, error) {
	var input struct{ Key map[string]struct{ S string } }
	if err := json.NewDecoder(request.Body).Decode(&input); err != nil {
		return nil, err
	}
	key := input.Key["key"].S
	reads.mu.Lock()
	defer reads.mu.Unlock()
	reads.moments[key] = append(reads.moments[key], time.Duration(time.Now().UnixNano()))
	row := fmt.Sprintf(`{"Item": {"namespace": {"S": "features"}, "key": {"S": %q}, "version": {"N": "1"}, "item": {"S": %q}}}`,
		key, fmt.Sprintf(`{"key": %q, "version": 1}`, key))
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(row)), Request: request}, nil
}

func TestTableAndChart(t *testing.T) {
	t.Parallel()
	var printed strings.Builder
	chart := filepath.Join(t.TempDir(), "fleet.svg")
	require.NoError(t, run(&printed, chart))
	assert.Contains(t, strings.Join(strings.Fields(printed.String()), " "), "mean 3,333 3,572")
	drawn, err := os.ReadFile(chart)
	require.NoError(t, err)
	assert.NoError(t, xml.Unmarshal(drawn, new(any)))
	assert.Contains(t, string(drawn), "1,000 processes")
	assert.Contains(t, string(drawn), "50,000")
}
