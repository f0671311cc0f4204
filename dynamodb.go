package lddynamodb

import (
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
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
// Whether the table can be reached shows only when it is used: the store looks once, in
// the background, when it is made. It logs a warning if the table can't be used or, in
// daemon mode, holds no data set.
//
// If the table doesn't take an Init or an update, or there is no answer for a second,
// the store serves what it brings, writes it later, and reports a success, because the
// SDK could do nothing but send it again. The log and the StatusListener tell of the
// outage.
func NewDynamoDBFeatureStoreFactory(table string, options ...FeatureStoreOption) (ld.FeatureStoreFactory, error) {
	opts, err := newOptions(table, options)
	if err != nil {
		return nil, err
	}
	return func(config ld.Config) (ld.FeatureStore, error) { return opts.newFeatureStore(config) }, nil
}

// NewDynamoDBFeatureStore makes a feature store on a DynamoDB table, with the
// same options and errors as NewDynamoDBFeatureStoreFactory. It knows nothing of
// the SDK's logging configuration: use the Logger option. Close the store, which
// is an io.Closer, when it is no longer needed.
//
// It is for programs that use a store without an SDK client, such as a job that fills
// a table. Init, Upsert and Delete return an error if the table has not taken what
// they bring. The store keeps it all the same, serves it, and writes it when the table
// can be used again, if the store isn't closed before. Close then returns an error.
//
// Deprecated: Use NewDynamoDBFeatureStoreFactory.
func NewDynamoDBFeatureStore(table string, options ...FeatureStoreOption) (ld.FeatureStore, error) {
	opts, err := newOptions(table, options)
	if err != nil {
		return nil, err
	}
	opts.reportsUnsaved = true
	return opts.newFeatureStore(ld.Config{Offline: true})
}

// newFeatureStore puts the layers together: the SDK's wrapper, the store, the outage
// and the table. The SDK must get its own wrapper, because only that can tell it of
// outages.
func (o *options) newFeatureStore(config ld.Config) (ld.FeatureStore, error) {
	client, err := o.newClient()
	if err != nil {
		return nil, err
	}
	if o.logger != nil {
		config.Loggers.SetBaseLogger(o.logger)
	}
	loggers := config.Loggers
	loggers.SetPrefix("DynamoDBFeatureStore:")
	store := newStore(&table{client: client, name: o.tableName, timeout: o.requestTimeout}, o, loggers)
	loggers.Infof("Using DynamoDB table %q%s", o.tableName, store.underPrefix())
	if !config.Offline {
		store.background.start(func() { store.lookAtStart(config.UseLdd) })
	}
	return utils.NewNonAtomicFeatureStoreWrapperWithConfig(store, config), nil
}

func (o *options) newClient() (dynamodbiface.DynamoDBAPI, error) {
	if o.client != nil {
		return o.client, nil
	}
	awsSession, err := o.newSession()
	if err != nil {
		return nil, &tableError{target{action: "make an AWS session"}, o.tableName, err}
	}
	return dynamodb.New(awsSession, o.clientConfigs...), nil
}
