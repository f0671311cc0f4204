package lddynamodb_test

import (
	"fmt"
	"io"
	"log"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	"github.com/stretchr/testify/assert"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
)

// The configuration goes to ld.MakeCustomClient, which makes the store.
func Example() {
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags",
		lddynamodb.CacheTTL(30*time.Second),
		lddynamodb.StaleValues(lddynamodb.RefreshStaleValuesAsync))
	if err != nil {
		log.Fatal(err)
	}
	config := ld.DefaultConfig
	config.FeatureStoreFactory = factory
	// Output:
}

// In daemon mode a process only reads the table, which others keep up to date.
func Example_daemonMode() {
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags")
	if err != nil {
		log.Fatal(err)
	}
	config := ld.DefaultConfig
	config.FeatureStoreFactory = factory
	config.UseLdd = true
	config.SendEvents = false
	// Output:
}

// Wrong arguments show at once, before there is an AWS client.
func ExampleNewDynamoDBFeatureStoreFactory() {
	_, err := lddynamodb.NewDynamoDBFeatureStoreFactory("")
	fmt.Println(err)
	// Output: lddynamodb: the table name is empty
}

// A job can fill a table without an SDK client.
func ExampleNewDynamoDBFeatureStore() {
	store, err := lddynamodb.NewDynamoDBFeatureStore("my-flags")
	if err != nil {
		log.Fatal(err)
	}
	flags := map[string]*ld.FeatureFlag{"new-checkout": {Key: "new-checkout", Version: 7}}
	if err := store.Init(ld.MakeAllVersionedDataMap(flags, nil)); err != nil {
		log.Fatal(err)
	}
	if err := store.(io.Closer).Close(); err != nil {
		log.Fatal(err)
	}
}

// No request takes longer than two seconds, the AWS SDK's retries included.
func ExampleRequestTimeout() {
	_, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags", lddynamodb.RequestTimeout(2*time.Second))
	fmt.Println(err)
	_, err = lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags", lddynamodb.RequestTimeout(-1))
	fmt.Println(err)
	// Output:
	// <nil>
	// lddynamodb: the request timeout -1ns is negative
}

// Each environment has its own data in the same table.
func ExamplePrefix() {
	for _, environment := range []string{"production", "staging"} {
		_, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags", lddynamodb.Prefix(environment))
		fmt.Println(environment, err)
	}
	// Output:
	// production <nil>
	// staging <nil>
}

// A client that the application has already is used as it is.
func ExampleDynamoClient() {
	client := dynamodb.New(session.Must(session.NewSession()))
	_, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags", lddynamodb.DynamoClient(client))
	fmt.Println(err)
	// Output: <nil>
}

// The region and the credentials are those of a profile in ~/.aws/config.
func ExampleSessionOptions() {
	_, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags",
		lddynamodb.SessionOptions(session.Options{
			Profile:           "flags",
			SharedConfigState: session.SharedConfigEnable,
		}))
	fmt.Println(err)
	// Output: <nil>
}

// The region is set here, and everything else comes from the environment.
func ExampleClientConfig() {
	_, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags",
		lddynamodb.ClientConfig(aws.NewConfig().WithRegion("eu-central-1").WithMaxRetries(3)))
	fmt.Println(err)
	// Output: <nil>
}

// Applications were written against these: they may not change. This compiles
// only with the types that are given here.
var (
	_ func(string, ...lddynamodb.FeatureStoreOption) (ld.FeatureStoreFactory, error) = lddynamodb.NewDynamoDBFeatureStoreFactory
	_ func(string, ...lddynamodb.FeatureStoreOption) (ld.FeatureStore, error)        = lddynamodb.NewDynamoDBFeatureStore

	_ func(time.Duration) lddynamodb.FeatureStoreOption                = lddynamodb.CacheTTL
	_ func(*aws.Config) lddynamodb.FeatureStoreOption                  = lddynamodb.ClientConfig
	_ func(dynamodbiface.DynamoDBAPI) lddynamodb.FeatureStoreOption    = lddynamodb.DynamoClient
	_ func(ld.Logger) lddynamodb.FeatureStoreOption                    = lddynamodb.Logger
	_ func(string) lddynamodb.FeatureStoreOption                       = lddynamodb.Prefix
	_ func(session.Options) lddynamodb.FeatureStoreOption              = lddynamodb.SessionOptions
	_ func(bool) lddynamodb.FeatureStoreOption                         = lddynamodb.ConsistentReads
	_ func(time.Duration) lddynamodb.FeatureStoreOption                = lddynamodb.RequestTimeout
	_ func(lddynamodb.StaleValuesPolicy) lddynamodb.FeatureStoreOption = lddynamodb.StaleValues
	_ func(func(lddynamodb.StoreStatus)) lddynamodb.FeatureStoreOption = lddynamodb.StatusListener

	_ = lddynamodb.StoreStatus{Available: true, Err: error(nil), Unsaved: int(0)}
)

const (
	_ time.Duration                = lddynamodb.DefaultCacheTTL
	_ time.Duration                = lddynamodb.DefaultRequestTimeout
	_ lddynamodb.StaleValuesPolicy = lddynamodb.EvictStaleValues
	_ lddynamodb.StaleValuesPolicy = lddynamodb.RefreshStaleValues
	_ lddynamodb.StaleValuesPolicy = lddynamodb.RefreshStaleValuesAsync
)

func TestDefaultsHaveTheirDocumentedValues(t *testing.T) {
	t.Parallel()
	assert.Equal(t, 15*time.Second, lddynamodb.DefaultCacheTTL)
	assert.Equal(t, 5*time.Second, lddynamodb.DefaultRequestTimeout)
	assert.Zero(t, lddynamodb.EvictStaleValues)
}
