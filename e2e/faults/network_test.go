package faults_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/tcpproxy"
)

// A network is how stores reach DynamoDB Local: over HTTP, with credentials,
// through a proxy. Each of them can have its faults.
type network struct {
	proxy  *tcpproxy.Proxy
	wallet *wallet

	http      *http.Transport
	requests  atomic.Int64
	mu        sync.Mutex
	intercept interceptor
}

// An interceptor answers an HTTP request. It may have it sent, before or after
// whatever else it does.
type interceptor func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error)

func newNetwork(t *testing.T, endpoint string) *network {
	n := &network{
		proxy:  newProxy(t, strings.TrimPrefix(endpoint, "http://")),
		wallet: &wallet{},
		http:   &http.Transport{},
	}
	t.Cleanup(n.http.CloseIdleConnections)
	return n
}

// newProxy starts a proxy for the server at an address, until the test ends.
func newProxy(t *testing.T, target string) *tcpproxy.Proxy {
	proxy, err := tcpproxy.Start(target)
	require.NoError(t, err)
	t.Cleanup(proxy.Close)
	return proxy
}

// awsConfig is for stores that use the network. The AWS SDK retries as often as
// it does by default.
func (n *network) awsConfig() *aws.Config {
	return localtable.Config("http://" + n.proxy.Address()).
		WithCredentials(credentials.NewCredentials(n.wallet)).
		WithHTTPClient(&http.Client{Transport: n})
}

// setInterceptor puts an interceptor in the place of the one before it. nil
// lets everything pass.
func (n *network) setInterceptor(i interceptor) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.intercept = i
}

// RoundTrip makes the network an HTTP transport.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.requests.Add(1)
	n.mu.Lock()
	intercept := n.intercept
	n.mu.Unlock()
	if intercept == nil {
		return n.http.RoundTrip(r)
	}
	return intercept(r, func() (*http.Response, error) { return n.http.RoundTrip(r) })
}

func actionOf(r *http.Request) string {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return action
}

func tokenOf(r *http.Request) string { return r.Header.Get("X-Amz-Security-Token") }

// A wallet provides temporary credentials, always those of the latest renewal.
type wallet struct {
	mu       sync.Mutex
	renewals int
}

func (w *wallet) renew() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.renewals++
}

func (w *wallet) token() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("token-%d", w.renewals)
}

// Retrieve implements credentials.Provider.
func (w *wallet) Retrieve() (credentials.Value, error) {
	return credentials.Value{AccessKeyID: "local", SecretAccessKey: "local", SessionToken: w.token()}, nil
}

// IsExpired implements credentials.Provider. The provider knows no better, so
// it takes an answer of DynamoDB's to have the credentials renewed.
func (w *wallet) IsExpired() bool { return false }
