package lddynamodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// A replay records what DynamoDB answers to each request, and from then on
// answers in its place, so that a benchmark measures the client alone.
type replay struct{ recorded sync.Map }

type recordedResponse struct {
	http.Response
	body []byte
}

func (r *replay) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	id := request.Header.Get("X-Amz-Target") + string(body)
	known, ok := r.recorded.Load(id)
	if !ok {
		request.Body = io.NopCloser(bytes.NewReader(body))
		if known, err = record(request); err != nil {
			return nil, err
		}
		r.recorded.Store(id, known)
	}
	recorded := known.(*recordedResponse)
	response := recorded.Response
	response.Header = maps.Clone(recorded.Header)
	response.Body = io.NopCloser(bytes.NewReader(recorded.body))
	response.Request = request
	return &response, nil
}

func record(request *http.Request) (*recordedResponse, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	response.ContentLength = int64(len(body)) // DynamoDB sends it, DynamoDB Local does not
	return &recordedResponse{*response, body}, err
}

func realisticKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = realisticKey(i)
	}
	return keys
}

func realisticData(n int) benchData {
	data := allData()
	for i := range n {
		data[ld.Features][realisticKey(i)] = realisticFlag(i)
	}
	return data
}

// Cached reads are compared with the SDK's in-memory store.

func BenchmarkCachedGet(b *testing.B) {
	benchmarkCached(b, func(store ld.FeatureStore, key string) { _, _ = store.Get(ld.Features, key) })
}

func BenchmarkCachedAll(b *testing.B) {
	benchmarkCached(b, func(store ld.FeatureStore, _ string) { _, _ = store.All(ld.Features) })
}

func benchmarkCached(b *testing.B, read func(store ld.FeatureStore, key string)) {
	for _, flags := range []int{1_000, 100_000} {
		keys, data := realisticKeys(flags), realisticData(flags)
		for name, store := range map[string]ld.FeatureStore{"ours": storeWithoutTable(b), "baseline": inMemoryStore(b)} {
			require.NoError(b, store.Init(data))
			benchmarkReads(b, fmt.Sprintf("flags=%d", flags), name, store, keys, read)
		}
	}
}

// BenchmarkCachedGetOneByOne is BenchmarkCachedGet for a process that has never
// had the complete set.
func BenchmarkCachedGetOneByOne(b *testing.B) {
	keys, data := realisticKeys(1_000), realisticData(1_000)
	for name, store := range map[string]ld.FeatureStore{"ours": storeWithoutTable(b), "baseline": inMemoryStore(b)} {
		for _, item := range data[ld.Features] {
			require.NoError(b, store.Upsert(ld.Features, item))
		}
		benchmarkReads(b, "flags=1000", name, store, keys,
			func(store ld.FeatureStore, key string) { _, _ = store.Get(ld.Features, key) })
	}
}

func benchmarkReads(
	b *testing.B, flags, name string, store ld.FeatureStore, keys []string, read func(ld.FeatureStore, string),
) {
	b.Run(flags+"/sequential/"+name, func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			read(store, keys[i%len(keys)])
		}
	})
	b.Run(flags+"/parallel/"+name, func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				read(store, keys[i%len(keys)])
			}
		})
	})
}

// storeWithoutTable makes a store whose writes succeed at once.
func storeWithoutTable(b *testing.B) ld.FeatureStore {
	f := &fixture{tb: b, table: "no-table", transport: &transport{}, log: &logLines{}}
	f.transport.setInterceptor(func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
		return answerEmpty(r), nil
	})
	store := f.newStore(CacheTTL(time.Hour))
	b.Cleanup(func() { f.transport.reset() })
	return store
}

func inMemoryStore(b *testing.B) ld.FeatureStore {
	store, err := ld.NewInMemoryFeatureStoreFactory()(ld.DefaultConfig)
	require.NoError(b, err)
	return store
}

