// Package lddynamodb keeps the feature flags of the LaunchDarkly Go SDK, version 4, in a DynamoDB table. A process that
// is connected to LaunchDarkly fills the table. Others evaluate flags from it, and all of them keep their flags when
// LaunchDarkly or DynamoDB can't be reached.
//
// # Getting started
//
// Create a table with the partition key "namespace" and the sort key "key", both strings:
//
//	aws dynamodb create-table --table-name my-flags --billing-mode PAY_PER_REQUEST \
//	  --attribute-definitions AttributeName=namespace,AttributeType=S AttributeName=key,AttributeType=S \
//	  --key-schema AttributeName=namespace,KeyType=HASH AttributeName=key,KeyType=RANGE
//
// Give the process permission for dynamodb:GetItem, Query, PutItem and BatchWriteItem on it, then set the store in the
// SDK's configuration:
//
//	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags")
//	if err != nil {
//		return err
//	}
//	config := ld.DefaultConfig
//	config.FeatureStoreFactory = factory
//	client, err := ld.MakeCustomClient(sdkKey, config, 5*time.Second)
//
// An error that comes with a client means that LaunchDarkly has not answered yet, or that the SDK key is wrong. The
// client evaluates what the table has.
//
// The AWS region and credentials come from the environment and from AWS configuration files, unless [SessionOptions],
// [ClientConfig] or [DynamoClient] say otherwise. If several LaunchDarkly environments share a table, each needs a
// [Prefix] of its own. With config.UseLdd set as well, which is called daemon mode, the client only reads the table, for
// which GetItem and Query are enough. Another process has to keep it up to date.
//
// # Caching
//
// A flag that was read or updated is served from memory for 15 seconds, or what [CacheTTL] says. Concurrent misses of
// the same flag make one request. Updates and Inits of this process are in the cache at once. The map that All returns
// is the cache's own and must not be changed. A store that is used after Close asks the table for each call.
//
// # Failures
//
// Nobody waits long for a flag that is known: if DynamoDB doesn't answer within 250 ms, the last known value is served,
// unless [StaleValues] says otherwise. A request that fails after the AWS SDK's retries means either that the table
// can't be used, or that one action on one kind is refused. Requests that this concerns then fail at once, until the
// store has found that they work again, which it tries about once a second. If a failure lasts longer than 100 ms, it
// is logged as an outage: a warning when it begins, with what to do, one every ten minutes, and one when it ends. The
// [StatusListener] is told as well.
//
// Updates and Inits that the table doesn't take are unsaved: this process serves them, and writes them when the table
// can be used again, but never over a newer row. A flag that such an Init leaves out is written as deleted if this
// process had written it. Any other row stays until the next Init that the table takes. If the table comes back empty, a
// process that is connected to LaunchDarkly fills it.
//
// An item that DynamoDB can't hold, because it has more than 400 KB or an impossible key, is served by the process that
// received it. Of a malformed row, the last known item is served, or nothing. Both are logged once, and are no outages.
//
// # Consistency
//
// An update is stored only if it is newer than the row, so the order in which processes write does not matter. Init
// writes what differs from the table: segments before flags, a flag after its prerequisites, and the row that says that
// the data set is complete at the end. It replaces rows whatever their version and is not atomic. If an Init with older
// data meets a newer update of another process, the next update or Init corrects the rows. Reads are strongly
// consistent unless [ConsistentReads] is turned off.
//
// # The table
//
//	namespace  S  partition key: "features" or "segments", after the prefix and a colon if there is a prefix
//	key        S  sort key: the key of the flag or segment
//	version    N  its version
//	item       S  its JSON; of a deleted item, a tombstone
//
// One more row has "$inited", or the prefix, a colon and "$inited", as both of its keys and no other attribute. It says
// that the table holds a complete data set. The LaunchDarkly SDKs of all languages use this format.
package lddynamodb
