package faults_test

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// pace is the pause between two evaluations that an application makes in one
// way. As fast as they can, the tests would measure each other.
const pace = 10 * time.Millisecond

// An answer is what an evaluation got from its store.
type answer int

const (
	newest    answer = iota // what LaunchDarkly sent last
	lastKnown               // an older version
	absent                  // there is no such flag, or another one is missing
	failed                  // an error
)

func (a answer) String() string {
	return []string{"newest", "last known", "absent", "errors"}[a]
}

// An evaluation is a way in which a process evaluates checkout.
type evaluation struct {
	process  process
	evaluate func() answer
}

func (e evaluation) repeat(until time.Time) (t tally) {
	for {
		began := time.Now()
		t.add(e.evaluate(), time.Since(began))
		if time.Now().After(until) {
			return t
		}
		time.Sleep(pace)
	}
}

// A tally counts the answers that a process got, and how long they took.
type tally struct {
	counts  [failed + 1]int
	slowest time.Duration
}

func (t *tally) add(a answer, took time.Duration) {
	t.counts[a]++
	t.slowest = max(t.slowest, took)
}

func (t *tally) merge(other tally) {
	for a, count := range other.counts {
		t.counts[a] += count
	}
	t.slowest = max(t.slowest, other.slowest)
}

func (t *tally) total() (sum int) {
	for _, count := range t.counts {
		sum += count
	}
	return sum
}

// answers returns those that there were.
func (t *tally) answers() (found []answer) {
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
			values = append(values, a.String())
		}
	}
	text := strings.Join(values, " or ")
	switch failures := t.counts[failed]; failures {
	case 0:
		return text
	case t.total():
		return failed.String()
	default:
		return fmt.Sprintf("%s, %d%% errors", text, 100*failures/t.total())
	}
}

// A sample is what evaluations got in a while.
type sample struct {
	tallies map[process]*tally
	// rate is how many evaluations a second there were in each way.
	rate float64
}

func (s sample) total() (sum int) {
	for _, t := range s.tallies {
		sum += t.total()
	}
	return sum
}

func (s sample) slowest() (slowest time.Duration) {
	for _, t := range s.tallies {
		slowest = max(slowest, t.slowest)
	}
	return slowest
}

// String has the connected process first.
func (s sample) String() string {
	var texts []string
	for _, p := range []process{connected, daemonMode} {
		if t := s.tallies[p]; t != nil {
			texts = append(texts, t.String())
		}
	}
	return strings.Join(texts, " / ")
}

// take evaluates in all ways at the same time, again and again for a while, and
// once at least.
func take(ways []evaluation, while time.Duration) sample {
	s := sample{tallies: make(map[process]*tally)}
	start := time.Now()
	var mu sync.Mutex
	var evaluating sync.WaitGroup
	for _, way := range ways {
		evaluating.Go(func() {
			t := way.repeat(start.Add(while))
			mu.Lock()
			defer mu.Unlock()
			if s.tallies[way.process] == nil {
				s.tallies[way.process] = &tally{}
			}
			s.tallies[way.process].merge(t)
		})
	}
	evaluating.Wait()
	s.rate = float64(s.total()) / float64(len(ways)) / time.Since(start).Seconds()
	return s
}
