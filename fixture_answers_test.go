package lddynamodb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A reply answers a request in DynamoDB's place.
type reply = func(*sentRequest) (*http.Response, error)

// failing makes an interceptor that gives the requests of some actions a reply, or all requests where no action is
// given. It sends the others.
func failing(fail reply, actions ...string) interceptor { return failingWith("", fail, actions...) }

// failingWith is failing for the requests with a text in them.
func failingWith(text string, fail reply, actions ...string) interceptor {
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		if r.isOf(actions) && strings.Contains(string(r.body), text) {
			return fail(r)
		}
		return send()
	}
}

// denying is failing in a way that the AWS SDK does not retry.
func denying(actions ...string) interceptor {
	return failing(refusals["access denied"].answer, actions...)
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

// requestID is the ID in the errors that DynamoDB answers with.
const requestID = "REQUEST0ID"

// answerError makes an error response as DynamoDB does.
func answerError(r *sentRequest, status int, code, message string) *http.Response {
	body, err := json.Marshal(map[string]string{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": message})
	if err != nil {
		panic(err)
	}
	response := answer(r, status, string(body))
	response.Header.Set("X-Amzn-Requestid", requestID)
	return response
}

// answerEmpty makes the response of an empty table, to which nothing is written.
func answerEmpty(r *sentRequest) *http.Response {
	return answer(r, http.StatusOK, map[string]string{
		"GetItem":        `{}`,
		"Query":          `{"Items":[],"Count":0,"ScannedCount":0}`,
		"PutItem":        `{}`,
		"BatchWriteItem": `{"UnprocessedItems":{}}`,
	}[r.action])
}

func emptyTable(r *sentRequest) (*http.Response, error) { return answerEmpty(r), nil }

// holding answers as a table that holds these flags does. Writes succeed, and change nothing.
func holding(t *testing.T, flags ...*ld.FeatureFlag) interceptor {
	type attributes = map[string]map[string]string
	rows := []attributes{}
	for _, f := range flags {
		r, err := encodeRow("features", f)
		require.NoError(t, err)
		rows = append(rows, attributes{
			"namespace": {"S": r.namespace}, "key": {"S": r.key}, "version": {"N": r.version}, "item": {"S": r.item},
		})
	}
	body := func(name string, value any) string {
		encoded, err := json.Marshal(map[string]any{name: value})
		require.NoError(t, err)
		return string(encoded)
	}
	return func(r *sentRequest, _ func() (*http.Response, error)) (*http.Response, error) {
		switch {
		case r.action == "Query" && strings.Contains(string(r.body), `"features"`):
			return answer(r, http.StatusOK, body("Items", rows)), nil
		case r.action == "GetItem":
			for i, f := range flags {
				if strings.Contains(string(r.body), `"`+f.Key+`"`) {
					return answer(r, http.StatusOK, body("Item", rows[i])), nil
				}
			}
		}
		return answerEmpty(r), nil
	}
}

// withBody is a successful response of any content.
func withBody(body string) reply {
	return func(r *sentRequest) (*http.Response, error) { return answer(r, http.StatusOK, body), nil }
}

// blackHole is a network that swallows packets.
func blackHole(r *sentRequest) (*http.Response, error) {
	<-r.http.Context().Done()
	return nil, r.http.Context().Err()
}

// noConnection is a machine on which nothing listens.
func noConnection(*sentRequest) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// brokenConnection is a network that breaks down in the middle of a request.
func brokenConnection(*sentRequest) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }

func internalError(r *sentRequest) (*http.Response, error) {
	return answerError(r, http.StatusInternalServerError, dynamodb.ErrCodeInternalServerError, "try again"), nil
}

// damaged is a response that has the checksum of another one.
func damaged(r *sentRequest) (*http.Response, error) {
	response := answerEmpty(r)
	response.Header.Set(checksumHeader, "1")
	return response, nil
}

// throttled answers a request that was throttled as a whole.
func throttled(r *sentRequest) (*http.Response, error) { return refusals["throttling"].answer(r) }

// unprocessed answers a batch of which nothing was stored.
func unprocessed(r *sentRequest) (*http.Response, error) { return sendPart(r, 0, nil) }

// sendPart has DynamoDB process the first requests of a batch only. The others come back as unprocessed, as they do
// when a table runs out of capacity.
func sendPart(r *sentRequest, n int, send func() (*http.Response, error)) (*http.Response, error) {
	var input struct {
		RequestItems map[string][]json.RawMessage
	}
	if err := json.Unmarshal(r.body, &input); err != nil {
		return nil, err
	}
	unprocessed := make(map[string][]json.RawMessage)
	for table, requests := range input.RequestItems {
		input.RequestItems[table], unprocessed[table] = requests[:n], requests[n:]
	}
	if n > 0 {
		body, err := json.Marshal(input)
		if err != nil {
			return nil, err
		}
		r.http.Body, r.http.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		response, err := send()
		if err != nil || response.StatusCode != http.StatusOK {
			return response, err
		}
		_ = response.Body.Close()
	}
	body, err := json.Marshal(map[string]interface{}{"UnprocessedItems": unprocessed})
	if err != nil {
		return nil, err
	}
	return answer(r, http.StatusOK, string(body)), nil
}

// A refusal is an error that DynamoDB answers with, and what the store is to tell of it beside.
type refusal struct {
	code, message string
	remedy        string
}

var refusals = map[string]refusal{
	"access denied": {"AccessDeniedException",
		"User: arn:aws:iam::123456789012:user/flags is not authorized to perform: dynamodb:ACTION on resource: " +
			"arn:aws:dynamodb:us-east-1:123456789012:table/no-table because no identity-based policy allows the dynamodb:ACTION action",
		"add it to their IAM policy"},
	"expired credentials": {"ExpiredTokenException", "The security token included in the request is expired",
		"renew them if they have expired"},
	"unknown credentials": {"UnrecognizedClientException", "The security token included in the request is invalid.",
		"AWS does not accept the credentials"},
	"invalid signature": {"InvalidSignatureException",
		"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key.\n\n" +
			"The Canonical String for this request should have been\n'POST\n/\n\nx-amz-security-token:session-token'",
		"AWS does not accept the credentials"},
	"missing table": {"ResourceNotFoundException", "Requested resource not found", "there is no such table"},
	"throttling": {"ProvisionedThroughputExceededException", "The level of configured provisioned throughput was exceeded.",
		"give the table more capacity"},
	"account throttling": {"ThrottlingException", "Rate of requests exceeds the allowed throughput.", "give the table more capacity"},
}

func (refused refusal) answer(r *sentRequest) (*http.Response, error) {
	message := strings.ReplaceAll(refused.message, "ACTION", r.action)
	return answerError(r, http.StatusBadRequest, refused.code, message), nil
}

const checksumHeader = "X-Amz-Crc32"

// corruptions has what may happen to the body of a successful response.
var corruptions = map[string]func([]byte) io.Reader{
	"empty":   func([]byte) io.Reader { return bytes.NewReader(nil) },
	"cut off": func(body []byte) io.Reader { return bytes.NewReader(body[:len(body)/2]) },
	"cut off, with less than the declared length": func(body []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(body[:len(body)/2]), iotest.ErrReader(io.ErrUnexpectedEOF))
	},
	"blank":   func([]byte) io.Reader { return strings.NewReader(" \n") },
	"HTML":    func([]byte) io.Reader { return strings.NewReader("<html><body>Log in to this network</body></html>") },
	"twice":   func(body []byte) io.Reader { return strings.NewReader(string(body) + string(body)) },
	"garbled": func(body []byte) io.Reader { return bytes.NewReader(bytes.ReplaceAll(body, []byte(`{`), []byte(`[`))) },
}

// corrupting makes an interceptor that has the requests of an action executed and corrupts some of the responses.
func corrupting(action string, checksum bool, corrupt func([]byte) io.Reader, responses int64) interceptor {
	var n atomic.Int64
	return func(r *sentRequest, send func() (*http.Response, error)) (*http.Response, error) {
		response, err := send()
		if err != nil || r.action != action || n.Add(1) > responses {
			return response, err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		_ = response.Body.Close()
		if !checksum {
			response.Header.Del(checksumHeader)
		} else if response.Header.Get(checksumHeader) == "" {
			return nil, fmt.Errorf("no checksum with the response to %s", action)
		}
		response.Body = io.NopCloser(corrupt(body))
		return response, nil
	}
}
