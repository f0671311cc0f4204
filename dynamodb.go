package lddynamodb

import (
	"github.com/aws/aws-sdk-go/service/dynamodb"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// NewDynamoDBFeatureStoreFactory returns what goes into the FeatureStoreFactory field of the SDK's Config: a function
// that makes a feature store on a DynamoDB table. It can be called any number of times, also at the same time; the
// stores share an AWS session, which the first call makes, and nothing else.
//
// An empty table name, a nil option or an option's value that makes no sense is an error at once. The function returns
// one if no AWS session can be made. The table must exist. Whether it can be reached shows only when it is used: each
// store looks once, in the background, when it is made, and logs a warning if the table can't be used or, in daemon
// mode, holds no data set.
//
// If the table doesn't take an Init or an update, or there is no answer for a second, the store serves what it brings,
// writes it later, and reports a success, because the SDK could do nothing but send it again.
func NewDynamoDBFeatureStoreFactory(table string, options ...FeatureStoreOption) (ld.FeatureStoreFactory, error) {
	opts, err := newOptions(table, options)
	if err != nil {
		return nil, err
	}
	return opts.newFeatureStore, nil
}

// NewDynamoDBFeatureStore makes a feature store for a program without an SDK client, such as a job that fills a table.
// It has the options and errors of NewDynamoDBFeatureStoreFactory. Without the Logger option, it logs to the standard
// error output. Close the store, which is an io.Closer, when it is no longer needed.
//
// Init, Upsert and Delete return an error if the table has not taken what they bring. The store keeps it all the same,
// serves it, and writes it when the table can be used again, if the store isn't closed before. Close then returns an
// error.
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

// newFeatureStore puts the layers together. The SDK must get its own wrapper: only that can tell it of outages.
func (o *options) newFeatureStore(config ld.Config) (ld.FeatureStore, error) {
	client := o.client
	if client == nil {
		awsSession, err := o.newSession()
		if err != nil {
			return nil, &tableError{target: target{"make", rowKey{namespace: "an AWS session"}}, table: o.tableName, cause: err}
		}
		client = dynamodb.New(awsSession, o.clientConfigs...)
	}
	if o.logger != nil {
		config.Loggers.SetBaseLogger(o.logger)
	}
	loggers := config.Loggers
	loggers.SetPrefix("DynamoDBFeatureStore:")
	store := newStore(&table{client: client, name: o.tableName, timeout: o.requestTimeout}, o, loggers)
	loggers.Infof("Using DynamoDB table %q under the prefix %q", o.tableName, o.prefix)
	if !config.Offline {
		store.background.start(func() { store.lookAtStart(config.UseLdd) })
	}
	return utils.NewNonAtomicFeatureStoreWrapperWithConfig(store, config), nil
}
