package lddynamodb

import "time"

// startRecovery has a goroutine end the outage, unless one does. There is none
// outside of outages.
func (c *cache) startRecovery() {
	if c.recovering.CompareAndSwap(false, true) && !c.background.start(c.recover) {
		c.recovering.Store(false)
	}
}

// recover tries about once a second what failed, until it works again or the store
// is closed.
func (c *cache) recover() {
	ticker := time.NewTicker(retryInterval) // goes on while a try gets no answer
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-c.core.ctx.Done():
			return
		}
		c.core.retryReads()
		c.writeUnsaved()
		c.core.endOutage()
		if !c.core.isFailing() && c.stopRecovery() {
			return
		}
	}
}

// stopRecovery returns false if another outage has begun meanwhile.
func (c *cache) stopRecovery() bool {
	c.askAgain.Store(0)
	c.recovering.Store(false)
	return !c.core.isFailing() || !c.recovering.CompareAndSwap(false, true)
}

// writeUnsaved writes what waits, unless another write is under way: then it is
// tried again.
func (c *cache) writeUnsaved() {
	if !c.core.canWrite() || !c.writes.TryAcquire(allWrites) {
		return
	}
	defer c.writes.Release(allWrites)
	for _, found := range c.core.writeUnsaved() {
		for _, item := range found.Items {
			c.kind(found.Kind).storeIfNewer(item)
		}
	}
}

// look warns of a table that can't be used or holds no data. In daemon mode nobody
// would notice before the first evaluation.
func (c *cache) look() { _ = c.afterCall(c.core.look()) }
