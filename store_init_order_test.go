package lddynamodb

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"pgregory.net/rapid"
)

// Whatever the data, what is in the table already, and what is throttled: a
// process that reads the table meanwhile never meets a flag without what the
// flag needs.
func TestInitWritesInAnOrderThatOtherProcessesCanRelyOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var checks atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		prefix := fmt.Sprint(checks.Add(1)) // so each check begins without rows
		graph := drawGraph(rt)
		log := newWriteLog(prefix)
		log.throttled = rapid.IntRange(0, 9).Draw(rt, "throttled") == 9
		before := drawDataBefore(rt, graph)
		store := f.newStore(Prefix(prefix), CacheTTL(0))
		require.NoError(rt, store.Init(before))
		f.deleteRow(rowKey{prefix + ":" + initedKey, prefix + ":" + initedKey}) // as it is where that Init has failed
		f.transport.setInterceptor(log.intercept)
		defer f.transport.setInterceptor(nil)

		require.NoError(rt, store.Init(graph.data()))

		log.checkComplete(rt, before, graph.data())
		log.checkKinds(rt)
		graph.checkPrerequisites(rt, log)
	})
}

// A flagGraph is flags with prerequisites, by their number: some among them
// lead in cycles, and some to no flag.
type flagGraph struct {
	prerequisites [][]int
	segments      int
	experiments   int
}

func drawGraph(rt *rapid.T) flagGraph {
	g := flagGraph{
		prerequisites: make([][]int, rapid.IntRange(1, 60).Draw(rt, "flags")),
		segments:      rapid.IntRange(0, 30).Draw(rt, "segments"),
		experiments:   rapid.IntRange(0, 3).Draw(rt, "experiments"),
	}
	for i := range g.prerequisites {
		for range rapid.IntRange(0, 2).Draw(rt, "prerequisites") {
			highest := i - 1
			if rapid.IntRange(0, 9).Draw(rt, "cycle") == 9 {
				highest = len(g.prerequisites) // there is no flag of this number
			}
			if highest >= 0 {
				g.prerequisites[i] = append(g.prerequisites[i], rapid.IntRange(0, highest).Draw(rt, "prerequisite"))
			}
		}
	}
	return g
}

func (g flagGraph) data() map[ld.VersionedDataKind]map[string]ld.VersionedData {
	var items []ld.VersionedData
	for i, prerequisites := range g.prerequisites {
		var keys []string
		for _, p := range prerequisites {
			keys = append(keys, fmt.Sprint(p))
		}
		items = append(items, flag(fmt.Sprint(i), 1, keys...))
	}
	for i := range g.segments {
		items = append(items, segment(fmt.Sprint(i), 1))
	}
	data := allData(items...)
	data[experiments] = make(map[string]ld.VersionedData)
	for i := range g.experiments {
		data[experiments][fmt.Sprint(i)] = &experiment{ID: fmt.Sprint(i), Revision: 1}
	}
	return data
}

// drawDataBefore makes data of which some is obsolete and some is missing.
func drawDataBefore(rt *rapid.T, g flagGraph) map[ld.VersionedDataKind]map[string]ld.VersionedData {
	data := g.data()
	for _, kind := range []ld.VersionedDataKind{ld.Segments, ld.Features, experiments} {
		for _, key := range slices.Sorted(maps.Keys(data[kind])) {
			if !rapid.Bool().Draw(rt, "is there before") {
				delete(data[kind], key)
			}
		}
	}
	for i := range rapid.IntRange(0, 30).Draw(rt, "obsolete flags") {
		item := flag(fmt.Sprintf("obsolete-%d", i), 1)
		data[ld.Features][item.Key] = item
	}
	if rapid.Bool().Draw(rt, "obsolete segment") {
		data[ld.Segments]["obsolete"] = segment("obsolete", 1)
	}
	return data
}

// checkPrerequisites checks that each flag was sent only when all flags below it
// in the chains of prerequisites were stored. Along a cycle nothing is below.
func (g flagGraph) checkPrerequisites(rt *rapid.T, log *writeLog) {
	below := closure(g.withoutCycles())
	for i := range below {
		for j := range below {
			sent, iWritten := log.sent[flagRow(i)]
			stored, jWritten := log.stored[flagRow(j)]
			if below[i][j] && iWritten && jWritten {
				require.Less(rt, stored, sent, "flag %d was sent before flag %d was stored", i, j)
			}
		}
	}
}

func flagRow(number int) string { return fmt.Sprintf("features/%d", number) }

// withoutCycles returns the prerequisites that don't lead back.
func (g flagGraph) withoutCycles() [][]int {
	leads := closure(g.prerequisites)
	acyclic := make([][]int, len(g.prerequisites))
	for i, prerequisites := range g.prerequisites {
		for _, p := range prerequisites {
			if p < len(leads) && !leads[p][i] {
				acyclic[i] = append(acyclic[i], p)
			}
		}
	}
	return acyclic
}

