package lddynamodb

import "sync"

// background runs goroutines that a store waits for when it is closed.
type background struct {
	mu     sync.Mutex
	closed bool
	group  sync.WaitGroup
}

// start runs a function, unless the store is closed.
func (b *background) start(run func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.group.Go(run)
	}
	return !b.closed
}

// wait returns when nothing runs any more, nor ever will.
func (b *background) wait() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.group.Wait()
}
