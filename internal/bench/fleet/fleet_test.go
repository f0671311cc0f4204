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
	ttl := small.ttl.Seconds()
	from := ttl * float64(percent) / 100
	part := ttl - from
	sum := 0.0
	for _, pause := range pauses {
		sum += pause.Seconds()
	}
	least, most := slices.Min(pauses).Seconds(), slices.Max(pauses).Seconds()
	assert.GreaterOrEqual(t, least, from)
	assert.Less(t, least, from+part/5)
	assert.LessOrEqual(t, most, ttl)
	assert.Greater(t, most, ttl-part/5)
	assert.InDelta(t, from+part/2, sum/float64(len(pauses)), part/5)
}
