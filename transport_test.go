package lddynamodb

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go/service/dynamodb"
)

// A transport records the requests to DynamoDB that pass through it, and lets a
// test hold them back or answer in DynamoDB's place.
type transport struct {
	mu        sync.Mutex
	requests  []*sentRequest
	intercept interceptor
}

// An interceptor answers a request. It may have it sent, before or after
// whatever else it does.
type interceptor func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error)

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
	intercept := t.intercept
	t.mu.Unlock()

	send := func() (*http.Response, error) { return http.DefaultTransport.RoundTrip(r) }
	if intercept == nil {
		return send()
	}
	return intercept(sent, send)
}

// setInterceptor puts an interceptor in the place of the one before it. nil
// lets everything pass.
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
		if len(actions) == 0 || slices.Contains(actions, r.action) {
			found = append(found, r)
		}
	}
	return found
}

// writes returns the requests so far that write.
func (t *transport) writes() []*sentRequest { return t.recorded("PutItem", "BatchWriteItem") }

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

// answer makes a response without a checksum.
func answer(r *sentRequest, status int, body string) *http.Response {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body:          io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)),
		Request:       r.http,
	}
}

// answerError makes an error response as DynamoDB does.
func answerError(r *sentRequest, status int, code, message string) *http.Response {
	body, err := json.Marshal(map[string]string{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": message})
	if err != nil {
		panic(err)
	}
	return answer(r, status, string(body))
}

// answerThrottled makes the response to a request that was throttled as a whole.
func answerThrottled(r *sentRequest) *http.Response {
	return answerError(r, http.StatusBadRequest, dynamodb.ErrCodeProvisionedThroughputExceededException, "slow down")
}
