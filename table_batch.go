package lddynamodb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"golang.org/x/sync/errgroup"
)

const (
	// maxBatchRequests is DynamoDB's limit for a BatchWriteItem.
	maxBatchRequests = 25
	// maxBatchBytes keeps a batch well under DynamoDB's limit of 16 MB: as JSON
	// inside JSON, an item can be sent at twice its size.
	maxBatchBytes = 4 << 20
	// maxParallelBatches hides the latency of requests. 600 rows on their way at
	// once are a small part of what a new on-demand table takes in a second.
	maxParallelBatches = 24

	// maxFruitlessAttempts in a row, of which none stored a row, end a write.
	// With these delays that is ten seconds on average.
	maxFruitlessAttempts = 10
	minBackoff           = 50 * time.Millisecond
	maxBackoff           = 5 * time.Second
)

// A batchWriter writes rows without conditions and in no order, as fast as
// DynamoDB takes them. What DynamoDB throttles it sends again for as long as
// any row gets through, whichever batch that is in.
type batchWriter struct {
	table string
	// send makes one BatchWriteItem request for rows of a namespace. If that was
	// throttled as a whole, it says so, and all is unprocessed.
	send func(ctx context.Context, namespace string, requests []*dynamodb.WriteRequest) (
		unprocessed []*dynamodb.WriteRequest, throttled, err error)
	stored atomic.Int64
}

// write sends rows of a namespace in parallel batches and returns when all are
// stored. A row without an item is deleted. It returns the keys of rows that
// DynamoDB called invalid, which are not stored.
func (w *batchWriter) write(ctx context.Context, namespace string, rows []row) (invalid []string, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelBatches)
	var mu sync.Mutex
	for len(rows) > 0 {
		n := batchLength(rows)
		batch := rows[:n]
		rows = rows[n:]
		group.Go(func() error {
			refused, err := w.writeBatch(ctx, namespace, batch)
			mu.Lock()
			defer mu.Unlock()
			invalid = append(invalid, refused...)
			return err
		})
	}
	return invalid, group.Wait()
}

// writeBatch writes a batch. DynamoDB refuses a whole batch for one invalid row,
// so each half is tried alone until that is found.
func (w *batchWriter) writeBatch(ctx context.Context, namespace string, rows []row) (invalid []string, err error) {
	err = w.sendUntilStored(ctx, namespace, writeRequests(rows))
	if !isInvalidItem(err) {
		return nil, err
	}
	if len(rows) == 1 {
		return []string{rows[0].key}, nil
	}
	for _, half := range [][]row{rows[:len(rows)/2], rows[len(rows)/2:]} {
		refused, err := w.writeBatch(ctx, namespace, half)
		invalid = append(invalid, refused...)
		if err != nil {
			return invalid, err
		}
	}
	return invalid, nil
}

// batchLength returns how many of the first rows make one batch.
func batchLength(rows []row) int {
	size := 0
	for i, r := range rows {
		size += r.size()
		if i == maxBatchRequests || (i > 0 && size > maxBatchBytes) {
			return i
		}
	}
	return len(rows)
}

func writeRequests(rows []row) []*dynamodb.WriteRequest {
	requests := make([]*dynamodb.WriteRequest, len(rows))
	for i, r := range rows {
		if r.item == nil {
			requests[i] = &dynamodb.WriteRequest{DeleteRequest: &dynamodb.DeleteRequest{Key: r.rowKey.attributes()}}
		} else {
			requests[i] = &dynamodb.WriteRequest{PutRequest: &dynamodb.PutRequest{Item: r.attributes()}}
		}
	}
	return requests
}

// sendUntilStored sends a batch until nothing of it is unprocessed.
func (w *batchWriter) sendUntilStored(ctx context.Context, namespace string, batch []*dynamodb.WriteRequest) error {
	stored := w.stored.Load()
	for fruitless := 1; ; fruitless++ {
		unprocessed, throttled, err := w.send(ctx, namespace, batch)
		if err != nil {
			return err
		}
		w.stored.Add(int64(len(batch) - len(unprocessed)))
		if batch = unprocessed; len(batch) == 0 {
			return nil
		}
		if now := w.stored.Load(); now > stored {
			stored, fruitless = now, 1
		}
		if fruitless == maxFruitlessAttempts {
			if throttled == nil {
				throttled = &tableError{target{batchWriteItem, rowKey{namespace: namespace}}, w.table, errAllUnprocessed}
			}
			return fmt.Errorf("gave up after %d attempts without progress: %w", maxFruitlessAttempts, throttled)
		}
		if err := backOff(ctx, fruitless); err != nil {
			return err
		}
	}
}

// backOff waits before the next attempt, exponentially longer after each
// fruitless one, with full jitter.
func backOff(ctx context.Context, fruitless int) error {
	return aws.SleepWithContext(ctx, rand.N(min(minBackoff<<fruitless, maxBackoff)))
}
