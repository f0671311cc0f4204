package faults_test

import (
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/tcpproxy"
)

// A fault is something that goes wrong between stores and DynamoDB, or there.
type fault struct {
	name   string
	effect effect
	says   string // in the errors that it causes; empty where they vary
	begin  func(*fixture)
	mend   func(*fixture) // nil: the network becomes as it should be

	timeout   time.Duration // RequestTimeout; 0: the default
	ownServer bool          // that can be killed
	underSDKs bool          // to be tested with SDK clients, too
}

// ownServerModes are fewer, since it takes long to start so many of them.
var ownServerModes = []mode{uncached, refresh, forever}

// while is how long evaluations are watched during the fault.
func (f fault) while() time.Duration {
	if f.effect == slow || f.effect == flaky {
		return 2 * time.Second
	}
	return while
}

// faults in the order of the table of results.
var faults = []fault{
	{name: "Connections refused", says: "connection refused", begin: refuse, underSDKs: true},
	{name: "Black hole", says: "no answer in time", begin: behave(tcpproxy.Conduct{Swallow: true}), underSDKs: true},
	{name: "Responses 1 s late", effect: slow, begin: behave(tcpproxy.Conduct{Delay: time.Second})},
	{name: "Responses 2 s late, 1 s timeout", says: "no answer in time", begin: behave(tcpproxy.Conduct{Delay: 2 * time.Second}), timeout: time.Second},
	{name: "Connections reset amid a response", begin: behave(tcpproxy.Conduct{Reset: true})},

	{name: "Responses cut in half", begin: intercept(damage(cutInHalf, true))},
	{name: "Responses cut in half, no checksums", says: "SerializationError", begin: intercept(damage(cutInHalf, false))},
	{name: "Responses empty, no checksums", says: "SerializationError", begin: intercept(damage(cutAll, false))},
	{name: "Responses with wrong numbers", says: "CRC32", begin: intercept(damage(changeDigits, true))},
	{name: "Responses half zeros, no checksums", says: "SerializationError", begin: intercept(damage(overwriteEnd, false))},

	answers(http.StatusInternalServerError, dynamodb.ErrCodeInternalServerError),
	answers(http.StatusServiceUnavailable, "ServiceUnavailable"),
	pages(http.StatusInternalServerError),
	pages(http.StatusNotImplemented),
	pages(http.StatusBadGateway),
	pages(http.StatusServiceUnavailable),
	pages(http.StatusGatewayTimeout),

	answers(http.StatusBadRequest, dynamodb.ErrCodeProvisionedThroughputExceededException),
	answers(http.StatusBadRequest, "ThrottlingException"),
	answers(http.StatusBadRequest, dynamodb.ErrCodeRequestLimitExceeded),
	{name: "All of every batch unprocessed", effect: noBatches, begin: intercept(answerUnprocessed)},

	{name: "Half of all requests fail", effect: flaky, begin: intercept(answerHalf), underSDKs: true},
	{name: "Credentials expire", says: "expired", begin: expireCredentials, mend: renewCredentials, underSDKs: true},
	{name: "DynamoDB killed amid an Init, back empty", begin: killAmidInit, mend: startEmpty, ownServer: true, underSDKs: true},
}

func answers(status int, code string) fault {
	return fault{name: code, says: code, begin: intercept(answerError(status, code))}
}

func pages(status int) fault {
	text := http.StatusText(status)
	return fault{name: "HTTP " + text + " from a gateway", begin: intercept(answerPage(status))}
}

func refuse(f *fixture) { f.network.proxy.Refuse() }

func behave(c tcpproxy.Conduct) func(*fixture) {
	return func(f *fixture) { f.network.proxy.Behave(c) }
}

func intercept(i interceptor) func(*fixture) {
	return func(f *fixture) { f.network.setInterceptor(i) }
}

func expireCredentials(f *fixture) { f.network.setInterceptor(answerExpired(f.network.wallet)) }

func renewCredentials(f *fixture) { f.network.wallet.renew() }

// killAmidInit kills DynamoDB when an Init has written one batch and sends the
// next.
func killAmidInit(f *fixture) {
	first := make(chan struct{})
	var begin, kill sync.Once
	f.network.setInterceptor(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
		if actionOf(r) != "BatchWriteItem" {
			return send()
		}
		isFirst := false
		begin.Do(func() { isFirst = true })
		if isFirst {
			defer close(first)
			return send()
		}
		<-first
		kill.Do(f.server.Close)
		return send()
	})
}

// startEmpty starts DynamoDB anew, and makes the table that is gone.
func startEmpty(f *fixture) {
	f.network.setInterceptor(nil)
	f.startServer(f.server.Port())
	f.createTable()
}

func (f *fixture) mend(fault fault) {
	if fault.mend != nil {
		fault.mend(f)
		return
	}
	f.network.setInterceptor(nil)
	require.NoError(f.t, f.network.proxy.Mend())
}
