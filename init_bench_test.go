package lddynamodb

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// BenchmarkInit compares Init with the plain way, by the number of flags, by
// what is added to each request's time, and by what the table has before.
func BenchmarkInit(b *testing.B) {
	for _, flags := range []int{100, 1_000, 10_000} {
		bench := newInitBench(b, flags)
		for _, latency := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond} {
			for _, table := range []struct {
				name    string
				prepare func(*testing.B) (table string)
			}{
				{"empty", bench.emptyTable}, {"unchanged", bench.fullTable}, {"one-changed", bench.fullTableBeforeChange},
			} {
				name := fmt.Sprintf("flags=%d/latency=%s/table=%s", flags, latency, table.name)
				b.Run(name+"/ours", func(b *testing.B) { bench.run(b, latency, table.prepare, initStore) })
				b.Run(name+"/baseline", func(b *testing.B) { bench.run(b, latency, table.prepare, initPlainly) })
			}
		}
	}
}

const warmUpRows = 20_000

type benchData = map[ld.VersionedDataKind]map[string]ld.VersionedData

// An initBench has data, and a table that holds it.
type initBench struct {
	full *fixture
	data benchData
}

// newInitBench fills a table, and others before it until DynamoDB Local has
// compiled itself: what is measured first would be slower than what is last.
func newInitBench(b *testing.B, flags int) *initBench {
	bench := &initBench{full: newFixture(b), data: allData(segment("beta-users", 1, "user-1", "user-2"))}
	for i := range flags {
		item := realisticFlag(i)
		bench.data[ld.Features][item.Key] = item
	}
	for range warmUpRows / flags {
		require.NoError(b, initPlainly(bench.full.client, bench.emptyTable(b), bench.data))
	}
	require.NoError(b, initStore(bench.full.client, bench.full.table, bench.data))
	return bench
}

func (bench *initBench) emptyTable(b *testing.B) string {
	f := newFixture(b)
	b.Cleanup(func() {
		_, err := f.client.DeleteTable(&dynamodb.DeleteTableInput{TableName: aws.String(f.table)})
		require.NoError(b, err)
	})
	return f.table
}

func (bench *initBench) fullTable(*testing.B) string { return bench.full.table }

func (bench *initBench) fullTableBeforeChange(*testing.B) string {
	changed := *bench.data[ld.Features][realisticKey(0)].(*ld.FeatureFlag)
	changed.Version++
	bench.data[ld.Features][changed.Key] = &changed
	return bench.full.table
}

func (bench *initBench) run(
	b *testing.B, latency time.Duration, prepare func(*testing.B) string,
	init func(client *dynamodb.DynamoDB, table string, data benchData) error,
) {
	b.ReportAllocs()
	client := bench.full.newClient(slowTransport(latency))
	for b.Loop() {
		b.StopTimer()
		table := prepare(b)
		b.StartTimer()
		require.NoError(b, init(client, table, bench.data))
	}
	bench.reportCost(b, prepare(b), init)
}

// reportCost counts what a run consumes, and takes one of its own for that:
// DynamoDB Local is slower where it has to tell.
func (bench *initBench) reportCost(
	b *testing.B, table string, init func(client *dynamodb.DynamoDB, table string, data benchData) error,
) {
	client := bench.full.newClient(http.DefaultTransport)
	var meter meter
	meter.watch(client)
	require.NoError(b, init(client, table, bench.data))
	b.ReportMetric(meter.requests, "requests/op")
	b.ReportMetric(meter.read, "RCU/op")
	b.ReportMetric(meter.written, "WCU/op")
}

// initStore is what this package does.
func initStore(client *dynamodb.DynamoDB, table string, data benchData) error {
	factory, err := NewDynamoDBFeatureStoreFactory(table, DynamoClient(client))
	if err != nil {
		return err
	}
	store, err := factory(ld.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = store.(io.Closer).Close() }()
	return store.Init(data)
}

