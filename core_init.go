package lddynamodb

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// init makes the table hold just these items of their kinds. It returns what is
// served of each kind from now on, or nil in its place if only the next read can
// tell. An Init that the table refuses is unsaved as a whole. One that ends because
// the store is closed changes nothing, and returns nothing.
func (c *core) init(collections []utils.StoreCollection) ([]*dataSet, error) {
	defer c.reportStatus()
	plan := make([]*kindPlan, len(collections))
	for i, collection := range collections {
		plan[i] = c.newKindPlan(collection.Kind, collection.Items)
	}
	err := c.carryOut(plan, c.outage.guard, true)
	served := make([]*dataSet, len(plan))
	switch {
	case err == nil:
		c.unsaved.initSaved(plan)
		inited := target{getItem, c.initedKey()}
		c.outage.remove(func(f failure) bool { return f.target == inited }) // nobody asks for it any more
		for i, p := range plan {
			set := p.dataSet()
			c.known.retain(p.namespace, set)
			if !p.unsure {
				served[i] = set
			}
		}
	case c.isClosed():
		return nil, err
	default:
		c.unsaved.initRefused(plan, &c.known)
		err = &unsavedError{"init", err}
	}
	return served, err
}

// A kindPlan is what has to be done with the rows of one kind: for an Init, or to
// write what the table has refused before.
type kindPlan struct {
	kind      ld.VersionedDataKind
	namespace string
	encode    func() // fills in what follows, once
	items     map[string]ld.VersionedData
	leftOut   map[string]bool // of the items, those that can't be stored
	rows      map[string]row  // to be written
	obsolete  []row           // to be deleted, so without items
	unsure    bool            // an item that was left out may be older than its row
	late      *lateWrite      // nil for an Init
}

func (c *core) newKindPlan(kind ld.VersionedDataKind, items []ld.VersionedData) *kindPlan {
	p := &kindPlan{kind: kind, namespace: c.namespace(kind)}
	p.encode = sync.OnceFunc(func() { c.encodeItems(p, items) })
	return p
}

// encodeItems makes the rows of items. Those that can't be stored have none.
func (c *core) encodeItems(p *kindPlan, items []ld.VersionedData) {
	p.items = make(map[string]ld.VersionedData, len(items))
	p.rows = make(map[string]row, len(items))
	p.leftOut = make(map[string]bool)
	for _, item := range items {
		r, err := encodeRow(p.namespace, item)
		p.items[r.key] = item
		if err == nil {
			p.rows[r.key] = r
			continue
		}
		p.leftOut[r.key] = true
		c.logUnstorable(p.namespace, item, err)
	}
}

func (p *kindPlan) dataSet() *dataSet {
	set := newDataSet(len(p.items))
	for _, item := range p.items {
		set.put(item)
	}
	return set
}

func (p *kindPlan) changes() int { return len(p.rows) + len(p.obsolete) }

// carryOut writes what differs from the table, in an order that other processes can
// rely on: each kind after the one before it, a flag after the flags that are its
// prerequisites. Then it deletes what is obsolete, and says last of all that the
// data set is complete, if it is. Kinds are read while others are written.
func (c *core) carryOut(plan []*kindPlan, run runner, isComplete bool) error {
	inited := start(func() (bool, error) {
		if !isComplete {
			return true, nil
		}
		return c.isInited(run)
	})
	compared := make([]func() (*kindPlan, error), len(plan))
	for i, p := range plan {
		compared[i] = start(func() (*kindPlan, error) { return p, c.compare(run, p) })
	}
	writer := c.newBatchWriter(run)
	err := c.writeKinds(compared, writer)
	changes := 0
	for _, wait := range compared {
		p, _ := wait() // nothing changes the plan after this
		changes += p.changes()
	}
	isInited, initedErr := inited()
	if err != nil {
		return fmt.Errorf("stored %d of %d changed items: %w", writer.stored.Load(), changes, err)
	}
	if isDenial(initedErr) {
		initedErr = nil // writing the row may be allowed
	}
	if !isInited && initedErr == nil {
		initedErr = c.putInited(run)
	}
	if initedErr != nil {
		return fmt.Errorf("stored all changed items: %w", initedErr)
	}
	return nil
}

