package lddynamodb_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
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

// The store logs to standard output, wherever the SDK logs to.
func ExampleLogger() {
	_, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags",
		lddynamodb.Logger(log.New(os.Stdout, "flags: ", log.LstdFlags)))
	fmt.Println(err)
	// Output: <nil>
}
