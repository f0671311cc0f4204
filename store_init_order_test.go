package lddynamodb

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A writeLog notes when each row was first sent, and when DynamoDB had stored or
// deleted it.
type writeLog struct {
	mu           sync.Mutex
	clock        int
	sent, stored map[string]int // by "namespace/key"
	deletes      map[string]bool
}

func (l *writeLog) intercept(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
	requests := r.writeRequests()
	rows := rowNames(requests)
	done, again := rows, false
	l.mu.Lock()
	l.clock++
	for i, name := range rows {
		if _, again = l.sent[name]; !again {
			l.sent[name], l.deletes[name] = l.clock, requests[i].DeleteRequest != nil
		}
	}
	l.mu.Unlock()
	var response *http.Response
	var err error
	if again || r.action != "BatchWriteItem" {
		response, err = send()
	} else { // each batch is throttled once
		done = rows[:len(rows)/2]
		response, err = sendPart(r, len(done), send)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	for _, name := range done {
		l.stored[name] = l.clock
	}
	return response, err
}

// rank is in which order rows are written: what is obsolete is deleted at the end, and
// then the table is said to be complete.
func (l *writeLog) rank(name string) int {
	namespace, _, _ := strings.Cut(name, "/")
	if l.deletes[name] {
		return 3
	}
	return slices.Index([]string{"segments", "features", "experiments", "", initedKey}, namespace)
}

// A process that reads the table during an Init never meets a flag without what the
// flag needs. Prerequisites may be missing, and lead in cycles.
func TestInitWritesInAnOrderThatOtherProcessesCanRelyOn(t *testing.T) {
	t.Parallel()
	const flags, before, missing = 60, 20, 100
	for i := range 10 {
		runOnTable(t, fmt.Sprint(i), func(t *testing.T, f *fixture) {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			prerequisites := make([]int, flags)
			var items, obsolete []ld.VersionedData
			for n := range flags {
				prerequisites[n] = random.IntN(n + 1) // itself is a cycle
				items = append(items, flag(fmt.Sprint(n), 1, fmt.Sprint(prerequisites[n]), fmt.Sprint(missing)))
				obsolete = append(obsolete, flag(fmt.Sprint("obsolete-", n), 1), segment(fmt.Sprint("obsolete-", n), 1))
			}
			items[0] = flag("0", 1, fmt.Sprint(flags-1)) // and so is this
			random.Shuffle(before, func(a, b int) { obsolete[a], obsolete[b] = obsolete[b], obsolete[a] })
			items = append(items, segment("s", 1), &experiment{ID: "x"})
			store := f.newStore(CacheTTL(0))
			require.NoError(t, store.Init(allKinds(append(obsolete, items[:before]...)...)))
			f.deleteRow(rowKey{initedKey, initedKey}) // as it is where that Init has failed
			log := &writeLog{sent: map[string]int{}, stored: map[string]int{}, deletes: map[string]bool{}}
			f.transport.setInterceptor(log.intercept)

			require.NoError(t, store.Init(allKinds(items...)))

			assert.Len(t, log.stored, len(items)-before+len(obsolete)+1, "just what differs is written")
			f.requireHolds(items)
			for earlier, stored := range log.stored {
				for later, sent := range log.sent {
					if log.rank(earlier) < log.rank(later) {
						assert.Less(t, stored, sent, "%s was sent before %s was stored", later, earlier)
					}
				}
			}
			for n := before; n < flags; n++ {
				if p := prerequisites[n]; p >= before && p != n {
					assert.Less(t, log.stored[fmt.Sprint("features/", p)], log.sent[fmt.Sprint("features/", n)], "%d needs %d", n, p)
				}
			}
		})
	}
}

// A chain of prerequisites takes as many batches one after the other as it is deep.
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
