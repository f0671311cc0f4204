package faults_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

// A measurement is how an application lived through a fault.
type measurement struct {
	during  sample
	share   float64       // of the evaluations a second that there were before
	right   time.Duration // until everything was right again
	updates updateCount
}

func (m measurement) String() string {
	return fmt.Sprintf("%s; %.1f s", m.during, m.right.Seconds())
}

// A resultTable has the measurements of faults in modes.
type resultTable struct {
	mu    sync.Mutex
	cells map[string]map[string]measurement // by the names of fault and mode
}

func (r *resultTable) add(fault fault, mode mode, m measurement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cells == nil {
		r.cells = make(map[string]map[string]measurement)
	}
	if r.cells[fault.name] == nil {
		r.cells[fault.name] = make(map[string]measurement)
	}
	r.cells[fault.name][mode.name] = m
}

// markdown returns the table with a row for each fault that was measured.
func (s *suite) markdown() string {
	s.results.mu.Lock()
	defer s.results.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, "## %s\n\n| Fault |", s.name)
	for _, mode := range s.modes {
		fmt.Fprintf(&text, " %s |", mode.name)
	}
	text.WriteString(" Slowest | Evaluations/s | Lost updates |\n|---|" + strings.Repeat("---|", len(s.modes)+3) + "\n")
	for _, fault := range faults {
		if cells := s.results.cells[fault.name]; len(cells) > 0 {
			fmt.Fprintf(&text, "| %s |", fault.name)
			for _, mode := range s.modes {
				text.WriteString(" " + cellOf(cells, mode) + " |")
			}
			fmt.Fprintf(&text, " %s | %s | %d |\n", slowestOf(fault, cells), shareOf(cells), lostOf(cells))
		}
	}
	return text.String()
}

func cellOf(cells map[string]measurement, mode mode) string {
	if cell, measured := cells[mode.name]; measured {
		return cell.String()
	}
	return "–"
}

// slowestOf is for faults that the stores take for an outage.
func slowestOf(fault fault, cells map[string]measurement) string {
	if fault.effect != down {
		return "–"
	}
	var slowest time.Duration
	for _, m := range cells {
		slowest = max(slowest, m.during.slowest())
	}
	if slowest < time.Millisecond {
		return "under 1 ms"
	}
	return fmt.Sprintf("%d ms", slowest.Milliseconds())
}

// shareOf is the least of all modes.
func shareOf(cells map[string]measurement) string {
	share := math.Inf(1)
	for _, m := range cells {
		share = min(share, m.share)
	}
	return fmt.Sprintf("%.0f%%", 100*share)
}

func lostOf(cells map[string]measurement) (lost int) {
	for _, m := range cells {
		lost += m.updates.lost
	}
	return lost
}

func resultsPage() string {
	page := `# Faults survived

Made by the tests in this folder, against DynamoDB Local. In each, two processes
evaluate a flag: one that LaunchDarkly sends everything to, and in the middle of
the fault changes, and one in daemon mode, except with TTL < 0, where that would
never see a change. Each cell has what evaluations got in the first process and,
after the slash, in the second, once the TTL had run out. Then comes how long it
took from the end of the fault until both processes and the table had everything
right, with no help from anybody.

- newest: what LaunchDarkly had sent last, although the table may not have it
- last known: an older version, which the table had
- errors: the SDK then answers with the application's default value

The TTL is ` + ttl.String() + `. RequestTimeout, where not said otherwise, and the AWS SDK's
retries are the defaults. The last columns have, over all modes:

- Slowest: the slowest evaluation after the store had logged the outage
- Evaluations/s: how many evaluations a second there were during the fault, as a
  share of those before. An application evaluates, waits ` + pace.String() + ` and evaluates again.
- Lost updates: how many of the updates that the store acknowledged during the
  fault were missing in the table. A store of the deprecated constructor acknowledges
  what the table has, so its updates are looked for at once. In SDK clients the store
  also acknowledges what it writes late, so theirs are looked for in the end.
`
	for _, s := range suites {
		page += "\n" + s.markdown()
	}
	return page
}
