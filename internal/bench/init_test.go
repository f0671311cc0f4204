package bench

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
)

// latency is what a request takes in the benchmarks of Init, besides the time
// that DynamoDB Local needs.
const latency = 20 * time.Millisecond

// BenchmarkInit measures the start of a connected process, by the number of
// flags and by what the table has before.
func BenchmarkInit(b *testing.B) {
	warmUp(b)
	for _, flags := range []int{100, 1_000, 10_000} {
		data := newData(flags)
		for _, maker := range dynamoStores {
			name := fmt.Sprintf("flags=%d/table=", flags)
			maker.run(b, name+"empty", func(b *testing.B) {
				benchmarkInit(b, maker, data, func() string { return newTable(b) })
			})
			full := newTable(b)
			require.NoError(b, initTable(b, maker, full, newClient(b, http.DefaultTransport), data))
			maker.run(b, name+"changed", func(b *testing.B) {
				benchmarkInit(b, maker, data, func() string { change(data); return full })
			})
			require.NoError(b, initTable(b, maker, full, newClient(b, http.DefaultTransport), data))
			maker.run(b, name+"unchanged", func(b *testing.B) {
				benchmarkInit(b, maker, data, func() string { return full })
			})
		}
	}
}

// warmUp writes rows until DynamoDB Local has compiled itself: what is measured
// first would be slower than what is last.
func warmUp(b *testing.B) {
	data := newData(10_000)
	for range 2 {
		newFilledTable(b, data)
	}
}

func benchmarkInit(b *testing.B, maker storeMaker, data dataSet, prepare func() (table string)) {
	client := newClient(b, slowTransport{})
	var table string
	loop(b, func() { table = prepare() }, func() error { return initTable(b, maker, table, client, data) })

	// The count has a run of its own: DynamoDB Local is slower where it counts.
	var meter meter
	client = newClient(b, http.DefaultTransport)
	meter.watch(client)
	require.NoError(b, initTable(b, maker, prepare(), client, data))
	meter.report(b)
}

// initTable does what a process does at its start.
func initTable(b *testing.B, maker storeMaker, table string, client *dynamodb.DynamoDB, data dataSet) error {
	return maker.open(b, table, client, time.Hour).Init(data)
}

type slowTransport struct{}

// RoundTrip implements http.RoundTripper.
func (slowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(latency)
	return http.DefaultTransport.RoundTrip(r)
}

// A meter counts what requests cost.
type meter struct {
	mu       sync.Mutex
	requests float64
	read     float64 // capacity units
	written  float64
}

func (m *meter) report(b *testing.B) {
	m.mu.Lock() // a store looks at the table in the background
	defer m.mu.Unlock()
	b.ReportMetric(m.requests, "requests/op")
	b.ReportMetric(m.read, "RCU/op")
	b.ReportMetric(m.written, "WCU/op")
}

// watch makes DynamoDB tell what requests consume. The module e2e has a meter of its own,
// because modules can't share test code.
func (m *meter) watch(client *dynamodb.DynamoDB) {
	total := aws.String(dynamodb.ReturnConsumedCapacityTotal)
	client.Handlers.Build.PushFront(func(r *request.Request) {
		switch input := r.Params.(type) {
		case *dynamodb.GetItemInput:
			input.ReturnConsumedCapacity = total
		case *dynamodb.QueryInput:
			input.ReturnConsumedCapacity = total
		case *dynamodb.PutItemInput:
			input.ReturnConsumedCapacity = total
		case *dynamodb.BatchWriteItemInput:
			input.ReturnConsumedCapacity = total
		}
	})
	client.Handlers.Complete.PushBack(func(r *request.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.requests++
		switch output := r.Data.(type) {
		case *dynamodb.GetItemOutput:
			m.read += *output.ConsumedCapacity.CapacityUnits
		case *dynamodb.QueryOutput:
			m.read += *output.ConsumedCapacity.CapacityUnits
		case *dynamodb.PutItemOutput:
			m.written += *output.ConsumedCapacity.CapacityUnits
		case *dynamodb.BatchWriteItemOutput:
			for _, consumed := range output.ConsumedCapacity {
				m.written += *consumed.CapacityUnits
			}
		}
	})
}
