package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

var small = fleet{processes: 100, flags: 50, startWithin: time.Second, ttl: lddynamodb.DefaultCacheTTL, spread: spread}

func TestWithoutSpreadEveryTTLIsAPeak(t *testing.T) {
	t.Parallel()
	together := small
	together.spread = 0
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
	assert.InEpsilon(t, 100*50/(0.95*15), r.minute(10).mean(), 0.1, "as docs/fleets.md calculates it")
	assert.Less(t, r.minute(10).highest(), 100*50/5)
	assert.Less(t, r.minute(10).highest(), r.minute(2).highest()/2)
}

// The store itself has to read when the simulation says.
func TestTheStoreReadsAsSimulated(t *testing.T) {
	t.Parallel()
	const flags, ttls = 20, 50
	pauses := map[string][]time.Duration{"store": pausesOfStore(t, flags, ttls*small.ttl)}
	random := rand.New(rand.NewPCG(1, 2))
	for range flags {
		reads := slices.Collect(small.reads(0, ttls*small.ttl, random))
		pauses["simulation"] = append(pauses["simulation"], pausesBetween(reads)...)
	}
	for name, pauses := range pauses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Greater(t, len(pauses), flags*ttls)
			var sum time.Duration
			for _, pause := range pauses {
				sum += pause
			}
			assert.LessOrEqual(t, slices.Max(pauses), small.ttl)
			assert.Greater(t, slices.Max(pauses), small.ttl*99/100)
			assert.GreaterOrEqual(t, slices.Min(pauses), small.ttl*90/100)
			assert.Less(t, slices.Min(pauses), small.ttl*91/100)
			assert.InEpsilon(t, small.ttl*95/100, sum/time.Duration(len(pauses)), 0.01)
		})
	}
}

// pausesOfStore evaluates flags all the time for that long, in fake time, and
// returns the pauses between the reads of each.
func pausesOfStore(t *testing.T, flags int, duration time.Duration) (pauses []time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reads := make(table)
		store := newStore(t, reads)
		for start := time.Now(); time.Since(start) < duration; time.Sleep(100 * time.Millisecond) {
			for i := range flags {
				item, err := store.Get(ld.Features, fmt.Sprint("flag-", i))
				require.NoError(t, err)
				require.NotNil(t, item)
			}
		}
		for _, moments := range reads {
			pauses = append(pauses, pausesBetween(moments)...)
		}
	})
	return pauses
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
type table map[string][]time.Duration

func (reads table) RoundTrip(request *http.Request) (*http.Response, error) {
	var input struct{ Key map[string]struct{ S string } }
	if err := json.NewDecoder(request.Body).Decode(&input); err != nil {
		return nil, err
	}
	key := input.Key["key"].S
	reads[key] = append(reads[key], time.Duration(time.Now().UnixNano()))
	row := fmt.Sprintf(`{"Item": {"namespace": {"S": "features"}, "key": {"S": %q}, "version": {"N": "1"}, "item": {"S": %q}}}`,
		key, fmt.Sprintf(`{"key": %q, "version": 1}`, key))
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(row)), Request: request}, nil
}

func TestTableAndChart(t *testing.T) {
	t.Parallel()
	var printed strings.Builder
	chart := filepath.Join(t.TempDir(), "fleet.svg")
	require.NoError(t, run(&printed, chart))
	assert.Contains(t, strings.Join(strings.Fields(printed.String()), " "), "mean 3,333 3,553")
	drawn, err := os.ReadFile(chart)
	require.NoError(t, err)
	assert.NoError(t, xml.Unmarshal(drawn, new(any)))
	assert.Contains(t, string(drawn), "1,000 processes")
	assert.Contains(t, string(drawn), "50,000")
}
