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
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

const (
	// maxBatchRequests is DynamoDB's limit for a BatchWriteItem.
	maxBatchRequests = 25
	// maxBatchBytes keeps a batch well under DynamoDB's limit of 16 MB. JSON inside JSON can have twice its size.
	maxBatchBytes = 4 << 20
	// maxParallelBatches hides the latency of requests. A new on-demand table takes many times 600 rows in a second.
	maxParallelBatches = 24

	// maxFruitlessAttempts in a row, of which none stored a row, end a write: with these delays after some ten seconds.
	maxFruitlessAttempts = 10
	minBackoff           = 50 * time.Millisecond
	maxBackoff           = 5 * time.Second
)

// InitCollectionsInternal makes the table hold just these items of their kinds. They are served before they are written.
func (s *store) InitCollectionsInternal(collections []utils.StoreCollection) error {
	s = s.orSuccessor()
	plan := make([]*kindPlan, len(collections))
	for i, collection := range collections {
		plan[i] = newKindPlan(s.replica(collection.Kind), collection.Items)
	}
	s.data.initWaits.Store(true)
	for _, p := range plan {
		p.since = p.replica.keepAll(p.items)
	}
	s.data.received.Store(true)
	s.data.known.Store(true)
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	if answers := s.outage.answers.Load(); !s.reportsUnsaved {
		defer time.AfterFunc(allPatience, func() {
			if s.outage.answers.Load() == answers {
				cancel()
			}
		}).Stop()
	}
	return s.unsavedError("init", s.inTurn(ctx, allWrites, func() error { return s.init(ctx, plan) }))
}

// A kindPlan is what an Init has to do with the rows of one kind.
type kindPlan struct {
	replica  *replica
	since    uint64 // the changes of the replica so far when the Init began
	items    map[string]*received
	rows     map[string]row // still to be written
	obsolete []row          // to be deleted, so without items
	written  int

	isCompared bool // with all rows of the table
}

func newKindPlan(r *replica, items []ld.VersionedData) *kindPlan {
	p := &kindPlan{replica: r, items: make(map[string]*received, len(items)), rows: make(map[string]row, len(items))}
	for _, item := range items {
		received := receive(r.namespace, item)
		p.items[received.row.key] = received
		if received.fault == nil {
			p.rows[received.row.key] = received.row
		}
	}
	return p
}

// init carries out the plans for all kinds.
func (s *store) init(ctx context.Context, plan []*kindPlan) error {
	if err := s.carryOut(ctx, plan); err != nil {
		for _, p := range plan {
			p.replica.noteStored(p.since, p.items, func(item *received, known *record) bool {
				if p.isCompared {
					_, isMissing := p.rows[item.row.key]
					return !isMissing
				}
				return known != nil && known.row == item.id && s.cacheTTL != 0 && !s.data.isMissing.Load() // it was last seen
			})
		}
		return err
	}
	items, written, deleted := 0, 0, 0
	for _, p := range plan {
		p.replica.replace(p.since, p.items)
		p.replica.all() // for the hits to come
		items, written, deleted = items+len(p.items), written+p.written, deleted+len(p.obsolete)
	}
	s.data.initWaits.Store(false)
	s.loggers.Infof("Init of table %q with %d items: wrote %d, deleted %d, left %d alone",
		s.table.name, items, written, deleted, items-written)
	return nil
}

// carryOut writes what differs from the table, in an order that other processes can rely on: each kind after the one
// before it, a flag after its prerequisites. Then it deletes what is obsolete, and says that the data set is complete.
func (s *store) carryOut(ctx context.Context, plan []*kindPlan) error {
	var isInited bool
	var initedErr error
	var reads errgroup.Group
	reads.Go(func() error {
		isInited, initedErr = s.isInited(ctx, s.outage.ask)
		return nil // what there is to write may be written all the same
	})
	for _, p := range plan {
		reads.Go(func() error { return s.compare(ctx, p) })
	}
	if err := reads.Wait(); err != nil {
		return err
	}
	s.data.isMissing.Store(initedErr == nil && !isInited) // compare has just read all rows, so nothing is to be refilled
	if err := s.writeKinds(ctx, plan); err != nil || isInited {
		return err
	}
	if initedErr != nil && !isDenial(initedErr) { // writing the row may be allowed
		return initedErr
	}
	return s.putInited(ctx, s.outage.run)
}

