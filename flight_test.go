package lddynamodb

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A panickingClient is the application's, and panics if it is to.
type panickingClient struct {
	dynamodbiface.DynamoDBAPI
	action string                        // none: in each
	after  atomic.Pointer[time.Duration] // nil: never
	calls  atomic.Int64
}

func (c *panickingClient) call(action string) {
	c.calls.Add(1)
	if after := c.after.Load(); after != nil && (c.action == "" || c.action == action) {
		time.Sleep(*after)
		panic("panic in " + action)
	}
}

func (c *panickingClient) GetItemWithContext(
	ctx context.Context, input *dynamodb.GetItemInput, options ...request.Option,
) (*dynamodb.GetItemOutput, error) {
	c.call("GetItem")
	return c.DynamoDBAPI.GetItemWithContext(ctx, input, options...)
}

func (c *panickingClient) QueryWithContext(
	ctx context.Context, input *dynamodb.QueryInput, options ...request.Option,
) (*dynamodb.QueryOutput, error) {
	c.call("Query")
	return c.DynamoDBAPI.QueryWithContext(ctx, input, options...)
}

func (c *panickingClient) PutItemWithContext(
	ctx context.Context, input *dynamodb.PutItemInput, options ...request.Option,
) (*dynamodb.PutItemOutput, error) {
	c.call("PutItem")
	return c.DynamoDBAPI.PutItemWithContext(ctx, input, options...)
}

func (c *panickingClient) BatchWriteItemWithContext(
	ctx context.Context, input *dynamodb.BatchWriteItemInput, options ...request.Option,
) (*dynamodb.BatchWriteItemOutput, error) {
	c.call("BatchWriteItem")
	return c.DynamoDBAPI.BatchWriteItemWithContext(ctx, input, options...)
}

// A panic of the application's client, or of its kinds, is the caller's who waits for
// it. If nobody does, it is an error. What it was to write is written later.
func TestPanicsOfTheClient(t *testing.T) {
	t.Parallel()
	panicAfter := func(d time.Duration) *time.Duration { return &d }
	for mode, options := range outageModes {
		for _, c := range [][2]string{
			{"Get", "GetItem"}, {"All", "Query"}, {"Initialized", "GetItem"}, {"Upsert", "PutItem"},
			{"Init", ""}, {"Init", "GetItem"}, {"Init", "Query"}, {"Init", "BatchWriteItem"}, {"Init", "PutItem"},
		} {
			name, call := c[0], calls[c[0]]
			t.Run(mode+"/"+name+"/"+c[1], func(t *testing.T) {
				t.Parallel()
				inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
					client := &panickingClient{DynamoDBAPI: f.newClient(f.transport), action: c[1]}
					for _, store := range []ld.FeatureStore{
						f.newStore(append(options, DynamoClient(client))...),
						f.newSDKStore(ld.Config{Offline: true}, append(options, DynamoClient(client))...),
					} {
						client.after.Store(panicAfter(0))
						assert.Panics(t, func() { _, _ = call(store, flag("f", 1)) })
						client.after.Store(panicAfter(2 * time.Second)) // when nobody waits any more who need not
						func() {
							defer func() { _ = recover() }()
							_, _ = call(store, flag("f", 2))
						}()
						time.Sleep(10 * time.Second)
						client.after.Store(nil)
						time.Sleep(10 * time.Second)

						assert.Empty(t, storeGoroutines())
						if name == "Upsert" || name == "Init" {
							f.requireHoldsItem(f.rows(), flag("f", 2))
						}
						require.NoError(t, store.Init(allData(flag("f", 3))))
						assertHas(t, store, flag("f", 3))
						require.NoError(t, f.clear())
					}
				})
			})
		}
	}
}

// Nobody waits for what is read in the background, or when a store is made.
func TestPanicsInTheBackground(t *testing.T) {
	t.Parallel()
	inFakeTimeWithTable(t, func(t *testing.T, f *fixture) {
		client := &panickingClient{DynamoDBAPI: f.newClient(f.transport)}
		store := f.newStore(DynamoClient(client), StaleValues(RefreshStaleValuesAsync))
		require.NoError(t, store.Init(allData(flag("f", 1))))
		client.after.Store(new(time.Duration))
		for range 100 {
			assertHas(t, store, flag("f", 1))
			time.Sleep(time.Second)
		}
		before := client.calls.Load()
		for _, isDaemon := range []bool{false, true} {
			_ = f.newSDKStore(ld.Config{UseLdd: isDaemon}, DynamoClient(client))
			time.Sleep(time.Second)
		}
		assert.Greater(t, client.calls.Load(), before)
		client.after.Store(nil)
		time.Sleep(time.Minute)
		assertHas(t, store, flag("f", 1))
	})
}

// A daemon asks for $inited too when it starts.
type panickingOfInited struct{ dynamodbiface.DynamoDBAPI }

func (c panickingOfInited) GetItemWithContext(
	ctx context.Context, input *dynamodb.GetItemInput, options ...request.Option,
) (*dynamodb.GetItemOutput, error) {
	if *input.Key[keyAttribute].S == initedKey {
		panic("panic of $inited")
	}
	return c.DynamoDBAPI.GetItemWithContext(ctx, input, options...)
}

func TestPanicOfOneRowAtTheStart(t *testing.T) {
	t.Parallel()
	inFakeTime(t, func(t *testing.T, f *fixture) {
		_ = f.newSDKStore(ld.Config{UseLdd: true}, DynamoClient(panickingOfInited{f.newClient(f.transport)}))
		time.Sleep(time.Second)
		assert.NotEmpty(t, f.transport.recorded())
	})
}

// A panickingKind is the application's, and has broken JSON.
type panickingKind struct{ experimentKind }

func (panickingKind) GetDefaultItem() interface{} { panic("no item") }

func TestPanicsOfAKind(t *testing.T) {
	t.Parallel()
	for mode, ttl := range ttls {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			require.NoError(t, f.newStore().Upsert(experiments, &experiment{ID: "x"}))
			store := f.newStore(CacheTTL(ttl))
			assert.Panics(t, func() { _, _ = store.Get(panickingKind{}, "x") })
			assert.Panics(t, func() { _, _ = store.All(panickingKind{}) })
		})
	}
}
