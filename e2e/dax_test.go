package e2e_test

import (
	"io"
	"log"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-dax-go/dax"
	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
)

// There is no DAX outside AWS. But its client has to take the store's calls: it
// refuses any that carries request handlers. What comes of them is the network's.
func TestDAXClientTakesTheStoresCalls(t *testing.T) {
	t.Parallel()
	flag := &ld.FeatureFlag{Key: "f", Version: 1}
	for method, call := range map[string]func(ld.FeatureStore) error{
		"Get":    func(s ld.FeatureStore) error { _, err := s.Get(ld.Features, "f"); return err },
		"All":    func(s ld.FeatureStore) error { _, err := s.All(ld.Features); return err },
		"Upsert": func(s ld.FeatureStore) error { return s.Upsert(ld.Features, flag) },
		"Init": func(s ld.FeatureStore) error {
			return s.Init(map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: {"f": flag}})
		},
	} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			cluster := startFalseCluster(t)
			config := dax.DefaultConfig()
			config.HostPorts = []string{cluster.address}
			config.Region = "us-east-1"
			config.Credentials = credentials.NewStaticCredentials("id", "secret", "")
			config.Logger, config.LogLevel = nil, aws.LogOff
			client, err := dax.New(config)
			require.NoError(t, err)
			defer func() { _ = client.Close() }()
			// One that a factory makes would keep to itself that a write has failed.
			store, err := lddynamodb.NewDynamoDBFeatureStore("flags", lddynamodb.Logger(log.New(io.Discard, "", 0)),
				lddynamodb.DynamoClient(client), lddynamodb.ConsistentReads(false), lddynamodb.RequestTimeout(time.Second))
			require.NoError(t, err)
			defer func() { _ = store.(io.Closer).Close() }()

			err = call(store)

			require.Error(t, err)
			assert.NotContains(t, err.Error(), "custom handlers not supported")
			assert.NotContains(t, err.Error(), "InvalidParameter")
			assert.Positive(t, cluster.received.Load(), "bytes of the DAX client")
		})
	}
}

// A falseCluster takes connections, reads from them and closes them.
type falseCluster struct {
	address  string
	received atomic.Int64
}

func startFalseCluster(t *testing.T) *falseCluster {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	cluster := &falseCluster{address: listener.Addr().String()}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			n, _ := connection.Read(make([]byte, 1024))
			cluster.received.Add(int64(n))
			_ = connection.Close()
		}
	}()
	return cluster
}
