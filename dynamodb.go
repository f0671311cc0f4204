package lddynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// NewDynamoDBFeatureStoreFactory returns what goes into the FeatureStoreFactory
// field of the SDK's Config: a function that makes a feature store on a DynamoDB
// table. The arguments are checked at once, but no AWS session or client is made
// before the SDK client calls the function. It can be called any number of
// times, also at the same time; the stores share an AWS session, and nothing else.
//
// The table must exist. Unless SessionOptions, ClientConfig or DynamoClient say
// otherwise, the AWS region and credentials come from the environment and from
// AWS configuration files, as with session.NewSession.
//
// It returns an error if the table name is empty, an option is nil or an option's
// value makes no sense. The function returns one if no AWS session can be made.
// Whether the table can be reached shows only when it is used. In daemon mode, the
// store looks at once, in the background, and logs a warning if it can't be used or
// holds no data set.
func NewDynamoDBFeatureStoreFactory(table string, options ...FeatureStoreOption) (ld.FeatureStoreFactory, error) {
	opts, err := newOptions(table, options)
	if err != nil {
		return nil, err
	}
	return func(config ld.Config) (ld.FeatureStore, error) {
		client, err := opts.newClient()
		if err != nil {
			return nil, err
		}
		return opts.newStore(client, config), nil
	}, nil
}

// NewDynamoDBFeatureStore makes a feature store on a DynamoDB table, with the
// same options and errors as NewDynamoDBFeatureStoreFactory. It knows nothing of
// the SDK's logging configuration: use the Logger option. Close the store, which
// is an io.Closer, when it is no longer needed.
//
// Deprecated: Use NewDynamoDBFeatureStoreFactory.
func NewDynamoDBFeatureStore(table string, options ...FeatureStoreOption) (ld.FeatureStore, error) {
	factory, err := NewDynamoDBFeatureStoreFactory(table, options...)
	if err != nil {
		return nil, err
	}
	return factory(ld.Config{})
}

func (o *options) newClient() (dynamodbiface.DynamoDBAPI, error) {
	if o.client != nil {
		return o.client, nil
	}
	awsSession, err := o.newSession()
	if err != nil {
		return nil, &tableError{target{action: "make an AWS session"}, o.table, err}
	}
	return dynamodb.New(awsSession, o.clientConfigs...), nil
}

// newStore puts the layers together: the SDK's wrapper, the cache, the core, the
// outage and the table. The store must be the SDK's own wrapper, because only that can tell
// the SDK of outages.
func (o *options) newStore(client dynamodbiface.DynamoDBAPI, config ld.Config) *utils.FeatureStoreWrapper {
	if o.logger != nil {
		config.Loggers.SetBaseLogger(o.logger)
	}
	cache := newCache(o.newCore(client, config.Loggers), o.cacheTTL, o.staleValues)
	if config.UseLdd && !config.Offline {
		cache.background.start(cache.look)
	}
	return utils.NewNonAtomicFeatureStoreWrapperWithConfig(cache, config)
}

func (o *options) newCore(client dynamodbiface.DynamoDBAPI, loggers ldlog.Loggers) *core {
	loggers.SetPrefix("DynamoDBFeatureStore:")
	ctx, cancel := context.WithCancel(context.Background())
	table := &table{client: client, name: o.table, timeout: o.requestTimeout}
	return &core{
		outage:          newOutage(table, loggers),
		table:           table,
		prefix:          o.prefix,
		consistentReads: !o.eventualReads,
		loggers:         loggers,
		status:          newStatusTeller(o.statusListener, ctx.Done()),
		ctx:             ctx,
		cancel:          cancel,
	}
}
