package lddynamodb_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	"github.com/stretchr/testify/assert"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
)

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
