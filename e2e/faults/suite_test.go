package faults_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An application has its flags in stores on a fixture's table, under its key
// checkout one that changes.
type application interface {
	// replaceAll has LaunchDarkly send everything, in a new version. It and
	// update return when the store has been told of it, with whatever success.
	replaceAll()
	// update has LaunchDarkly change checkout, among others.
	update()
	// evaluations are the ways to evaluate checkout.
	evaluations() []evaluation
	// problem tells what is not as LaunchDarkly has it, or nothing.
	problem() string
	// counted returns the updates so far.
	counted() updateCount
	// settle waits until the application can be closed.
	settle()
}

// A suite is one sort of application, and what was measured with it.
type suite struct {
	name  string
	modes []mode
	start func(*fixture, mode, fault) application
	// faults are those that it is tested with; nil is all of them.
	faults func(fault) bool
	// keepsUpdates is whether updates that the table refuses are acknowledged.
	keepsUpdates bool

	results resultTable
}

var suites = []*suite{
	{
		name: "The store alone, made by the deprecated constructor", modes: allModes,
		start: newDirectApp,
	},
	{
		name: "In a streaming client", modes: allModes,
		start: newStreamingApp, faults: func(f fault) bool { return f.underSDKs }, keepsUpdates: true,
	},
	{
		name: "In a streaming client that is not told the store's status, as with ld-relay 5", modes: someModes,
		start: newRelayedApp, faults: func(f fault) bool { return f.underSDKs && !f.ownServer }, keepsUpdates: true,
	},
	{
		name: "In a polling client that starts during the fault", modes: someModes,
		start: newPollingApp, faults: func(f fault) bool { return f.underSDKs && !f.ownServer },
	},
}

// Every fault, in every sort of application and mode of caching: evaluations get
// what is promised, no acknowledged update is lost, and when the fault is gone
// everything becomes right, without anybody's help.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, fault := range faults {
				if s.faults == nil || s.faults(fault) {
					s.test(t, fault)
				}
			}
		})
	}
}

func (s *suite) test(t *testing.T, fault fault) {
	for _, mode := range s.modes {
		if fault.ownServer && !slices.Contains(ownServerModes, mode) {
			continue
		}
		t.Run(fault.name+"/"+mode.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, mode, fault)
			app := s.start(f, mode, fault)
			measured := goThrough(f, app, mode, fault)
			require.Zero(t, measured.updates.lost, "acknowledged updates were lost")
			if fault.effect == down && !s.keepsUpdates {
				require.Zero(t, measured.updates.acknowledged, "updates were acknowledged during the outage")
			}
			s.results.add(fault, mode, measured)
		})
	}
}

// goThrough lets an application live through a fault.
func goThrough(f *fixture, app application, mode mode, fault fault) measurement {
	awaitNoProblem(f.t, app.problem)
	before := take(app.evaluations(), while)
	known := f.outagesKnown()
	fault.begin(f)
	app.replaceAll()
	app.update()
	if fault.effect == down {
		awaitKnown(f, app, known)
	}
	time.Sleep(ttl) // what is cached is stale now

	requests, began := f.network.requests.Load(), time.Now()
	during := take(app.evaluations(), fault.while())
	requests = f.network.requests.Load() - requests
	for process, served := range during.tallies {
		for _, a := range served.answers() {
			assert.Contains(f.t, mode.permits(process, fault.effect), a, "evaluations got %s", during)
		}
	}
	if fault.effect == down {
		// Only the stores' own trials reach for the table, and the AWS SDK's retries
		// where it is throttled in ways that are not known yet. Evaluations would make
		// hundreds of requests a second.
		assert.Less(f.t, float64(requests), 60*time.Since(began).Seconds(),
			"evaluations during an outage that is known ask for rows")
	}

	f.mend(fault)
	mended := time.Now()
	awaitNoProblem(f.t, app.problem)
	measured := measurement{during, during.rate / before.rate, time.Since(mended), app.counted()}
	app.settle()
	return measured
}

// awaitKnown waits until every store knows that the table can't be used: until
// each has logged more outages than before, and a read of each sort has ended
// since then.
func awaitKnown(f *fixture, app application, before []int) {
	awaitNoProblem(f.t, func() string {
		take(app.evaluations(), 0)
		for i, known := range f.outagesKnown() {
			if i < len(before) && known == before[i] || known == 0 {
				return "not all stores know of the outage"
			}
		}
		return ""
	})
	take(app.evaluations(), 0)
}

func awaitNoProblem(t *testing.T, problem func() string) {
	var found string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		if found = problem(); found == "" {
			return
		}
	}
	require.Fail(t, "Something is still not right", found)
}
