// Package clientlog keeps what an SDK client and its store log, and tells from
// that what the client knows.
package clientlog

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A Log is a logger for one client. The zero value is ready for use.
type Log struct {
	mu    sync.Mutex
	lines []string
}

// Println implements the SDK's Logger.
func (l *Log) Println(values ...interface{}) { l.add(fmt.Sprintln(values...)) }

// Printf implements the SDK's Logger.
func (l *Log) Printf(format string, values ...interface{}) { l.add(fmt.Sprintf(format, values...)) }

func (l *Log) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(line))
}

// Lines returns the lines so far that contain a text, in their order. Each begins
// with its level, as in "WARN: ".
func (l *Log) Lines(containing string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := slices.Clone(l.lines)
	return slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, containing) })
}

// TookOutagesIn tells whether a streaming client knows of the end of every outage
// that its store had. The SDK closes the channel from which its stream learns
// that without waiting for what is still on the way there, which is a data race
// and can be a panic. So such a client is better closed after it knows.
func (l *Log) TookOutagesIn() bool {
	began := len(l.Lines("Detected persistent store unavailability"))
	ended := len(l.Lines("Persistent store is available again"))
	known := len(l.Lines("Restarting stream to refresh data after feature store outage"))
	return began == ended && ended == known
}
