// Package v7client starts clients of LaunchDarkly's Go SDK v7 with its DynamoDB store,
// for tests of tables that they share with others. Only tests use it, so that nothing
// else in this module builds with that SDK.
package v7client

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	v7dynamodb "github.com/launchdarkly/go-server-sdk-dynamodb/v4"
	v7 "github.com/launchdarkly/go-server-sdk/v7"
	"github.com/launchdarkly/go-server-sdk/v7/ldcomponents"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

// Start starts a client, which is ready then. Its flags come from the server at a URL
// or, where that is empty, from the table alone.
func Start(table *localtable.Table, url string, waitFor time.Duration) (*v7.LDClient, error) {
	store := v7dynamodb.DataStore(table.Name).ClientOptions(dynamodb.Options{
		Region:           "us-east-1",
		Credentials:      credentials.NewStaticCredentialsProvider("local", "local", ""),
		EndpointResolver: dynamodb.EndpointResolverFromURL(table.Endpoint),
	})
	config := v7.Config{
		DataSource:       ldcomponents.ExternalUpdatesOnly(),
		DataStore:        ldcomponents.PersistentDataStore(store).NoCaching(),
		Events:           ldcomponents.NoEvents(),
		DiagnosticOptOut: true,
		Logging:          ldcomponents.NoLogging(),
	}
	if url != "" {
		config.DataSource = ldcomponents.StreamingDataSource()
		config.ServiceEndpoints = ldcomponents.RelayProxyEndpoints(url)
	}
	client, err := v7.MakeCustomClient("sdk-test", config, waitFor)
	if err != nil {
		return nil, fmt.Errorf("starting a client of SDK v7 on table %s: %w", table.Name, err)
	}
	return client, nil
}
