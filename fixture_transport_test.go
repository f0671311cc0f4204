package lddynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
	"github.com/stretchr/testify/require"
)

// A transport records the requests to DynamoDB that pass through it, and lets a test hold them back or answer in
// DynamoDB's place.
type transport struct {
	table     reply        // in the place of DynamoDB Local, where there is none
	closed    atomic.Int64 // how often idle connections were
	mu        sync.Mutex
	requests  []*sentRequest
	holds     []*hold
	intercept interceptor
}

func (t *transport) CloseIdleConnections() { t.closed.Add(1) }

// An interceptor answers a request, or has it sent and may do something before or after.
type interceptor func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error)

// over makes the interceptor send its requests to another one.
func (i interceptor) over(next interceptor) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		return i(r, func() (*http.Response, error) { return next(r, send) })
	}
}

// A sentRequest is one HTTP request, so one attempt of the AWS SDK's.
type sentRequest struct {
	action string // "GetItem"
	body   []byte
	http   *http.Request
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	sent := &sentRequest{action: action, body: body, http: r}

	t.mu.Lock()
	t.requests = append(t.requests, sent)
	held, intercept := t.takeHold(sent), t.intercept
	t.mu.Unlock()

	if held != nil && held.early {
		held.wait(sent)
	}
	response, err := t.answer(sent, intercept)
	if held != nil && !held.early {
		held.wait(sent)
	}
	return response, err
}

func (t *transport) answer(r *sentRequest, intercept interceptor) (*http.Response, error) {
	send := func() (*http.Response, error) {
		if t.table != nil {
			return t.table(r)
		}
		return http.DefaultTransport.RoundTrip(r.http)
	}
	if intercept == nil {
		return send()
	}
	return intercept(r, send)
}

// setInterceptor replaces the interceptor. nil lets everything pass.
func (t *transport) setInterceptor(i interceptor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.intercept = i
}

// reset forgets what was recorded.
func (t *transport) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.requests = nil
}

// recorded returns the requests so far, of all actions or of the given ones.
func (t *transport) recorded(actions ...string) []*sentRequest {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []*sentRequest
	for _, r := range t.requests {
		if r.isOf(actions) {
			found = append(found, r)
		}
	}
	return found
}

// writes returns the requests so far that write.
func (t *transport) writes() []*sentRequest { return t.recorded("PutItem", "BatchWriteItem") }

// actions returns the actions of the requests so far, in alphabetical order.
func (t *transport) actions() []string {
	var actions []string
	for _, r := range t.recorded() {
		actions = append(actions, r.action)
	}
	slices.Sort(actions)
	return slices.Compact(actions)
}

// isOf reports whether a request is of one of these actions. No action stands for all of them.
func (r *sentRequest) isOf(actions []string) bool {
	return len(actions) == 0 || slices.Contains(actions, r.action)
}

// batch returns what a BatchWriteItem request asks for, of its only table.
func (r *sentRequest) batch() (table string, requests []*dynamodb.WriteRequest) {
	var input struct {
		RequestItems map[string][]*dynamodb.WriteRequest
	}
	if err := json.Unmarshal(r.body, &input); err != nil {
		panic(err) // the AWS SDK made it
	}
	for table, requests = range input.RequestItems {
		return table, requests
	}
	return "", nil
}

// writeRequests returns what a request writes, if anything.
func (r *sentRequest) writeRequests() []*dynamodb.WriteRequest {
	switch r.action {
	case "BatchWriteItem":
		_, requests := r.batch()
		return requests
	case "PutItem":
		var put dynamodb.PutRequest
		if err := json.Unmarshal(r.body, &put); err != nil {
			panic(err) // the AWS SDK made it
		}
		return []*dynamodb.WriteRequest{{PutRequest: &put}}
	default:
		return nil
	}
}

// rowNames returns the rows that are written, as "namespace/key".
func rowNames(requests []*dynamodb.WriteRequest) []string {
	var names []string
	for _, request := range requests {
		var key rawItem
		if request.DeleteRequest != nil {
			key = request.DeleteRequest.Key
		} else {
			key = request.PutRequest.Item
		}
		names = append(names, *key[namespaceAttribute].S+"/"+*key[keyAttribute].S)
	}
	return names
}

// A hold is one request that waits, or that is going to.
type hold struct {
	tb       testing.TB
	action   string
	text     string
	early    bool // before the table gets it, not after
	arrived  chan struct{}
	released chan struct{}
}

// holdResponse makes the response to the next request of an action, with a text in it, wait: what it says of the table
// gets old. It does so whatever the interceptor is.
func (f *fixture) holdResponse(action, text string) *hold { return f.hold(action, text, false) }

// holdRequest makes the next request of an action, with a text in it, wait before it reaches the interceptor and the
// table.
func (f *fixture) holdRequest(action, text string) *hold { return f.hold(action, text, true) }

func (f *fixture) hold(action, text string, early bool) *hold {
	h := &hold{f.tb, action, text, early, make(chan struct{}), make(chan struct{})}
	f.transport.mu.Lock()
	defer f.transport.mu.Unlock()
	f.transport.holds = append(f.transport.holds, h)
	return h
}

// takeHold returns the hold that a request is for. The caller has the lock.
func (t *transport) takeHold(r *sentRequest) *hold {
	i := slices.IndexFunc(t.holds, func(h *hold) bool {
		return h.action == r.action && strings.Contains(string(r.body), h.text)
	})
	if i < 0 {
		return nil
	}
	h := t.holds[i]
	t.holds = slices.Delete(t.holds, i, i+1)
	return h
}

func (h *hold) wait(r *sentRequest) {
	close(h.arrived)
	select {
	case <-h.released:
	case <-r.http.Context().Done():
	}
}

// during runs a call and returns when its request is held.
func (h *hold) during(call func() error) *heldCall {
	h.tb.Helper()
	c := &heldCall{h, make(chan error, 1)}
	go func() { c.result <- call() }()
	await(h.tb, "the request of "+h.action, h.arrived)
	return c
}

type heldCall struct {
	*hold
	result chan error
}

// finish lets the request go on, and the call end.
func (c *heldCall) finish() {
	c.tb.Helper()
	close(c.released)
	require.NoError(c.tb, await(c.tb, "the end of the call", c.result))
}

// A clientWithoutOptions is not the AWS SDK's own, and refuses request options as a DAX client does.
type clientWithoutOptions struct{ dynamodbiface.DynamoDBAPI }

func (c clientWithoutOptions) GetItemWithContext(
	ctx context.Context, input *dynamodb.GetItemInput, options ...request.Option,
) (*dynamodb.GetItemOutput, error) {
	if len(options) > 0 {
		return nil, errors.New("custom handlers not supported")
	}
	return c.DynamoDBAPI.GetItemWithContext(ctx, input)
}

// inFakeTimeWithTable is inFakeTime with a table that keeps what is written to it. No time passes while DynamoDB Local
// works.
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

// gatewayAnswers are made outside of fake time: waiting for such a channel is no waiting in which time passes.
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

// storeGoroutines returns the stacks of the goroutines in a test's fake time that run this package's code, without the
// caller's.
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
