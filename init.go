package lddynamodb

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// InitCollectionsInternal makes the table hold just these items of their kinds.
// It writes what differs from the table, in an order that other processes can
// rely on: each collection after the one before it, a flag after the flags that
// are its prerequisites, then deletes what is obsolete, and says last of all
// that the data set is complete.
func (c *core) InitCollectionsInternal(collections []utils.StoreCollection) error {
	return c.observeWrite(c.init(collections))
}

func (c *core) init(collections []utils.StoreCollection) error {
	plan, err := c.planInit(collections)
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	if err := c.carryOut(plan); err != nil {
		return err
	}
	for _, collection := range plan.collections {
		c.unstorable.retain(collection)
	}
	return nil
}

func (c *core) carryOut(plan *initPlan) error {
	if plan.isEmpty() {
		return nil
	}
	c.beginWrite()
	defer c.endWrite()
	writer := batchWriter{table: c.table}
	if err := plan.write(c.ctx, &writer); err != nil {
		return fmt.Errorf("init: stored %d of %d changed items: %w", writer.stored.Load(), plan.changes(), err)
	}
	if plan.inited {
		return nil
	}
	if err := c.table.putInited(c.ctx, c.initedKey()); err != nil {
		return fmt.Errorf("init: stored all changed items: %w", err)
	}
	return nil
}

// An initPlan is what an Init has to do.
type initPlan struct {
	collections []*collectionPlan
	inited      bool // the table says already that it holds a full data set
}

// A collectionPlan is what an Init has to do with the rows of one kind.
type collectionPlan struct {
	kind      ld.VersionedDataKind
	namespace string
	items     map[string]ld.VersionedData
	leftOut   map[string]bool // of the items, those that can't be stored
	rows      map[string]row  // to be written
	obsolete  []row           // to be deleted, so without items
}

// planInit compares the data with the table, all kinds at the same time.
func (c *core) planInit(collections []utils.StoreCollection) (*initPlan, error) {
	plan := &initPlan{collections: make([]*collectionPlan, len(collections))}
	group, ctx := errgroup.WithContext(c.ctx)
	group.Go(func() (err error) {
		_, plan.inited, err = c.table.get(ctx, c.initedKey(), true)
		return err
	})
	for i, collection := range collections {
		group.Go(func() (err error) {
			plan.collections[i], err = c.planCollection(ctx, collection)
			return err
		})
	}
	return plan, group.Wait()
}

// planCollection encodes the items while the first rows are on their way.
func (c *core) planCollection(ctx context.Context, collection utils.StoreCollection) (*collectionPlan, error) {
	plan := sync.OnceValue(func() *collectionPlan { return c.encodeCollection(collection) })
	go plan()
	err := c.table.query(ctx, c.namespace(collection.Kind), true, func(rows []row) {
		for _, stored := range rows {
			plan().compare(stored)
		}
	})
	return plan(), err
}

// encodeCollection makes the rows of a collection. Items that can't be stored
// have none.
func (c *core) encodeCollection(collection utils.StoreCollection) *collectionPlan {
	plan := &collectionPlan{
		kind:      collection.Kind,
		namespace: c.namespace(collection.Kind),
		items:     make(map[string]ld.VersionedData, len(collection.Items)),
		leftOut:   make(map[string]bool),
		rows:      make(map[string]row, len(collection.Items)),
	}
	for _, item := range collection.Items {
		r, err := encodeRow(plan.namespace, item)
		plan.items[r.key] = item
		if err != nil {
			c.keep(r.rowKey, item, err)
			plan.leftOut[r.key] = true
			continue
		}
		plan.rows[r.key] = r
	}
	return plan
}

// compare takes a row of the table into the plan.
func (p *collectionPlan) compare(stored row) {
	wanted, ok := p.rows[stored.key]
	switch {
	case ok && stored.version == wanted.version && bytes.Equal(stored.item, wanted.item):
		delete(p.rows, stored.key)
	case !ok && p.items[stored.key] == nil:
		p.obsolete = append(p.obsolete, row{rowKey: stored.rowKey})
	}
}

func (p *initPlan) isEmpty() bool { return p.inited && p.changes() == 0 }

func (p *initPlan) changes() int {
	n := 0
	for _, collection := range p.collections {
		n += len(collection.rows) + len(collection.obsolete)
	}
	return n
}

// write stores each wave when the one before it is in the table, and deletes
// obsolete rows at the end.
func (p *initPlan) write(ctx context.Context, writer *batchWriter) error {
	var obsolete []row
	for _, collection := range p.collections {
		for _, wave := range collection.waves() {
			if err := writer.write(ctx, wave); err != nil {
				return err
			}
		}
		obsolete = append(obsolete, collection.obsolete...)
	}
	return writer.write(ctx, obsolete)
}

// waves divides the rows so that each flag is in a later wave than the flags
// among them that are its prerequisites, or theirs. Other kinds make one wave.
func (p *collectionPlan) waves() [][]row {
	depths := depths{items: p.items, rows: p.rows, known: make(map[string]int, len(p.items))}
	var waves [][]row
	for key, r := range p.rows {
		depth := depths.of(key)
		for len(waves) < depth {
			waves = append(waves, nil)
		}
		waves[depth-1] = append(waves[depth-1], r)
	}
	return waves
}

// depths tells how many waves it takes until a flag is stored and all that is
// below it in the chain of prerequisites. Flags that are not to be written take
// none of their own: they are in the table.
type depths struct {
	items map[string]ld.VersionedData
	rows  map[string]row
	known map[string]int
}

// of follows no prerequisite that leads back to a flag whose depth it is just
// finding out: in a cycle, which has no order, that one edge is left out.
func (d depths) of(key string) int {
	if depth, ok := d.known[key]; ok {
		return depth
	}
	d.known[key] = 0
	depth := 0
	if flag, ok := d.items[key].(*ld.FeatureFlag); ok {
		for _, prerequisite := range flag.Prerequisites {
			depth = max(depth, d.of(prerequisite.Key))
		}
	}
	if _, changed := d.rows[key]; changed {
		depth++
	}
	d.known[key] = depth
	return depth
}