// start runs a function at the same time. What it returns waits for the result.
func start[T any](run func() (T, error)) (wait func() (T, error)) {
	var result T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = run()
	}()
	return func() (T, error) {
		<-done
		return result, err
	}
}

func (c *core) putInited(run runner) error {
	c.beginWrite()
	defer c.endWrite()
	key := c.initedKey()
	return run(c.ctx, target{putItem, key}, func(ctx context.Context) error {
		return c.table.putInited(ctx, key)
	})
}

// compare encodes the items while the first rows are on their way, and takes from
// the plan what the table has already.
func (c *core) compare(run runner, p *kindPlan) error {
	if !p.needsRows() {
		p.encode()
		return nil
	}
	go p.encode()
	defer p.encode()
	var mu sync.Mutex
	return c.query(run, p.namespace, true, func(rows []row) {
		p.encode()
		mu.Lock()
		defer mu.Unlock()
		for _, stored := range rows {
			if p.late != nil {
				c.compareLate(p, stored)
			} else {
				c.compareRow(p, stored)
			}
		}
	})
}

func (c *core) compareRow(p *kindPlan, stored row) {
	item := p.items[stored.key]
	wanted, storable := p.rows[stored.key]
	switch {
	case item == nil:
		p.obsolete = append(p.obsolete, row{rowKey: stored.rowKey, version: stored.version})
	case storable && stored.holds(p.kind, wanted):
		delete(p.rows, stored.key)
		c.known.remember(stored, item)
	case !storable && !stored.isOlderThan(item):
		p.unsure = true
	}
}

// isOlderThan tells whether the row says that it has an older version than the
// item.
func (r row) isOlderThan(item ld.VersionedData) bool {
	version, err := strconv.Atoi(r.version)
	return err != nil || version < item.GetVersion()
}

// writeKinds writes each wave when the one before it is in the table, and deletes
// obsolete rows at the end.
func (c *core) writeKinds(compared []func() (*kindPlan, error), writer *batchWriter) error {
	for _, wait := range compared {
		p, err := wait()
		if err != nil {
			return err
		}
		for _, wave := range p.waves() {
			if p.late != nil {
				err = c.storeWave(p, wave)
			} else {
				err = c.writeBatches(p, wave, writer)
			}
			if err != nil {
				return err
			}
		}
	}
	for _, wait := range compared {
		p, _ := wait()
		if err := c.writeBatches(p, p.obsolete, writer); err != nil {
			return err
		}
	}
	return nil
}

func (c *core) writeBatches(p *kindPlan, rows []row, writer *batchWriter) error {
	if len(rows) == 0 {
		return nil
	}
	c.beginWrite()
	defer c.endWrite()
	invalid, err := writer.write(c.ctx, p.namespace, rows)
	for _, key := range invalid {
		c.logUnstorable(p.namespace, p.items[key], &unstorableError{rowKey{p.namespace, key}, "DynamoDB calls it invalid"})
		p.leftOut[key], p.unsure = true, true
	}
	if err != nil {
		if isThrottle(err) {
			c.outage.fail(failure{target: target{batchWriteItem, rowKey{namespace: p.namespace}}, err: err})
		}
		return err
	}
	for _, r := range rows {
		if item := p.items[r.key]; item == nil {
			c.known.forget(r.rowKey)
		} else if !p.leftOut[r.key] {
			c.known.remember(r, item)
		}
	}
	return nil
}

func (c *core) newBatchWriter(run runner) *batchWriter {
	return &batchWriter{table: c.table.name, send: func(
		ctx context.Context, namespace string, requests []*dynamodb.WriteRequest,
	) (unprocessed []*dynamodb.WriteRequest, throttled, err error) {
		of := target{batchWriteItem, rowKey{namespace: namespace}}
		err = run(ctx, of, func(ctx context.Context) (err error) {
			unprocessed, err = c.table.batchWrite(ctx, namespace, requests)
			if throttled = nil; isThrottle(err) {
				unprocessed, throttled = requests, err
				return nil // this is the batchWriter's business, and no outage yet
			}
			return err
		})
		return unprocessed, throttled, err
	}}
}

// waves divides the rows so that each flag is in a later wave than the flags
// among them that are its prerequisites, or theirs. Other kinds make one wave.
func (p *kindPlan) waves() [][]row {
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
