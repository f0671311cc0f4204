package lddynamodb

import "sync"

// maxRefreshes bounds how many values are re-read in the background at once.
const maxRefreshes = 16

// background runs goroutines that a store can wait for when it is closed.
type background struct {
	mu      sync.Mutex
	closed  bool
	running int
	group   sync.WaitGroup
}

// start runs a function.
func (b *background) start(run func()) {
	b.group.Add(1)
	go func() {
		defer b.group.Done()
		run()
	}()
}

// tryStart runs a function unless enough are running, or the store is closed.
func (b *background) tryStart(run func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.running >= maxRefreshes {
		return false
	}
	b.running++
	b.start(func() {
		defer b.done()
		run()
	})
	return true
}

func (b *background) done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
}

// wait returns when nothing runs any more, nor ever will.
func (b *background) wait() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.group.Wait()
}
