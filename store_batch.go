package lddynamodb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"golang.org/x/sync/errgroup"
)

const (
	// maxBatchRequests is DynamoDB's limit for a BatchWriteItem.
	maxBatchRequests = 25
	// maxBatchBytes keeps a batch well under DynamoDB's limit of 16 MB: as JSON inside JSON, an item can be sent at
	// twice its size.
	maxBatchBytes = 4 << 20
	// maxParallelBatches hides the latency of requests. 600 rows on their way at once are a small part of what a new
	// on-demand table takes in a second.
	maxParallelBatches = 24

	// maxFruitlessAttempts in a row, of which none stored a row, end a write. With these delays that is ten seconds on
	// average.
	maxFruitlessAttempts = 10
	minBackoff           = 50 * time.Millisecond
	maxBackoff           = 5 * time.Second
)

// A batchWriter writes rows of a kind without conditions and in no order, as fast as DynamoDB takes them. What DynamoDB
// throttles it sends again for as long as any row gets through, whichever batch that is in.
type batchWriter struct {
	store  *store
	plan   *kindPlan
	stored atomic.Int64
}

// write sends rows in parallel batches and returns when all are stored that DynamoDB doesn't call invalid. A row
// without an item is deleted.
func (w *batchWriter) write(ctx context.Context, rows []row) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelBatches)
	for len(rows) > 0 {
		n := batchLength(rows)
		batch := rows[:n]
		rows = rows[n:]
		group.Go(func() error { return w.writeBatch(ctx, batch) })
	}
	return group.Wait()
}

// writeBatch writes a batch. DynamoDB refuses a whole batch for one invalid row, so each half is tried alone until that
// is found.
func (w *batchWriter) writeBatch(ctx context.Context, rows []row) error {
	err := w.sendUntilStored(ctx, writeRequests(rows))
	switch n := len(rows); {
	case !isInvalidItem(err):
		return err
	case n > 1:
		if err := w.writeBatch(ctx, rows[:n/2]); err != nil {
			return err
		}
		return w.writeBatch(ctx, rows[n/2:])
	case rows[0].item == nil:
		return err // a delete has no item that might be invalid
	}
	w.plan.replica.refuse(w.plan.items[rows[0].key], err)
	return nil
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
func (w *batchWriter) sendUntilStored(ctx context.Context, batch []*dynamodb.WriteRequest) error {
	of := target{batchWriteItem, rowKey{namespace: w.plan.replica.namespace}}
	stored := w.stored.Load()
	for fruitless := 1; ; fruitless++ {
		var unprocessed []*dynamodb.WriteRequest
		var throttled error // no failure yet
		err := w.store.outage.run(ctx, of, func() (err error) {
			unprocessed, err = w.store.table.batchWrite(ctx, of.namespace, batch)
			if isThrottle(err) {
				throttled, err = err, nil
			}
			return err
		})
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
			return fmt.Errorf("gave up after %d attempts without progress: %w", maxFruitlessAttempts, throttled)
		}
		// Exponentially longer after each fruitless attempt, with full jitter.
		if err := aws.SleepWithContext(ctx, rand.N(min(minBackoff<<fruitless, maxBackoff))); err != nil {
			return err
		}
	}
}