// Misses are compared with the plain ways to read the table, in processor time
// of the client and in allocations.

func BenchmarkAllOnMiss(b *testing.B) {
	f := newMissFixture(b)
	benchmarkMiss(b, "flags=1000/ours", all(f.store))
	benchmarkMiss(b, "flags=1000/baseline", f.allPlainly)
}

func BenchmarkGetOnMiss(b *testing.B) {
	f := newMissFixture(b)
	benchmarkMiss(b, "ours", get(f.store, realisticKey(0)))
	benchmarkMiss(b, "baseline", func() error { return f.getPlainly(realisticKey(0)) })
}

func benchmarkMiss(b *testing.B, name string, read func() error) {
	b.Run(name, func(b *testing.B) {
		require.NoError(b, read()) // records the responses
		runtime.GC()
		b.ReportAllocs()
		begin := processorTime()
		for b.Loop() {
			if err := read(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(processorTime()-begin)/float64(b.N), "cpu-ns/op")
	})
}

// A missFixture has a table of 1,000 flags behind a replay.
type missFixture struct {
	*fixture
	client *dynamodb.DynamoDB
	store  ld.FeatureStore // every read of it is a miss
}

func newMissFixture(tb testing.TB) *missFixture {
	f := newFixture(tb)
	require.NoError(tb, f.newStore().Init(realisticData(1_000)))
	client := f.newClient(&replay{})
	return &missFixture{f, client, f.newStore(DynamoClient(client), CacheTTL(time.Nanosecond))}
}

// It is not parallel: other tests' allocations would count.
func TestMissesAllocateLittle(t *testing.T) {
	f := newMissFixture(t)
	allocations := func(read func() error) float64 {
		least := math.Inf(1)
		for range 10 { // under the race detector a sync.Pool forgets a quarter of all, at random
			least = min(least, testing.AllocsPerRun(1, func() { require.NoError(t, read()) }))
		}
		return least
	}
	assert.Less(t, allocations(all(f.store)), allocations(f.allPlainly)/2)
	plain := allocations(func() error { return f.getPlainly(realisticKey(0)) })
	assert.Less(t, allocations(get(f.store, realisticKey(0))), plain*1.1)
}

// allPlainly has the AWS SDK decode the pages, and then decodes the items one
// after the other.
func (f *missFixture) allPlainly() error {
	items := make(map[string]ld.VersionedData)
	var decodeErr error
	err := f.client.QueryPagesWithContext(context.Background(), &dynamodb.QueryInput{
		TableName:                 aws.String(f.table),
		KeyConditionExpression:    aws.String("#namespace = :namespace"),
		ExpressionAttributeNames:  map[string]*string{"#namespace": aws.String(namespaceAttribute)},
		ExpressionAttributeValues: map[string]*dynamodb.AttributeValue{":namespace": {S: aws.String("features")}},
		ConsistentRead:            aws.Bool(true),
	}, func(page *dynamodb.QueryOutput, _ bool) bool {
		for _, attributes := range page.Items {
			item, err := utils.UnmarshalItem(ld.Features, []byte(*attributes[itemAttribute].S))
			if err != nil {
				decodeErr = err
				return false
			}
			if !item.IsDeleted() {
				items[item.GetKey()] = item
			}
		}
		return true
	})
	if err == nil && decodeErr == nil && len(items) != 1_000 {
		return fmt.Errorf("%d items", len(items))
	}
	return errors.Join(err, decodeErr)
}

// getPlainly is a bare GetItem and the decoding of its item.
func (f *missFixture) getPlainly(key string) error {
	output, err := f.client.GetItemWithContext(context.Background(), &dynamodb.GetItemInput{
		TableName:      aws.String(f.table),
		Key:            rowKey{"features", key}.attributes(),
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return err
	}
	_, err = utils.UnmarshalItem(ld.Features, []byte(*output.Item[itemAttribute].S))
	return err
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