// closure tells for each two flags whether a chain of prerequisites leads from
// the first to the second.
func closure(prerequisites [][]int) [][]bool {
	leads := make([][]bool, len(prerequisites))
	for i := range leads {
		leads[i] = make([]bool, len(prerequisites))
		for _, p := range prerequisites[i] {
			if p < len(leads) {
				leads[i][p] = true
			}
		}
	}
	for via := range leads {
		for i := range leads {
			for j := range leads {
				leads[i][j] = leads[i][j] || leads[i][via] && leads[via][j]
			}
		}
	}
	return leads
}

// A writeLog notes when each row was first sent, and when DynamoDB had stored
// or deleted it.
type writeLog struct {
	prefix    string
	throttled bool // half of each batch comes back unprocessed, once

	mu      sync.Mutex
	clock   int
	sent    map[string]int // by "namespace/key", without the prefix
	stored  map[string]int
	deletes map[string]bool
}

func newWriteLog(prefix string) *writeLog {
	return &writeLog{
		prefix:  prefix,
		sent:    make(map[string]int),
		stored:  make(map[string]int),
		deletes: make(map[string]bool),
	}
}

func (l *writeLog) intercept(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
	rows, again := l.noteSent(r)
	if len(rows) == 0 {
		return send()
	}
	if again || !l.throttled || r.action != "BatchWriteItem" {
		return l.noteStored(rows)(send())
	}
	half := len(rows) / 2
	return l.noteStored(rows[:half])(sendPart(r, half, send))
}

// noteSent returns the rows that a request writes.
func (l *writeLog) noteSent(r *sentRequest) (rows []string, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	requests := r.writeRequests()
	rows = rowNames(requests)
	for i := range rows {
		rows[i] = strings.TrimPrefix(rows[i], l.prefix+":")
		if _, again = l.sent[rows[i]]; !again {
			l.sent[rows[i]] = l.clock
		}
		l.deletes[rows[i]] = requests[i].DeleteRequest != nil
	}
	return rows, again
}

// noteStored takes the response to a request that DynamoDB took these rows of.
func (l *writeLog) noteStored(rows []string) func(*http.Response, error) (*http.Response, error) {
	return func(response *http.Response, err error) (*http.Response, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.clock++
		for _, name := range rows {
			l.stored[name] = l.clock
		}
		return response, err
	}
}

// checkComplete checks that just what differed was written, and once.
func (l *writeLog) checkComplete(rt *rapid.T, before, after map[ld.VersionedDataKind]map[string]ld.VersionedData) {
	deletes := map[string]bool{initedKey + "/" + l.prefix + ":" + initedKey: false}
	for kind := range after {
		for key := range after[kind] {
			if before[kind][key] == nil {
				deletes[kind.GetNamespace()+"/"+key] = false
			}
		}
		for key := range before[kind] {
			if after[kind][key] == nil {
				deletes[kind.GetNamespace()+"/"+key] = true
			}
		}
	}
	require.Equal(rt, deletes, l.deletes)
	require.Len(rt, l.stored, len(deletes))
}

// checkKinds checks that segments were stored before any flag was sent, flags
// before other items, all of these before any row was deleted, and all before
// the table was said to be complete.
func (l *writeLog) checkKinds(rt *rapid.T) {
	for earlier, stored := range l.stored {
		for later, sent := range l.sent {
			if l.rank(earlier) < l.rank(later) {
				require.Less(rt, stored, sent, "%s was sent before %s was stored", later, earlier)
			}
		}
	}
}

func (l *writeLog) rank(name string) int {
	namespace, _, _ := strings.Cut(name, "/")
	switch {
	case namespace == initedKey:
		return 4
	case l.deletes[name]:
		return 3
	default:
		return slices.Index([]string{"segments", "features", "experiments"}, namespace)
	}
}

// A chain of prerequisites takes as many batches one after the other as it is
// deep, and no more.
func TestInitOfAChainOfPrerequisites(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const depth = 50
	var data []ld.VersionedData
	for i := range depth {
		data = append(data, flag(fmt.Sprint(i), 1, fmt.Sprint(i+1)))
	}

	require.NoError(t, f.newStore().Init(allData(data...)))

	assert.Len(t, f.transport.recorded("BatchWriteItem"), depth)
	f.requireHolds(data)
}

func TestInitOfPrerequisitesInACycle(t *testing.T) {
	t.Parallel()
	tests := map[string][]ld.VersionedData{
		"a flag that is its own": {flag("a", 1, "a")},
		"two flags":              {flag("a", 1, "b"), flag("b", 1, "a")},
		"two cycles that share a flag, and a flag before and after": {
			flag("a", 1, "b", "c"), flag("b", 1, "a"), flag("c", 1, "d"), flag("d", 1, "a", "below"),
			flag("below", 1), flag("above", 1, "b"),
		},
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			require.NoError(t, f.newStore().Init(allData(data...)))
			f.requireHolds(data)
		})
	}
}