func (s *store) putInited(ctx context.Context, run runner) error {
	key := s.initedKey()
	_, err := run(ctx, target{putItem, key}, func() (*response, error) { return nil, s.table.putInited(ctx, key) })
	if err == nil {
		s.data.isMissing.Store(false)
	}
	return err
}

// compare takes from a plan what the table has already.
func (s *store) compare(ctx context.Context, p *kindPlan) error {
	rows, err := s.query(ctx, p.replica.namespace, true, new(atomic.Int64))
	for _, stored := range rows {
		item := p.items[stored.key]
		switch {
		case item == nil:
			p.obsolete = append(p.obsolete, row{rowKey: stored.rowKey})
		case item.fault == nil && stored.holds(p.replica.kind, item.row):
			item.id = identify(stored, item.item.GetVersion())
			delete(p.rows, stored.key)
		}
	}
	p.isCompared = err == nil
	return err
}

// writeKinds writes each wave when the one before it is in the table, and deletes obsolete rows at the end.
func (s *store) writeKinds(ctx context.Context, plan []*kindPlan) error {
	for _, p := range plan {
		if len(p.rows) == 0 {
			continue
		}
		writer := batchWriter{store: s, plan: p}
		for _, wave := range waves(p.items, func(item *received) ld.VersionedData { return item.item }) {
			var rows []row
			for _, item := range wave {
				if _, isMissing := p.rows[item.row.key]; isMissing {
					rows = append(rows, item.row)
				}
			}
			if err := writer.write(ctx, rows); err != nil {
				return err
			}
			for _, r := range rows {
				delete(p.rows, r.key)
			}
		}
		p.written = int(writer.stored.Load())
	}
	for _, p := range plan {
		writer := batchWriter{store: s, plan: p}
		if err := writer.write(ctx, p.obsolete); err != nil {
			return err
		}
	}
	return nil
}

// waves divides items so that each flag is in a later wave than its prerequisites. Other kinds make one wave.
func waves[T any](items map[string]T, itemOf func(T) ld.VersionedData) (waves [][]T) {
	known := make(map[string]int)
	// depthOf follows no prerequisite that leads back to a flag whose depth it is just finding out: a cycle has no order.
	var depthOf func(key string) int
	depthOf = func(key string) int {
		item, isItem := items[key]
		if depth, ok := known[key]; ok || !isItem {
			return depth
		}
		known[key] = 0
		depth := 1
		if flag, ok := itemOf(item).(*ld.FeatureFlag); ok {
			for _, prerequisite := range flag.Prerequisites {
				depth = max(depth, 1+depthOf(prerequisite.Key))
			}
		}
		known[key] = depth
		return depth
	}
	for key, item := range items {
		depth := depthOf(key)
		for len(waves) < depth {
			waves = append(waves, nil)
		}
		waves[depth-1] = append(waves[depth-1], item)
	}
	return waves
}

// A batchWriter writes rows of a kind without conditions and in no order, as fast as DynamoDB takes them. What DynamoDB
// throttles it sends again for as long as any row gets through, whichever batch that is in.
type batchWriter struct {
	store  *store
	plan   *kindPlan
	stored atomic.Int64
}

// write sends rows in parallel batches, and returns when all are stored but invalid ones. One without an item is deleted.
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

// writeBatch writes a batch. DynamoDB refuses all of it for one invalid row, which is found by trying each half alone.
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
	case rows[0].item == "":
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
		if r.item == "" {
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
		_, err := w.store.outage.run(ctx, of, func() (_ *response, err error) {
			unprocessed, err = w.store.table.batchWrite(ctx, of.namespace, batch)
			if isThrottle(err) {
				throttled, err = err, nil
			}
			return nil, err
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
