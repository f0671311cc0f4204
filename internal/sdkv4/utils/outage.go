package utils

import (
	"sync"
	"time"

	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

// outagePollInterval is the real SDK's: stores are tuned and tested for it.
const outagePollInterval = 500 * time.Millisecond

// outageMonitor knows whether the store is available. During an outage it asks the core for the end of it.
type outageMonitor struct {
	core    NonAtomicFeatureStoreCore
	loggers ldlog.Loggers

	mu      sync.Mutex
	outage  bool
	stopped bool
	done    chan struct{} // closed by stop
	polling sync.WaitGroup
}

func newOutageMonitor(core NonAtomicFeatureStoreCore, loggers ldlog.Loggers) *outageMonitor {
	return &outageMonitor{core: core, loggers: loggers, done: make(chan struct{})}
}

// begin marks the store as unavailable.
func (m *outageMonitor) begin() {
	if !m.tryBegin() {
		return
	}
	m.loggers.Warn("The feature store is unavailable; it is asked for its state until it is back")
	go m.pollUntilOver()
}

func (m *outageMonitor) tryBegin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.outage || m.stopped {
		return false
	}
	m.outage = true
	m.polling.Add(1) // under the lock, so that no wait can miss it
	return true
}

func (m *outageMonitor) pollUntilOver() {
	defer m.polling.Done()
	ticker := time.NewTicker(outagePollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-m.done:
			return
		case <-ticker.C:
			if m.coreIsAvailable() {
				m.end()
				return
			}
		}
	}
}

// coreIsAvailable takes a core that can't tell for available, since no better moment to say so would come.
func (m *outageMonitor) coreIsAvailable() bool {
	core, ok := m.core.(FeatureStoreCoreStatus)
	return !ok || core.IsStoreAvailable()
}

func (m *outageMonitor) end() {
	m.mu.Lock()
	m.outage = false
	m.mu.Unlock()
	m.loggers.Warn("The feature store is available again")
}

// stop lets no outage begin and makes the polling end. It returns true the first time.
func (m *outageMonitor) stop() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return false
	}
	m.stopped = true
	close(m.done)
	return true
}

// wait returns when no polling is under way.
func (m *outageMonitor) wait() { m.polling.Wait() }
