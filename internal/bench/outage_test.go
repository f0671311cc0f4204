package bench

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// BenchmarkOutage measures an evaluation's read of a flag that the process knows
// while DynamoDB refuses connections, after the TTL. It reports how many of the
// reads get the flag.
//
// The client makes no retries. With those that it makes by default, a read of
// the original takes most of a minute.
func BenchmarkOutage(b *testing.B) {
	keys, table := flagKeys(missFlags), newFilledTable(b, newData(missFlags))
	for _, maker := range dynamoStores {
		maker.run(b, "", func(b *testing.B) {
			network := &breakable{replay: &replay{}}
			store := maker.open(b, table, newClient(b, network, aws.NewConfig().WithMaxRetries(0)), expired)
			for _, key := range keys {
				_, err := store.Get(ld.Features, key)
				require.NoError(b, err)
			}
			network.broken.Store(true)
			answered := 0
			for i := 0; b.Loop(); i++ {
				if item, err := store.Get(ld.Features, keys[i%len(keys)]); err == nil && item != nil {
					answered++
				}
			}
			b.ReportMetric(float64(answered)/float64(b.N), "answered/op")
		})
	}
}

// A breakable is a network that can refuse connections.
type breakable struct {
	*replay
	broken atomic.Bool
}

// RoundTrip implements http.RoundTripper.
func (n *breakable) RoundTrip(request *http.Request) (*http.Response, error) {
	if n.broken.Load() {
		return nil, errors.New("connection refused")
	}
	return n.replay.RoundTrip(request)
}
