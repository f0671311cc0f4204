package utils

import (
	"log"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// These tests run on synctest's clock: time passes only when every goroutine waits, so 500 ms are exactly that and take
// no time. A test fails if a goroutine is left at its end.

const (
	outageBegins = "WARN: The feature store is unavailable; it is asked for its state until it is back\n"
	outageEnds   = "WARN: The feature store is available again\n"
)

func TestAnyErrorBeginsAnOutage(t *testing.T) {
	t.Parallel()
	for name, call := range dataCalls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				polls := newPolls(false, false, true)
				wrapper, out := watchedWrapper(&statusCore{testCore: failingCore(), available: polls.next})

				assert.Error(t, call(wrapper))
				assert.Equal(t, outageBegins, out.String())
				letPass(time.Hour)

				assert.Equal(t, []time.Duration{
					500 * time.Millisecond, 1000 * time.Millisecond, 1500 * time.Millisecond,
				}, polls.times)
				assert.Equal(t, outageBegins+outageEnds, out.String())
			})
		})
	}
}

func TestWithoutAnErrorThereIsNoOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := newPolls()
		wrapper, out := watchedWrapper(&statusCore{available: polls.next})

		for name, call := range dataCalls {
			assert.NoError(t, call(wrapper), name)
		}
		letPass(time.Hour)

		assert.Empty(t, polls.times)
		assert.Empty(t, out.String())
	})
}

func TestErrorsDuringAnOutageChangeNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := newPolls(false, true)
		wrapper, out := watchedWrapper(&statusCore{testCore: failingCore(), available: polls.next})

		var callers sync.WaitGroup
		for _, call := range dataCalls {
			callers.Go(func() { assert.Error(t, call(wrapper)) })
		}
		callers.Wait()
		letPass(750 * time.Millisecond)
		assert.Error(t, wrapper.Init(nil))
		letPass(time.Hour)

		assert.Equal(t, []time.Duration{500 * time.Millisecond, 1000 * time.Millisecond}, polls.times)
		assert.Equal(t, outageBegins+outageEnds, out.String())
	})
}

func TestASuccessfulCallDoesNotEndAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := newPolls(false, true)
		core := &statusCore{testCore: failingCore(), available: polls.next}
		wrapper, out := watchedWrapper(core)
		assert.Error(t, wrapper.Init(nil))

		core.init = nil
		assert.NoError(t, wrapper.Init(nil))
		letPass(750 * time.Millisecond)
		assert.Equal(t, outageBegins, out.String())
		letPass(time.Hour)

		assert.Len(t, polls.times, 2)
		assert.Equal(t, outageBegins+outageEnds, out.String())
	})
}

func TestAnOutageCanFollowAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := newPolls(true, true)
		wrapper, out := watchedWrapper(&statusCore{testCore: failingCore(), available: polls.next})

		for range 2 {
			assert.Error(t, wrapper.Init(nil))
			letPass(600 * time.Millisecond)
		}

		assert.Equal(t, []time.Duration{500 * time.Millisecond, 1100 * time.Millisecond}, polls.times)
		assert.Equal(t, outageBegins+outageEnds+outageBegins+outageEnds, out.String())
	})
}

func TestACoreWithoutStatusIsBackAtTheNextPoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core := failingCore()
		wrapper, out := watchedWrapper(&core)

		assert.Error(t, wrapper.Init(nil))
		letPass(499 * time.Millisecond)
		assert.Equal(t, outageBegins, out.String())
		letPass(2 * time.Millisecond)

		assert.Equal(t, outageBegins+outageEnds, out.String())
	})
}

func TestACoreMayCallTheWrapperWhenItIsAskedForItsStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core := &statusCore{testCore: failingCore()}
		wrapper, out := watchedWrapper(core)
		core.available = func() bool { return wrapper.Init(nil) != nil }

		assert.Error(t, wrapper.Init(nil))
		letPass(time.Second)

		assert.Equal(t, outageBegins+outageEnds, out.String())
	})
}

func TestCloseEndsThePollingAndClosesTheCoreOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := newPolls(false)
		closed := 0
		wrapper, out := watchedWrapper(&statusCore{
			testCore:  failingCore(),
			available: polls.next,
			close:     func() error { closed++; return errCore },
		})
		assert.Error(t, wrapper.Init(nil))
		letPass(750 * time.Millisecond)

		assert.Same(t, errCore, wrapper.Close())
		assert.NoError(t, wrapper.Close())
		letPass(time.Hour)

		assert.Equal(t, 1, closed)
		assert.Len(t, polls.times, 1)
		assert.Equal(t, outageBegins, out.String())
	})
}

func TestNoOutageBeginsAfterClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := newPolls()
		wrapper, out := watchedWrapper(&statusCore{testCore: failingCore(), available: polls.next})
		assert.NoError(t, wrapper.Close())

		assert.Error(t, wrapper.Init(nil), "the core is still asked")
		letPass(time.Hour)

		assert.Empty(t, polls.times)
		assert.Empty(t, out.String())
	})
}

func TestCloseWaitsForAPollUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		coreClosed := make(chan struct{})
		answered := false
		wrapper, _ := watchedWrapper(&statusCore{
			testCore: failingCore(),
			available: func() bool {
				<-coreClosed
				time.Sleep(time.Minute)
				answered = true
				return false
			},
			close: func() error { close(coreClosed); return nil },
		})
		assert.Error(t, wrapper.Init(nil))
		letPass(750 * time.Millisecond)

		var closers sync.WaitGroup
		for range 2 {
			closers.Go(func() {
				assert.NoError(t, wrapper.Close())
				assert.True(t, answered)
			})
		}
		closers.Wait()
	})
}

func TestCloseOfACoreThatCannotBeClosed(t *testing.T) {
	t.Parallel()
	wrapper := NewNonAtomicFeatureStoreWrapper(&testCore{})

	assert.NoError(t, wrapper.Close())
	assert.NoError(t, wrapper.Close())
}

// polls answers IsStoreAvailable and keeps the time of each question since its making.
type polls struct {
	start   time.Time
	answers []bool
	times   []time.Duration
}

func newPolls(answers ...bool) *polls { return &polls{start: time.Now(), answers: answers} }

func (p *polls) next() bool {
	p.times = append(p.times, time.Since(p.start))
	return p.answers[len(p.times)-1]
}

// letPass returns when every goroutine has done what it had to do by then.
func letPass(duration time.Duration) {
	time.Sleep(duration)
	synctest.Wait()
}

func watchedWrapper(core NonAtomicFeatureStoreCore) (*FeatureStoreWrapper, *logOutput) {
	out := &logOutput{}
	config := ld.DefaultConfig
	config.Loggers.SetBaseLogger(log.New(out, "", 0))
	return NewNonAtomicFeatureStoreWrapperWithConfig(core, config), out
}
