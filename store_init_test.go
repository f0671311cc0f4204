package lddynamodb

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func TestInitWritesNothingWhereNothingChanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	data := append(numberedFlags("f", 100), segment("s", 1), deletedFlag("deleted", 3))
	require.NoError(t, f.newStore().Init(allData(data...)))
	f.transport.reset()

	require.NoError(t, f.newStore().Init(allData(data...)))

	var actions []string
	for _, r := range f.transport.recorded() {
		actions = append(actions, r.action)
	}
	assert.ElementsMatch(t, []string{"GetItem", "Query", "Query"}, actions)
	f.requireHolds(data)
}

func TestInitWritesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	otherJSON := flag("f-7", 1)
	otherJSON.Salt = strings.ToUpper(otherJSON.Salt) // as long as before
	tests := map[string]struct {
		changed []ld.VersionedData
		removed []string
	}{
		"another version":                       {changed: []ld.VersionedData{flag("f-7", 2)}},
		"an older version":                      {changed: []ld.VersionedData{flag("f-7", 0)}},
		"the same version with other content":   {changed: []ld.VersionedData{otherJSON}},
		"a flag that is deleted now":            {changed: []ld.VersionedData{deletedFlag("f-7", 2)}},
		"a new flag":                            {changed: []ld.VersionedData{flag("new", 1)}},
		"a flag that is gone":                   {removed: []string{"f-7"}},
		"a new segment":                         {changed: []ld.VersionedData{segment("f-7", 1)}},
		"some flags, none of them on the other": {changed: []ld.VersionedData{flag("f-7", 2), flag("f-8", 2), flag("new", 1)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			items := make(map[string]ld.VersionedData)
			for _, item := range numberedFlags("f", 100) {
				items[nameOf(item)] = item
			}
			require.NoError(t, f.newStore().Init(allData(slices.Collect(maps.Values(items))...)))
			f.transport.reset()

			var written []string
			for _, item := range test.changed {
				items[nameOf(item)] = item
				written = append(written, nameOf(item))
			}
			for _, key := range test.removed {
				delete(items, "features/"+key)
				written = append(written, "features/"+key)
			}
			data := slices.Collect(maps.Values(items))
			require.NoError(t, f.newStore().Init(allData(data...)))

			writes := f.transport.writes()
			require.Len(t, writes, 1)
			assert.ElementsMatch(t, written, rowNames(writes[0].writeRequests()))
			f.requireHolds(data)
		})
	}
}

// Updates are compared with the version that the row has, whatever its JSON says.
func TestInitMendsARowWithTheRightJSONAndAnotherVersion(t *testing.T) {
	t.Parallel()
	encoded := jsonOf(t, flag("f", 2))
	for name, attributes := range map[string]rawItem{
		"an older version":          {versionAttribute: number("1"), itemAttribute: text(encoded)},
		"a version of another type": {versionAttribute: text("2"), itemAttribute: text(encoded)},
		"no version":                {itemAttribute: text(encoded)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			data := append(numberedFlags("other", 3), flag("f", 2))
			require.NoError(t, f.newStore().Init(allData(data...)))
			f.putFlagRow("f", attributes)
			f.transport.reset()

			require.NoError(t, f.newStore().Init(allData(data...)))

			writes := f.transport.writes()
			require.Len(t, writes, 1)
			assert.Equal(t, []string{"features/f"}, rowNames(writes[0].writeRequests()))
			f.requireHolds(data)
		})
	}
}

func TestInitLeavesOtherRowsAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	others := []rowKey{
		{"other:features", "f"}, {"p:features:x", "f"}, {"p:p:features", "f"}, {"p", "f"},
		{"features", "f"}, {"segments", "s"}, {"$inited", "$inited"}, {"other:$inited", "other:$inited"},
		{"p:experiments", "kind that is not in the data"}, {"p:$inited", "another row of this prefix"},
	}
	for _, key := range others {
		f.putRow(key.attributes())
	}
	before := f.rows()
	store := f.newStore(Prefix("p"))

	require.NoError(t, store.Init(allData(flag("f", 1), flag("obsolete", 1), segment("s", 1))))
	require.NoError(t, store.Init(allData(flag("f", 1), segment("s", 1))))

	after := f.rows()
	for _, own := range []string{"p:features/f", "p:segments/s", "p:$inited/p:$inited"} {
		assert.Contains(t, after, own)
		delete(after, own)
	}
	assert.Equal(t, before, after)
}

func TestInitReplacesAndDeletesMalformedRows(t *testing.T) {
	t.Parallel()
	f := newMalformedFixture(t)
	var data []ld.VersionedData
	for i, key := range slices.Sorted(maps.Keys(malformedRows)) {
		if i%2 == 0 {
			data = append(data, flag(key, 3))
		}
	}
	require.NoError(t, f.newStore().Init(allData(data...)))
	f.requireHolds(data)
	for i, key := range slices.Sorted(maps.Keys(malformedRows)) {
		if i%2 == 1 {
			data = append(data, flag(key, 3))
		}
		f.putFlagRow(key, malformedRows[key])
	}
	require.NoError(t, f.newStore().Init(allData(data...)))
	f.requireHolds(data)
	assertAll(t, f.newStore(), ld.Features, data...)
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
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
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
	f := newFixture(t)
	reads := newCrowd(3, "GetItem", "Query")
	batches := newCrowd(maxParallelBatches, "BatchWriteItem")
	f.transport.setInterceptor(interceptor(reads.intercept).over(batches.intercept))

	require.NoError(t, f.newStore().Init(allData(numberedFlags("f", 4*maxParallelBatches*maxBatchRequests)...)))

	assert.Equal(t, 3, reads.most)
	assert.Equal(t, maxParallelBatches, batches.most)
}

// A crowd holds requests of some actions back until there are enough at once.
type crowd struct {
	actions []string
	enough  int
	full    chan struct{}

	mu      sync.Mutex
	present int
	most    int
}

func newCrowd(enough int, actions ...string) *crowd {
	return &crowd{actions: actions, enough: enough, full: make(chan struct{})}
}

func (c *crowd) intercept(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
	if !slices.Contains(c.actions, r.action) {
		return send()
	}
	c.enter()
	defer c.leave()
	select {
	case <-c.full:
		return send()
	case <-r.http.Context().Done():
		return nil, r.http.Context().Err()
	}
}

func (c *crowd) enter() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.present++
	if c.present == c.enough && c.most < c.enough {
		close(c.full)
	}
	c.most = max(c.most, c.present)
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.present--
}
