package lddynamodb

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inFakeTimeWithTable is inFakeTime with a table that keeps what is written to it.
// No time passes while DynamoDB Local works.
func inFakeTimeWithTable(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	table := newFixture(t).table
	gate := startGateway(t)
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(time.Second) // see inFakeTime
		f := &fixture{tb: t, table: table, transport: &transport{table: gate.send}, log: &logLines{}}
		f.client = f.newClient(&transport{table: gate.send})
		test(t, f)
	})
}

// runInFakeTime runs a subtest inFakeTime, beside others.
func runInFakeTime(t *testing.T, name string, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { t.Parallel(); inFakeTime(t, test) })
}

// runWithTable runs a subtest inFakeTimeWithTable, beside others.
func runWithTable(t *testing.T, name string, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { t.Parallel(); inFakeTimeWithTable(t, test) })
}

// runOnTable runs a subtest on a table of its own, in real time, beside others.
func runOnTable(t *testing.T, name string, test func(t *testing.T, f *fixture)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { t.Parallel(); test(t, newFixture(t)) })
}

// A gateway makes requests outside of fake time, where connections live.
type gateway chan gatewayRequest

type gatewayRequest struct {
	*http.Request
	response chan<- gatewayResponse
}

type gatewayResponse struct {
	*http.Response
	body []byte
	err  error
}

func startGateway(t *testing.T) gateway {
	g := make(gateway)
	t.Cleanup(func() { close(g) })
	for range 8 {
		go g.serve()
	}
	return g
}

func (g gateway) serve() {
	for r := range g {
		var answer gatewayResponse
		//nolint:bodyclose // it is closed below
		answer.Response, answer.err = http.DefaultTransport.RoundTrip(r.Request)
		if answer.err == nil {
			answer.body, answer.err = io.ReadAll(answer.Body)
			_ = answer.Body.Close()
		}
		r.response <- answer
	}
}

// gatewayAnswers are made outside of fake time: waiting for such a channel is no
// waiting in which time passes.
var gatewayAnswers = func() chan chan gatewayResponse {
	answers := make(chan chan gatewayResponse, 1000)
	for range cap(answers) {
		answers <- make(chan gatewayResponse, 1)
	}
	return answers
}()

func (g gateway) send(r *sentRequest) (*http.Response, error) {
	if err := r.http.Context().Err(); err != nil {
		return nil, err
	}
	outside := r.http.Clone(context.Background())
	outside.Body = io.NopCloser(bytes.NewReader(r.body))
	response := <-gatewayAnswers
	defer func() { gatewayAnswers <- response }()
	g <- gatewayRequest{outside, response}
	answer := <-response
	if answer.err != nil {
		return nil, answer.err
	}
	answer.Response.Body = io.NopCloser(bytes.NewReader(answer.body))
	answer.Response.Request = r.http
	return answer.Response, nil
}

// storeGoroutines returns the stacks of the goroutines in a test's fake time that
// run this package's code, without the caller's.
func storeGoroutines() []string {
	synctest.Wait()
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	all := strings.Split(string(stacks), "\n\n")
	bubble := bubbleOf.FindString(all[0])
	if bubble == "" {
		panic(fmt.Sprintf("no fake time in %q", all[0]))
	}
	var found []string
	for _, stack := range all[1:] {
		header, _, _ := strings.Cut(stack, "\n")
		if bubbleOf.FindString(header) == bubble && strings.Contains(stack, "lddynamodb.(") {
			found = append(found, stack)
		}
	}
	return found
}

var bubbleOf = regexp.MustCompile(`synctest bubble \d+\b`)

// elapsed is how long a call takes.
func elapsed(call func()) time.Duration {
	began := time.Now()
	call()
	return time.Since(began)
}

// timeStep is how exactly timeUntil measures.
const timeStep = 10 * time.Millisecond

// timeUntil lets time pass until something is so.
func timeUntil(t *testing.T, what string, isSo func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !isSo() {
		if time.Since(began) > time.Hour {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(timeStep)
	}
	return time.Since(began)
}