// initPlainly is what comes to mind first: it reads which keys there are, writes
// every item, batch after batch, and deletes the other keys.
func initPlainly(client *dynamodb.DynamoDB, table string, data benchData) error {
	var puts, deletes []*dynamodb.WriteRequest
	for _, kind := range []ld.VersionedDataKind{ld.Segments, ld.Features} {
		obsolete, err := readKeysPlainly(client, table, kind.GetNamespace())
		if err != nil {
			return err
		}
		for key, item := range data[kind] {
			encoded, err := json.Marshal(item)
			if err != nil {
				return err
			}
			puts = append(puts, &dynamodb.WriteRequest{PutRequest: &dynamodb.PutRequest{Item: rawItem{
				namespaceAttribute: {S: aws.String(kind.GetNamespace())},
				keyAttribute:       {S: aws.String(key)},
				versionAttribute:   {N: aws.String(fmt.Sprint(item.GetVersion()))},
				itemAttribute:      {S: aws.String(string(encoded))},
			}}})
			delete(obsolete, key)
		}
		for _, key := range obsolete {
			deletes = append(deletes, &dynamodb.WriteRequest{DeleteRequest: &dynamodb.DeleteRequest{Key: key}})
		}
	}
	inited := rawItem{namespaceAttribute: {S: aws.String(initedKey)}, keyAttribute: {S: aws.String(initedKey)}}
	requests := slices.Concat(puts, deletes, []*dynamodb.WriteRequest{{PutRequest: &dynamodb.PutRequest{Item: inited}}})
	for len(requests) > 0 {
		n := min(len(requests), 25)
		_, err := client.BatchWriteItem(&dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]*dynamodb.WriteRequest{table: requests[:n]},
		})
		if err != nil {
			return err
		}
		requests = requests[n:]
	}
	return nil
}

func readKeysPlainly(client *dynamodb.DynamoDB, table, namespace string) (map[string]rawItem, error) {
	keys := make(map[string]rawItem)
	err := client.QueryPages(&dynamodb.QueryInput{
		TableName:                aws.String(table),
		ConsistentRead:           aws.Bool(true),
		KeyConditionExpression:   aws.String("#namespace = :namespace"),
		ProjectionExpression:     aws.String("#namespace, #key"),
		ExpressionAttributeNames: aws.StringMap(map[string]string{"#namespace": namespaceAttribute, "#key": keyAttribute}),
		ExpressionAttributeValues: rawItem{
			":namespace": {S: aws.String(namespace)},
		},
	}, func(page *dynamodb.QueryOutput, _ bool) bool {
		for _, key := range page.Items {
			keys[*key[keyAttribute].S] = key
		}
		return true
	})
	return keys, err
}

// A slowTransport adds to the time of each request.
type slowTransport time.Duration

// RoundTrip implements http.RoundTripper.
func (t slowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(time.Duration(t))
	return http.DefaultTransport.RoundTrip(r)
}

// A meter counts what requests cost.
type meter struct {
	mu       sync.Mutex
	requests float64
	read     float64 // capacity units
	written  float64
}

// watch makes DynamoDB tell what requests consume.
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

func realisticKey(i int) string { return fmt.Sprintf("release-feature-%05d", i) }

// realisticFlag makes a flag of about 1 KB: on for some users, then by rules,
// then for a percentage. Each tenth has a prerequisite.
func realisticFlag(i int) *ld.FeatureFlag {
	item := flag(realisticKey(i), 10+i%50)
	if i%10 == 9 {
		item.Prerequisites = []ld.Prerequisite{{Key: realisticKey(i - 1), Variation: 0}}
	}
	item.Salt, item.Sel = fmt.Sprintf("%032x", i), fmt.Sprintf("%032x", i+1)
	item.Targets = []ld.Target{{Values: []string{"user-1001", "user-1002", "user-1003", "user-1004"}, Variation: 0}}
	item.Rules = []ld.Rule{
		{ID: "8b7d5a3e-0d5c-4a4e-9d55-1f2e3d4c5b6a", VariationOrRollout: ld.VariationOrRollout{Variation: aws.Int(0)}, Clauses: []ld.Clause{
			{Attribute: "email", Op: "endsWith", Values: []interface{}{"@example.com", "@example.org"}},
			{Attribute: "country", Op: "in", Values: []interface{}{"de", "fr", "nl", "pl"}},
		}},
		{ID: "c0ffee00-5a3e-4d5c-8a4e-6a5b4c3d2e1f", VariationOrRollout: ld.VariationOrRollout{Variation: aws.Int(1)}, Clauses: []ld.Clause{
			{Attribute: "", Op: "segmentMatch", Values: []interface{}{"beta-users"}},
		}},
	}
	item.Fallthrough = ld.VariationOrRollout{Rollout: &ld.Rollout{
		Variations: []ld.WeightedVariation{{Variation: 0, Weight: 25000}, {Variation: 1, Weight: 75000}},
		BucketBy:   aws.String("key"),
	}}
	item.OffVariation = aws.Int(1)
	return item
}
