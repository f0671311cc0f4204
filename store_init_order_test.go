package lddynamodb

import (
	"fmt"
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
		log := newWriteLog(prefix)
		log.throttled = rapid.IntRange(0, 9).Draw(rt, "throttled") == 9
		graph, items := drawGraph(rt)
		before, want := drawDataBefore(rt, items)
		want[initedKey+"/"+prefix+":"+initedKey] = false
		store := f.newStore(Prefix(prefix), CacheTTL(0))
		require.NoError(rt, store.Init(allKinds(before...)))
		f.deleteRow(rowKey{prefix + ":" + initedKey, prefix + ":" + initedKey}) // as it is where that Init has failed
		f.transport.setInterceptor(log.intercept)
		defer f.transport.setInterceptor(nil)

		require.NoError(rt, store.Init(allKinds(items...)))

		require.Equal(rt, want, log.deletes, "just what differs is written")
		require.Len(rt, log.stored, len(want))
		log.checkKinds(rt)
		graph.checkPrerequisites(rt, log)
	})
}

// A flagGraph has the prerequisites of flags, by their number: some lead in cycles,
// and some to no flag.
type flagGraph [][]int

// drawGraph makes an Init's data and the graph of its flags.
func drawGraph(rt *rapid.T) (graph flagGraph, items []ld.VersionedData) {
	graph = make(flagGraph, rapid.IntRange(1, 60).Draw(rt, "flags"))
	for i := range graph {
		var keys []string
		for range rapid.IntRange(0, 2).Draw(rt, "prerequisites") {
			highest := i - 1
			if rapid.IntRange(0, 9).Draw(rt, "cycle") == 9 {
				highest = len(graph) // there is no flag of this number
			}
			if highest >= 0 {
				p := rapid.IntRange(0, highest).Draw(rt, "prerequisite")
				graph[i], keys = append(graph[i], p), append(keys, fmt.Sprint(p))
			}
		}
		items = append(items, flag(fmt.Sprint(i), 1, keys...))
	}
	for i := range rapid.IntRange(0, 30).Draw(rt, "segments") {
		items = append(items, segment(fmt.Sprint(i), 1))
	}
	for i := range rapid.IntRange(0, 3).Draw(rt, "experiments") {
		items = append(items, &experiment{ID: fmt.Sprint(i), Revision: 1})
	}
	return graph, items
}

// drawDataBefore makes data of which some is obsolete and some is missing. It also
// returns which rows an Init has to write then, and whether it has to delete them.
func drawDataBefore(rt *rapid.T, items []ld.VersionedData) (before []ld.VersionedData, want map[string]bool) {
	want = make(map[string]bool)
	for _, item := range items {
		if rapid.Bool().Draw(rt, "is there before") {
			before = append(before, item)
		} else {
			want[nameOf(item)] = false
		}
	}
	for i := range rapid.IntRange(0, 30).Draw(rt, "obsolete") {
		for _, item := range []ld.VersionedData{flag(fmt.Sprint("obsolete-", i), 1), segment(fmt.Sprint("obsolete-", i), 1)} {
			before, want[nameOf(item)] = append(before, item), true
		}
	}
	return before, want
}

// checkPrerequisites checks that each flag was sent only when all flags below it
// in the chains of prerequisites were stored. Along a cycle nothing is below.
func (g flagGraph) checkPrerequisites(rt *rapid.T, log *writeLog) {
	acyclic := make(flagGraph, len(g))
	for i, prerequisites := range g {
		acyclic[i] = slices.DeleteFunc(slices.Clone(prerequisites), func(p int) bool { return g.below(p)[i] })
	}
	for i := range g {
		sent, isWritten := log.sent[fmt.Sprintf("features/%d", i)]
		for j := range acyclic.below(i) {
			if stored, ok := log.stored[fmt.Sprintf("features/%d", j)]; ok && isWritten && i != j {
				require.Less(rt, stored, sent, "flag %d was sent before flag %d was stored", i, j)
			}
		}
	}
}

// below returns a flag and those that chains of prerequisites lead to from there.
func (g flagGraph) below(flag int) map[int]bool {
	found := make(map[int]bool)
	var walk func(i int)
	walk = func(i int) {
		if found[i] || i >= len(g) {
			return
		}
		found[i] = true
		for _, p := range g[i] {
			walk(p)
		}
	}
	walk(flag)
	return found
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
