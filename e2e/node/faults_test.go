package node_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/fixture"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

func TestUnprocessedItems(t *testing.T) {
	t.Parallel()
	server := fixture.NewServer(t, payloadOf(thirtyFlags()...))
	lostFlags := func(start starter) int {
		table := fixture.NewTable(t)
		proxy, behind := newProxy(t, table, nil)
		var once sync.Once
		proxy.setInterceptor(func(w http.ResponseWriter, r request) (answered bool) {
			if r.action == "BatchWriteItem" {
				once.Do(func() {
					proxy.processAllButOne(w, r)
					answered = true
				})
			}
			return answered
		})
		start(t, behind, options{server: server})
		require.True(t, isInited(t, table))
		return 30 - countFlags(t, table)
	}
	assert.Equal(t, 1, lostFlags(startNode))
	assert.Zero(t, lostFlags(startGo))
}

// processAllButOne answers a BatchWriteItem request as a DynamoDB that
// throttles does: it leaves a row for the program to send again.
func (p *proxy) processAllButOne(w http.ResponseWriter, r request) {
	b := r.batch()
	unprocessed := make(map[string][]json.RawMessage)
	for table, requests := range b.RequestItems {
		b.RequestItems[table], unprocessed[table] = requests[1:], requests[:1]
	}
	r.body = encode(b)
	if status, _ := p.send(r); status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	_, _ = w.Write(encode(map[string]any{"UnprocessedItems": unprocessed}))
}

func TestAnUpdateDuringAnOutage(t *testing.T) {
	t.Parallel()
	updateDuringOutage := func(start starter) (*localtable.Table, *ldserver.Server) {
		table, server := fixture.NewTable(t), fixture.NewServer(t, payloadOf(flag("f", 1, true)))
		proxy, behind := newProxy(t, table, nil)
		start(t, behind, options{server: server})

		var refusedPuts atomic.Int64
		proxy.setInterceptor(func(w http.ResponseWriter, r request) bool {
			w.Header().Set("X-Amzn-Requestid", "an ID of DynamoDB's")
			w.WriteHeader(http.StatusServiceUnavailable)
			if r.action == "PutItem" {
				refusedPuts.Add(1)
			}
			return true
		})
		patch(t, server, "f", 2, true)
		require.Eventually(t, func() bool { return refusedPuts.Load() >= attempts }, patience, pause)
		proxy.setInterceptor(nil)
		return table, server
	}

	table, server := updateDuringOutage(startNode)
	patch(t, server, "marker", 1, true)
	awaitVersion(t, table, "marker", 1)
	assert.Equal(t, 1, readFlag(t, table, "f").Version)

	table, _ = updateDuringOutage(startGo)
	awaitVersion(t, table, "f", 2)
}
