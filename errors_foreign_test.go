package lddynamodb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// foreignAnswers are what proxies, portals and other servers answer.
var foreignAnswers = map[string]struct {
	status int
	reply  reply
}{
	"a portal":             {http.StatusOK, html(http.StatusOK)},
	"a proxy's denial":     {http.StatusForbidden, html(http.StatusForbidden)},
	"no such page":         {http.StatusNotFound, html(http.StatusNotFound)},
	"proxy authentication": {http.StatusProxyAuthRequired, html(http.StatusProxyAuthRequired)},
	"a bad gateway":        {http.StatusBadGateway, html(http.StatusBadGateway)},
	"a broken proxy":       {http.StatusServiceUnavailable, html(http.StatusServiceUnavailable)},
	"nothing, with 503": {http.StatusServiceUnavailable, func(r *sentRequest) (*http.Response, error) {
		return answer(r, http.StatusServiceUnavailable, ""), nil
	}},
	"JSON without a name": {http.StatusForbidden, func(r *sentRequest) (*http.Response, error) {
		return answer(r, http.StatusForbidden, `{"message":"Forbidden"}`), nil
	}},
	"another AWS service": {http.StatusMethodNotAllowed, func(r *sentRequest) (*http.Response, error) {
		response := answer(r, http.StatusMethodNotAllowed, `<?xml version="1.0"?><Error><Code>MethodNotAllowed</Code></Error>`)
		response.Header.Set("X-Amz-Request-Id", requestID)
		return response, nil
	}},
	"another AWS service with JSON": {http.StatusBadRequest, func(r *sentRequest) (*http.Response, error) {
		return answer(r, http.StatusBadRequest, `{"__type":"UnknownOperationException"}`), nil
	}},
}

func html(status int) reply {
	return func(r *sentRequest) (*http.Response, error) {
		return answer(r, status, "<html><body>Hello</body></html>"), nil
	}
}

func TestAnswersOfOthersTellTheStatusAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range foreignAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachTableCall(t, func(t *testing.T, f *fixture, _ string, call func(context.Context, *table) error) {
				f.transport.setInterceptor(failing(c.reply))

				err := call(t.Context(), f.newTable(5*time.Second))

				assert.ErrorContains(t, err, fmt.Sprintf(
					"something other than DynamoDB answered, HTTP %d; check the endpoint and proxies", c.status))
				assert.ErrorContains(t, err, fmt.Sprintf("(status %d", c.status))
				assert.True(t, concernsTable(err))
				assert.Len(t, f.transport.recorded(), 1)
			})
		})
	}
}

// Real servers and proxies, as net/http tells of them.
func TestWrongEndpointsAndProxiesTellTheRemedy(t *testing.T) {
	t.Parallel()
	const others = "something other than DynamoDB answered, "
	plain := httptest.NewServer(http.NotFoundHandler())
	withTLS := httptest.NewUnstartedServer(http.NotFoundHandler())
	withTLS.Config.ErrorLog = nil
	withTLS.StartTLS()
	forbidding := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	t.Cleanup(func() { plain.Close(); withTLS.Close(); forbidding.Close() })
	for name, c := range map[string]struct{ endpoint, proxy, says string }{
		"HTTPS to HTTP":            {strings.Replace(plain.URL, "http:", "https:", 1), "", others + "HTTP without TLS"},
		"HTTP to HTTPS":            {strings.Replace(withTLS.URL, "https:", "http:", 1), "", others + "HTTP 400"},
		"an unknown certificate":   {withTLS.URL, "", "the TLS connection failed"},
		"a web server":             {plain.URL, "", others + "HTTP 404"},
		"a proxy that denies":      {"https://dynamodb.example", forbidding.URL, others + "HTTP 407"},
		"a proxy that isn't there": {"https://dynamodb.example", nowhere, "the proxy can't be reached"},
		"nothing":                  {nowhere, "", "nothing listens at the endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attempts := 0
			transport := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
				if attempts++; c.proxy == "" {
					return nil, nil
				}
				return url.Parse(c.proxy)
			}}
			t.Cleanup(transport.CloseIdleConnections)
			f := &fixture{tb: t, table: "no-table"}
			client := f.newClientOf(f.awsConfig(transport).WithEndpoint(c.endpoint))

			_, err := (&table{client: client, name: f.table, timeout: hangGuard}).get(t.Context(), rowKey{"features", "f"}, true)

			require.ErrorContains(t, err, c.says)
			assert.True(t, concernsTable(err))
			assert.LessOrEqual(t, attempts, maxConnectAttempts)
		})
	}
}

