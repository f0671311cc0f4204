package lddynamodb

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// InitCollectionsInternal makes the table hold just these items of their kinds. They are served before they are
// written, and wait as a whole if that fails.
func (s *store) InitCollectionsInternal(collections []utils.StoreCollection) error {
	if s.isClosed() {
		return s.successor().InitCollectionsInternal(collections)
	}
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
	if err := s.inTurn(allWrites, func(ctx context.Context) error { return s.init(ctx, plan) }); err != nil {
		return s.unsavedError("init", err)
	}
	return nil
}

// A kindPlan is what an Init has to do with the rows of one kind.
type kindPlan struct {
	replica  *replica
	since    uint64 // the changes of the replica so far when the Init began
	items    map[string]*received
	rows     map[string]row // still to be written
	obsolete []row          // still to be deleted, so without items
	written  int
	deleted  int

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
	err := s.carryOut(ctx, plan)
	items, written, deleted, left := 0, 0, 0, 0
	for _, p := range plan {
		items, written, deleted, left = items+len(p.items), written+p.written, deleted+p.deleted, left+len(p.rows)+len(p.obsolete)
	}
	if err != nil {
		for _, p := range plan {
			p.noteStored()
		}
		return fmt.Errorf("stored %d of %d changed items: %w", written+deleted, written+deleted+left, err)
	}
	for _, p := range plan {
		p.replica.replace(p.since, p.items)
	}
	s.data.initWaits.Store(false)
	s.loggers.Infof("Init of table %q with %d items: wrote %d, deleted %d, left %d alone",
		s.table.name, items, written, deleted, items-written)
	return nil
}

// noteStored notes which rows the table has after an Init that failed, so that what waits of them need not be written
// again, and nothing else counts as written.
func (p *kindPlan) noteStored() {
	for key, item := range p.items {
		_, isMissing := p.rows[key]
		switch {
		case item.fault != nil:
		case !isMissing:
			p.replica.see(key, item.id)
		case p.isCompared:
			p.replica.see(key, rowID{})
		}
	}
}

// carryOut writes what differs from the table, in an order that other processes can rely on: each kind after the one
// before it, a flag after the flags that are its prerequisites. Then it deletes what is obsolete, and says last of all
// that the data set is complete.
func (s *store) carryOut(ctx context.Context, plan []*kindPlan) error {
	var isInited bool
	var initedErr error
	var reads errgroup.Group
	reads.Go(func() error {
		isInited, initedErr = s.isInited(ctx, s.outage.ask)
		s.data.isMissing.Store(initedErr == nil && !isInited)
		return nil // what there is to write may be written all the same
	})
	for _, p := range plan {
		reads.Go(func() error { return s.compare(ctx, p) })
	}
	err := reads.Wait()
	if err == nil {
		err = s.writeKinds(ctx, plan)
	}
	if err != nil || isInited {
		return err
	}
	if initedErr != nil && !isDenial(initedErr) { // writing the row may be allowed
		return initedErr
	}
	return s.putInited(ctx, s.outage.run)
}

func (s *store) putInited(ctx context.Context, run runner) error {
	key := s.initedKey()
	err := run(ctx, target{putItem, key}, func() error { return s.table.putInited(ctx, key) })
	if err == nil {
		s.data.isMissing.Store(false)
	}
	return err
}

// compare takes from a plan what the table has already.
func (s *store) compare(ctx context.Context, p *kindPlan) error {
	err := s.query(ctx, p.replica.namespace, true, func(rows []row) {
		for _, stored := range rows {
			p.compareRow(stored)
		}
	})
	p.isCompared = err == nil
	return err
}

func (p *kindPlan) compareRow(stored row) {
	item := p.items[stored.key]
	switch {
	case item == nil:
		p.obsolete = append(p.obsolete, row{rowKey: stored.rowKey})
	case item.fault != nil:
		item.found = p.replica.decode(stored)
	case stored.holds(p.replica.kind, item.row):
		item.id = identify(stored, item.item.GetVersion())
		delete(p.rows, stored.key)
	}
}

// writeKinds writes each wave when the one before it is in the table, and deletes obsolete rows at the end.
func (s *store) writeKinds(ctx context.Context, plan []*kindPlan) error {
	for _, p := range plan {
		for _, wave := range waves(p.rows, func(key string) ld.VersionedData { return p.items[key].itemOrNil() }) {
			writer := batchWriter{store: s, plan: p}
			if err := writer.write(ctx, wave); err != nil {
				return err
			}
			p.written += int(writer.stored.Load())
			for _, r := range wave {
				delete(p.rows, r.key)
			}
		}
	}
	for _, p := range plan {
		writer := batchWriter{store: s, plan: p}
		if err := writer.write(ctx, p.obsolete); err != nil {
			return err
		}
		p.deleted, p.obsolete = len(p.obsolete), nil
	}
	return nil
}

// waves divides what is to be written, by key, so that each flag is in a later wave than the flags among them that are
// its prerequisites, or theirs. Other kinds make one wave.
func waves[T any](changed map[string]T, item func(key string) ld.VersionedData) [][]T {
	known := make(map[string]int)
	// depthOf follows no prerequisite that leads back to a flag whose depth it is just finding out: in a cycle, which
	// has no order, that one edge is left out. Flags that are not to be written take no wave: they are in the table.
	var depthOf func(key string) int
	depthOf = func(key string) int {
		if depth, ok := known[key]; ok {
			return depth
		}
		known[key] = 0
		depth := 0
		if flag, ok := item(key).(*ld.FeatureFlag); ok {
			for _, prerequisite := range flag.Prerequisites {
				depth = max(depth, depthOf(prerequisite.Key))
			}
		}
		if _, ok := changed[key]; ok {
			depth++
		}
		known[key] = depth
		return depth
	}
	var waves [][]T
	for key, change := range changed {
		depth := depthOf(key)
		for len(waves) < depth {
			waves = append(waves, nil)
		}
		waves[depth-1] = append(waves[depth-1], change)
	}
	return waves
}
