package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

const fleetSize = 20

// A fleet that starts on a full table only reads it.
func TestRestartedFleet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)

	first := newNetwork()
	w.startAndStopFleet(t, first)
	logCounts(t, "empty table", first)

	rowsBefore, err := w.table.Rows()
	require.NoError(t, err)
	expected := map[string]int{
		"GetItem": 2 * fleetSize, // each looks at the table once, and asks whether the data set is complete
		"Query":   2 * fleetSize, // each reads its flags and its segments
	}
	var requests map[string]int
	// If DynamoDB doesn't answer within a second, because all run on this machine, a
	// store goes on in the background, which takes more requests.
	for range 10 {
		second := newNetwork()
		w.startAndStopFleet(t, second)
		logCounts(t, "full table", second)
		if requests, _ = second.counts(); maps.Equal(expected, requests) {
			break
		}
	}
	require.Equal(t, expected, requests)
	rowsAfter, err := w.table.Rows()
	require.NoError(t, err)
	require.Equal(t, rowsBefore, rowsAfter)
}

// startAndStopFleet starts the clients all at once, and when they are ready,
// compares their values with the server's.
func (w *world) startAndStopFleet(t *testing.T, network *network) {
	factory := w.meteredFactory(t, network)
	clients := make([]*ld.LDClient, fleetSize)
	var group errgroup.Group
	for i := range clients {
		group.Go(func() (err error) {
			config := ldconfig.Streaming(w.server.URL(), factory, nil)
			clients[i], err = ld.MakeCustomClient("sdk-test", config, patience)
			return err
		})
	}
	err := group.Wait()
	defer func() {
		for _, client := range clients {
			if client != nil {
				require.NoError(t, client.Close())
			}
		}
	}()
	require.NoError(t, err)
	w.awaitTableLikeServer(t)
	expected := w.evaluate(t, w.startReference(t))
	for _, client := range clients {
		require.Equal(t, expected, w.evaluate(t, client))
	}
	require.Eventually(t, func() bool { // the looks at the table are in the background
		requests, _ := network.counts()
		return requests["GetItem"] >= 2*fleetSize
	}, patience, pause)
}

// meteredFactory makes stores whose client asks DynamoDB for the capacity units
// of each request.
func (w *world) meteredFactory(t *testing.T, network *network) ld.FeatureStoreFactory {
	client, err := localtable.Connect(w.table.Endpoint, &http.Client{Transport: network})
	require.NoError(t, err)
	client.Handlers.Build.PushFront(askForCapacity)
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory(w.table.Name,
		lddynamodb.DynamoClient(client), lddynamodb.CacheTTL(time.Hour)) // longer than the test
	require.NoError(t, err)
	return factory
}

func askForCapacity(r *request.Request) {
	total := aws.String(dynamodb.ReturnConsumedCapacityTotal)
	switch input := r.Params.(type) {
	case *dynamodb.GetItemInput:
		input.ReturnConsumedCapacity = total
	case *dynamodb.QueryInput:
		input.ReturnConsumedCapacity = total
	case *dynamodb.PutItemInput:
		input.ReturnConsumedCapacity = total
	case *dynamodb.DeleteItemInput:
		input.ReturnConsumedCapacity = total
	case *dynamodb.BatchWriteItemInput:
		input.ReturnConsumedCapacity = total
	}
}

func logCounts(t *testing.T, what string, network *network) {
	requests, units := network.counts()
	text := fmt.Sprintf("%d clients start on the %s:", fleetSize, what)
	for _, operation := range slices.Sorted(maps.Keys(requests)) {
		text += fmt.Sprintf(" %d %s (%g units)", requests[operation], operation, units[operation])
	}
	t.Log(text)
}
