package faults_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodbstreams"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	original "gopkg.in/launchdarkly/go-server-sdk.v4/lddynamodb"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

const (
	// cutOff is how long the process with this module's store has no DynamoDB.
	cutOff = 20 * time.Second
	// updatePause is the longest pause between two updates.
	updatePause = 40 * time.Millisecond
)

// A process with the SDK's own store and one with ours write the same table. Ours is
// cut off for some time, while updates go on, and then writes late what it has kept.
// The table's stream, which has every single write, tells that none took a row back.
func TestTableSharedWithTheOriginalStore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, refresh, fault{})
	stream := f.enableStream()
	a := newSDKApp(f)
	a.startOriginal()
	f.requireRight(a)
	a.startStreaming(withStatus)
	f.requireRight(a)

	f.network.proxy.Refuse()
	a.updateFor(cutOff)
	require.NotZero(t, f.outagesKnown()[0])
	require.NoError(t, f.network.proxy.Mend())
	a.updateFor(cutOff / 4)
	a.update() // the newest version has to be that of checkout

	require.NotZero(t, stream.requireNoStepBack(a.flags))
	f.requireRight(a)
}

// startOriginal starts a client with the SDK's own store, which has no faults.
func (a *sdkApp) startOriginal() {
	dynamo, err := localtable.Connect(a.f.table.Endpoint, nil)
	require.NoError(a.f.t, err)
	factory, err := original.NewDynamoDBFeatureStoreFactory(a.f.table.Name,
		original.DynamoClient(dynamo), original.CacheTTL(ttl))
	require.NoError(a.f.t, err)
	client, err := ld.MakeCustomClient("sdk-test", ldconfig.Streaming(a.server.URL(), factory, nil), patience)
	require.NoError(a.f.t, err)
	a.f.t.Cleanup(func() { assert.NoError(a.f.t, client.Close()) })
	a.clients[daemonMode] = client
}

// updateFor has LaunchDarkly change and delete flags for some time.
func (a *sdkApp) updateFor(while time.Duration) {
	for end := time.Now().Add(while); time.Now().Before(end); time.Sleep(rand.N(updatePause)) {
		a.version++
		key := checkout
		if rand.IntN(4) > 0 {
			key = fmt.Sprintf("flag-%d", rand.IntN(initialFlags))
		}
		a.flags[key] = a.version
		if key != checkout && rand.IntN(5) == 0 {
			require.NoError(a.f.t, a.server.Delete("/flags/"+key, a.version))
			continue
		}
		require.NoError(a.f.t, a.server.Patch("/flags/"+key, servedFlag(key, a.version)))
	}
}

func (f *fixture) requireRight(a *sdkApp) {
	f.t.Helper()
	awaitNoProblem(f.t, a.problem)
}

// A stream has each write of a table.
type stream struct {
	t      *testing.T
	client *dynamodbstreams.DynamoDBStreams
	arn    *string
}

func (f *fixture) enableStream() *stream {
	client, err := localtable.Connect(f.table.Endpoint, nil)
	require.NoError(f.t, err)
	updated, err := client.UpdateTable(&dynamodb.UpdateTableInput{
		TableName: aws.String(f.table.Name),
		StreamSpecification: &dynamodb.StreamSpecification{
			StreamEnabled: aws.Bool(true), StreamViewType: aws.String(dynamodb.StreamViewTypeNewImage),
		},
	})
	require.NoError(f.t, err)
	awsSession, err := session.NewSession(localtable.Config(f.table.Endpoint))
	require.NoError(f.t, err)
	return &stream{f.t, dynamodbstreams.New(awsSession), updated.TableDescription.LatestStreamArn}
}

// requireNoStepBack reads the stream until each flag has its newest version, and sees
// that no row was deleted or got an older version. It returns the number of writes that
// replaced a row.
func (s *stream) requireNoStepBack(newest map[string]int) (replaced int) {
	iterators := s.begin()
	versions := make(map[string]int)
	awaitNoProblem(s.t, func() string {
		for i := range iterators {
			iterators[i] = s.read(iterators[i], func(key string, version int) {
				require.GreaterOrEqual(s.t, version, versions[key], "%s went back from a newer version", key)
				if versions[key] > 0 {
					replaced++
				}
				versions[key] = version
			})
		}
		for key, version := range newest {
			if versions[key] != version {
				return fmt.Sprintf("the stream has version %d of %s, should have %d", versions[key], key, version)
			}
		}
		return ""
	})
	return replaced
}

// begin returns what reads each shard of the stream from its beginning.
func (s *stream) begin() (iterators []*string) {
	described, err := s.client.DescribeStream(&dynamodbstreams.DescribeStreamInput{StreamArn: s.arn})
	require.NoError(s.t, err)
	for _, shard := range described.StreamDescription.Shards {
		output, err := s.client.GetShardIterator(&dynamodbstreams.GetShardIteratorInput{
			StreamArn: s.arn, ShardId: shard.ShardId,
			ShardIteratorType: aws.String(dynamodbstreams.ShardIteratorTypeTrimHorizon),
		})
		require.NoError(s.t, err)
		iterators = append(iterators, output.ShardIterator)
	}
	return iterators
}

// read reads some writes of flags, and returns where the next ones are.
func (s *stream) read(from *string, written func(key string, version int)) (next *string) {
	if from == nil {
		return nil // the shard has ended
	}
	output, err := s.client.GetRecords(&dynamodbstreams.GetRecordsInput{ShardIterator: from})
	require.NoError(s.t, err)
	for _, record := range output.Records {
		if *record.Dynamodb.Keys["namespace"].S != "features" {
			continue
		}
		key := *record.Dynamodb.Keys["key"].S
		require.NotEqual(s.t, dynamodbstreams.OperationTypeRemove, *record.EventName, "the row of %s was deleted", key)
		version, err := strconv.Atoi(*record.Dynamodb.NewImage["version"].N)
		require.NoError(s.t, err)
		written(key, version)
	}
	return output.NextShardIterator
}