func TestServerFailuresNeedARequestIDToBeDynamoDBs(t *testing.T) {
	t.Parallel()
	failure := awserr.New(dynamodb.ErrCodeInternalServerError, "try again", nil)
	assert.Contains(t, remedy(awserr.NewRequestFailure(failure, 500, requestID)), "DynamoDB failed internally")
	assert.Contains(t, remedy(awserr.NewRequestFailure(failure, 500, "")), "something other than DynamoDB answered, HTTP 500")
}

func TestConcernsTable(t *testing.T) {
	t.Parallel()
	named := func(status int, code string) error {
		return awserr.NewRequestFailure(awserr.New(code, "", nil), status, requestID)
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":                  {nil, false},
		"no answer":                {awserr.New("RequestError", "send request failed", &net.OpError{Op: "read", Err: io.EOF}), true},
		"canceled":                 {awserr.New("RequestCanceled", "request context canceled", context.Canceled), true},
		"any other error":          {errors.New("of a double"), true},
		"no credentials":           {awserr.New("NoCredentialProviders", "", nil), true},
		"refused credentials":      {named(400, "UnrecognizedClientException"), true},
		"a denial of credentials":  {&credentialsError{named(403, "AccessDeniedException")}, true},
		"no table":                 {named(400, dynamodb.ErrCodeResourceNotFoundException), true},
		"5xx":                      {named(500, dynamodb.ErrCodeInternalServerError), true},
		"5xx with another name":    {named(503, "ServiceUnavailableException"), true},
		"no name":                  {named(400, ""), true},
		"throttled":                {named(400, dynamodb.ErrCodeProvisionedThroughputExceededException), false},
		"throttled with 503":       {named(503, "ThrottlingException"), false},
		"throttled, of a double":   {&dynamodb.ProvisionedThroughputExceededException{}, false},
		"denied":                   {named(400, "AccessDeniedException"), false},
		"write conflict":           {named(400, "ReplicatedWriteConflictException"), false},
		"invalid":                  {named(400, "ValidationException"), false},
		"named, without a status":  {awserr.New("ValidationException", "", nil), false},
		"another name":             {named(400, "RequestLimited"), false},
		"timeout":                  {&timeoutError{cause: awserr.New("RequestCanceled", "", context.DeadlineExceeded)}, true},
		"timeout of a throttled":   {&timeoutError{cause: named(400, "ThrottlingException")}, false},
		"of a table":               {&tableError{cause: named(400, "AccessDeniedException")}, false},
		"not tried for the same":   {fmt.Errorf("not tried: %w", &tableError{cause: named(400, "AccessDeniedException")}), false},
		"nothing of a batch taken": {errAllUnprocessed, false},
	} {
		assert.Equal(t, c.want, concernsTable(c.err), name)
	}
}

// An emulator may leave out, or answer null for, what DynamoDB always answers.
func TestBatchesOfWhichNothingIsSaidToBeUnprocessed(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, ` {"UnprocessedItems":null}`, `{"UnprocessedItems":{}}`} {
		inFakeTime(t, func(t *testing.T, f *fixture) {
			f.transport.setInterceptor(failing(withBody(body), batchWriteItem))
			unprocessed, err := f.newTable(time.Second, aws.NewConfig()).batchWrite(t.Context(), "features",
				writeRequests([]row{{rowKey: rowKey{"features", "f"}}}))
			require.NoError(t, err)
			assert.Empty(t, unprocessed)
		})
	}
}
