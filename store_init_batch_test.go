package lddynamodb

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestInitSendsUnprocessedItemsAgainUntilAllAreStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore()
	obsolete := numberedFlags("obsolete", 60)
	require.NoError(t, store.Init(allData(obsolete...)))
	f.transport.setInterceptor(func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.action != "BatchWriteItem" {
			return send()
		}
		return sendPart(r, (len(r.writeRequests())+1)/2, send)
	})
	data := append(numberedFlags("new", 80), segment("s1", 1), segment("s2", 1), segment("s3", 1))
	require.NoError(t, store.Init(allData(data...)))
	f.requireHolds(data)
}

// throttles are the ways in which DynamoDB takes nothing of a batch.
var throttles = map[string]reply{
	"all items of a batch unprocessed": unprocessed,
	"the whole request throttled":      throttled,
}

// Of the random waits of so many Inits all lengths are among them.
func TestInitWaitsExponentiallyLongerWithFullJitter(t *testing.T) {
	t.Parallel()
	for name, throttle := range throttles {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			var attempts []time.Time
			f.transport.setInterceptor(failing(func(r *sentRequest) (*http.Response, error) {
				attempts = append(attempts, time.Now())
				return throttle(r)
			}, "BatchWriteItem"))
			waits := make([][]time.Duration, maxFruitlessAttempts-1) // all first ones, all second ones, and so on
			for range 200 {
				attempts = nil
				store := f.newStore(CacheTTL(0))
				require.Error(t, store.Init(allData(flag("f", 1))))
				_ = store.(io.Closer).Close()
				require.Len(t, attempts, maxFruitlessAttempts)
				for i := range waits {
					waits[i] = append(waits[i], attempts[i+1].Sub(attempts[i]))
				}
			}
			for i, waits := range waits {
				longest := min(minBackoff<<(i+1), maxBackoff)
				assert.Less(t, slices.Max(waits), longest)
				assert.Greater(t, slices.Max(waits), longest*9/10)
				assert.Less(t, slices.Min(waits), longest/10)
			}
		})
	}
}

func TestInitGivesUpWhereNothingIsEverStored(t *testing.T) {
	t.Parallel()
	for name, throttle := range throttles {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			f.transport.setInterceptor(failingWith(`"features"`, throttle, "BatchWriteItem"))
			err := f.newStore().Init(allData(append(numberedFlags("f", 30), segment("a", 1), segment("b", 1))...))
			require.ErrorContains(t, err, "give the table more capacity")
			var cause awserr.Error
			require.ErrorAs(t, err, &cause)
			assert.Equal(t, dynamodb.ErrCodeProvisionedThroughputExceededException, cause.Code())
			assert.Empty(t, f.transport.recorded("PutItem"), "it does not say that the table is complete")
		})
	}
}
