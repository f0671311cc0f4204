// Package lddynamodb keeps the feature flags of the LaunchDarkly Go SDK (major
// version 4) in a DynamoDB table.
//
// A process that is connected to LaunchDarkly puts its flags and segments there.
// Others evaluate flags from the table alone, or start with them before
// LaunchDarkly has answered. Programs that use LaunchDarkly SDKs of other
// languages can share the table: its format is theirs too.
//
// # Getting started
//
// Create a table whose partition key is "namespace" and whose sort key is "key",
// both strings:
//
//	aws dynamodb create-table --table-name my-flags --billing-mode PAY_PER_REQUEST \
//	  --attribute-definitions AttributeName=namespace,AttributeType=S AttributeName=key,AttributeType=S \
//	  --key-schema AttributeName=namespace,KeyType=HASH AttributeName=key,KeyType=RANGE
//
// Give the process permission for dynamodb:GetItem, Query, PutItem and
// BatchWriteItem on it, then set the store in the SDK's configuration:
//
//	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags")
//	if err != nil {
//		return err
//	}
//	config := ld.DefaultConfig
//	config.FeatureStoreFactory = factory
//	client, err := ld.MakeCustomClient(sdkKey, config, 5*time.Second)
//
// An error that comes with a client says that LaunchDarkly has not answered yet.
// Until it does, the client evaluates what the table has.
//
// The AWS region and credentials come from the environment and from AWS
// configuration files; [SessionOptions], [ClientConfig] and [DynamoClient] change
// that.
//
// With config.UseLdd set as well, the client never connects to LaunchDarkly: this
// is daemon mode, in which a process only reads the table. GetItem and Query are
// then all the permissions that it needs. Some other process has to keep the
// table up to date.
//
// Several LaunchDarkly environments can share a table if each has a [Prefix] of
// its own.
//
// # Options
//
// Without any, the store behaves as follows.
//
//   - [CacheTTL]: what was read or updated is served from memory for 15 seconds.
//   - [StaleValues]: what is older is forgotten.
//   - [RequestTimeout]: a DynamoDB call takes 10 seconds at most.
//   - [ConsistentReads]: reads are strongly consistent.
//   - [Prefix]: there is none.
//   - [SessionOptions], [ClientConfig], [DynamoClient]: the store makes an AWS
//     session and a DynamoDB client of its own.
//   - [Logger]: log lines go where the SDK's go.
//
// # Caching
//
// Evaluations are answered from memory for a TTL of 15 seconds, which [CacheTTL]
// changes. Concurrent misses of the same flag make one request. Updates and Inits
// of this process are in the cache at once, and no read that was under way
// undoes them. That a flag does not exist is cached too. Programs that call All
// themselves must not change the map: it is the cache's own.
//
// A TTL of zero asks the table every time. A negative one caches for as long as
// the process runs; then the updates that the table can't take are served from
// memory as well, and written when the table is back.
//
// [StaleValues] says what to do with a value whose TTL has run out: forget it,
// which is the default, or go on serving it while the table can't be reached, or
// serve it at once in any case and read the new one in the background.
//
// # Init
//
// The SDK sends the full data set at every start and after every reconnect. The
// store reads the rows that the table has and writes the difference, so a start
// without changes writes nothing. Segments are in the table before flags, a flag
// after its prerequisites; obsolete rows are deleted after that, and the row that
// says that the data set is complete comes last. What DynamoDB throttles is sent
// again for as long as anything gets through; if nothing does, Init fails and
// says how much it stored.
//
// # Failures
//
// A request that fails begins an outage, which is logged once, as a warning that
// says what to do about it. The SDK then asks twice a second whether the table
// is back, and when it is, sends the full data set again. Each request, with the
// AWS SDK's retries, is bounded by [RequestTimeout].
//
// An item over DynamoDB's limit of 400 KB can't be stored, and no retry would
// help, so this is no outage: the item is left out and logged as an error, the
// row that the table has of it stays, and the process that received the item
// serves it from memory until the table has a newer version. An item whose key is
// empty, longer than 1,024 bytes or no UTF-8 is left out too; asking for it finds
// nothing.
//
// A malformed row takes no other row away. All leaves it out, Get returns an
// error that names it, the log has it once, and the next Init replaces it.
//
// # Consistency
//
// An update is stored only if it is newer than the row, so the order in which
// processes write does not matter. Init is different: it replaces rows whatever
// their version, as the SDK requires, and it is not atomic. Where an Init with
// older data runs against an update, or against an Init with newer data, each row
// is complete and valid, but some may be older than they should be, and a row
// that only the newer data has may be missing. The next update of such a flag, or
// the next Init of any connected process, mends it. The same goes for a batch of
// an Init that timed out or lost its connection, where the network delivers it
// late, after an update of the same flag.
//
// With a negative TTL, what the table refused is written later without the
// deletes of an Init, since nothing tells obsolete rows from another process's
// new ones. The Init that the SDK runs after every outage makes up for it.
//
// Reads are strongly consistent unless [ConsistentReads] is turned off. Across
// regions, in a DynamoDB global table, they are not: there the last writer wins,
// so let processes of one region only do the writing.
//
// # The table
//
//	namespace  S  partition key: "features" or "segments", after the prefix and a colon where there is a prefix
//	key        S  sort key: the key of the flag or segment
//	version    N  its version
//	item       S  its JSON; of a deleted one, what says that it was deleted
//
// One more row has "$inited", or the prefix, a colon and "$inited", as both of
// its keys and nothing else. It says that the table holds a full data set.
package lddynamodb
