package node_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
)

// A proxy is on a program's way to DynamoDB. It records requests, and a test
// can hold them up or answer them.
type proxy struct {
	endpoint string // of DynamoDB

	mu        sync.Mutex
	requests  []request
	intercept interceptor
}

// A request is one that a program made to DynamoDB.
type request struct {
	action string // "GetItem"
	body   []byte
	header http.Header
}

// An interceptor returns true when it has answered the request itself.
type interceptor func(w http.ResponseWriter, r request) (answered bool)

// newProxy returns the table as a program is to see it.
func newProxy(t *testing.T, table *localtable.Table, intercept interceptor) (*proxy, *localtable.Table) {
	p := &proxy{endpoint: table.Endpoint, intercept: intercept}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	behind := *table
	behind.Endpoint = server.URL
	return p, &behind
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, incoming *http.Request) {
	body, err := io.ReadAll(incoming.Body)
	if err != nil {
		return // the program has closed the connection
	}
	_, action, _ := strings.Cut(incoming.Header.Get("X-Amz-Target"), ".")
	r := request{action, body, incoming.Header}
	p.mu.Lock()
	p.requests = append(p.requests, r)
	intercept := p.intercept
	p.mu.Unlock()

	if intercept != nil && intercept(w, r) {
		return
	}
	status, response := p.send(r)
	w.WriteHeader(status)
	_, _ = w.Write(response)
}

// send has DynamoDB answer a request.
func (p *proxy) send(r request) (status int, body []byte) {
	outgoing, err := http.NewRequest(http.MethodPost, p.endpoint, bytes.NewReader(r.body))
	if err != nil {
		return http.StatusInternalServerError, nil
	}
	outgoing.Header = r.header
	response, err := http.DefaultClient.Do(outgoing)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	return response.StatusCode, body
}

// setInterceptor takes another interceptor; nil lets everything pass.
func (p *proxy) setInterceptor(i interceptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = i
}

// recorded returns the requests so far of some actions.
func (p *proxy) recorded(actions ...string) []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []request
	for _, r := range p.requests {
		for _, action := range actions {
			if r.action == action {
				found = append(found, r)
			}
		}
	}
	return found
}

// batch is the body of a BatchWriteItem request: puts and deletes by table.
type batch struct {
	RequestItems map[string][]json.RawMessage
}

// saysComplete tells whether the request writes that the data set is complete.
func (r request) saysComplete() bool {
	isWrite := r.action == "PutItem" || r.action == "BatchWriteItem"
	return isWrite && bytes.Contains(r.body, []byte("$inited"))
}

func (r request) batch() batch {
	var b batch
	if err := json.Unmarshal(r.body, &b); err != nil {
		panic(err) // an AWS SDK made it
	}
	return b
}

// rowsWritten tells how many rows the requests so far put or delete.
func (p *proxy) rowsWritten() int {
	n := len(p.recorded("PutItem"))
	for _, r := range p.recorded("BatchWriteItem") {
		for _, requests := range r.batch().RequestItems {
			n += len(requests)
		}
	}
	return n
}
