package faults_test

import (
	"sync"
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
	evaluations() []func() answer
	// recover does what an SDK does after an outage.
	recover()
	// problem tells what is not as LaunchDarkly has it, or nothing.
	problem() string
}

// Every fault, in every mode of caching: evaluations get what the mode promises,
// no acknowledged update is lost, and when the fault is gone everything becomes
// right.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range faults {
		forEachMode(t, fault, func(f *fixture, mode mode) {
			app := newDirectApp(f, mode, fault)
			measured := goThrough(f, app, mode, fault)
			requireKept(f.t, app.updates, fault)
			directResults.add(fault, mode, measured, app.updates.lost)
		})
	}
}

// The same with SDKs, for faults that have them reconnect.
func TestFaultsUnderSDKs(t *testing.T) {
	t.Parallel()
	for _, fault := range faults {
		if !fault.underSDKs {
			continue
		}
		forEachMode(t, fault, func(f *fixture, mode mode) {
			app := newSDKApp(f, mode)
			measured := goThrough(f, app, mode, fault)
			updates := app.store.counted()
			requireKept(f.t, updates, fault)
			sdkResults.add(fault, mode, measured, updates.lost)
		})
	}
}

func forEachMode(t *testing.T, fault fault, test func(*fixture, mode)) {
	for _, mode := range modes {
		t.Run(fault.name+"/"+mode.name, func(t *testing.T) {
			t.Parallel()
			test(newFixture(t, mode, fault), mode)
		})
	}
}

func requireKept(t *testing.T, updates updateCount, fault fault) {
	require.Zero(t, updates.lost, "acknowledged updates were lost")
	if fault.effect == down {
		require.Zero(t, updates.acknowledged, "updates were acknowledged during the outage")
	}
}

// goThrough lets an application live through a fault.
func goThrough(f *fixture, app application, mode mode, fault fault) measurement {
	fault.begin(f)
	app.replaceAll()
	app.update()
	time.Sleep(ttl) // what is cached is stale now
	served := evaluate(app, fault)
	for _, a := range served.answers() {
		assert.Contains(f.t, mode.permits(fault.effect), a, "evaluations got %s", served)
	}

	f.mend(fault)
	mended := time.Now()
	app.recover()
	awaitNoProblem(f.t, app.problem)
	return measurement{served.String(), time.Since(mended)}
}

// evaluate evaluates in all ways at the same time, some times over.
func evaluate(app application, fault fault) *tally {
	rounds := 3
	if fault.effect == flaky {
		rounds = 50
	}
	var served tally
	for range rounds {
		time.Sleep(ttl / 4)
		var evaluating sync.WaitGroup
		for _, evaluate := range app.evaluations() {
			evaluating.Go(func() { served.add(evaluate()) })
		}
		evaluating.Wait()
	}
	return &served
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
