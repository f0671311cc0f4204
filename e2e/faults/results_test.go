package faults_test

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// An answer is what an evaluation got from its store.
type answer int

const (
	newest    answer = iota // what LaunchDarkly sent last
	lastKnown               // an older version
	absent                  // there is no such flag
	failed                  // an error
)

// A tally counts answers.
type tally struct {
	mu     sync.Mutex
	counts [failed + 1]int
}

func (t *tally) add(a answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[a]++
}

// answers returns those that there were.
func (t *tally) answers() (found []answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for a, count := range t.counts {
		if count > 0 {
			found = append(found, answer(a))
		}
	}
	return found
}

// String puts the tally in words.
func (t *tally) String() string {
	var values []string
	for _, a := range t.answers() {
		if a != failed {
			values = append(values, []string{"newest", "last known", "absent"}[a])
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	total := 0
	for _, count := range t.counts {
		total += count
	}
	text := strings.Join(values, " or ")
	switch failures := t.counts[failed]; failures {
	case 0:
		return text
	case total:
		return "errors"
	default:
		return fmt.Sprintf("%s, %d %% errors", text, 100*failures/total)
	}
}

// A measurement is how an application lived through a fault.
type measurement struct {
	served string
	right  time.Duration // until everything was right again
}

func (m measurement) String() string {
	if m.served == "" {
		return ""
	}
	return fmt.Sprintf("%s; %.1f s", m.served, m.right.Seconds())
}

// A resultTable has the measurements of faults in modes.
type resultTable struct {
	mu    sync.Mutex
	cells map[string]map[string]measurement // by the names of fault and mode
	lost  map[string]int                    // acknowledged updates, by the fault's name
}

var directResults, sdkResults resultTable

func (r *resultTable) add(fault fault, mode mode, m measurement, lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cells == nil {
		r.cells = make(map[string]map[string]measurement)
		r.lost = make(map[string]int)
	}
	if r.cells[fault.name] == nil {
		r.cells[fault.name] = make(map[string]measurement)
	}
	r.cells[fault.name][mode.name] = m
	r.lost[fault.name] += lost
}

// markdown returns the table with a row for each fault that was measured.
func (r *resultTable) markdown() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var text strings.Builder
	text.WriteString("| Fault |")
	for _, mode := range modes {
		fmt.Fprintf(&text, " %s |", mode.name)
	}
	text.WriteString(" Lost updates |\n|---|" + strings.Repeat("---|", len(modes)+1) + "\n")
	for _, fault := range faults {
		cells := r.cells[fault.name]
		if len(cells) == 0 {
			continue
		}
		fmt.Fprintf(&text, "| %s |", fault.name)
		for _, mode := range modes {
			fmt.Fprintf(&text, " %s |", cells[mode.name])
		}
		fmt.Fprintf(&text, " %d |\n", r.lost[fault.name])
	}
	return text.String()
}

func resultsPage() string {
	return `# Faults survived

Made by the tests in this folder, against DynamoDB Local. Each cell has what
evaluations got during the fault, after the TTL had run out, and how long it
took from the end of the fault until all stores and the table were right again.
That includes the half second in which the SDK looks whether an outage is over.
One store belongs to a process that is connected to LaunchDarkly. Another is in
daemon mode, except with TTL < 0, where it would never see an update.

- newest: what LaunchDarkly had sent last, although the table may not have it
- last known: an older version, which the table had
- errors: the SDK then answers with the application's default value

The TTL is ` + ttl.String() + `. Of each fault, the updates that the store acknowledged during
it were looked for in the table; the last column counts those that were missing.

## The store, used as the SDK does it

` + directResults.markdown() + `
## With whole SDKs

` + sdkResults.markdown()
}
