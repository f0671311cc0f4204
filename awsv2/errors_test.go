package awsv2_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/awsv2"
)

// described is what a store can see of an error of the AWS SDK v1.
func described(t *testing.T, err error) map[string]any {
	t.Helper()
	var failure awserr.Error
	require.ErrorAs(t, err, &failure, "%T", err)
	seen := map[string]any{"type": fmt.Sprintf("%T", failure), "code": failure.Code(), "text": failure.Error(),
		"message": failure.Message(), "cause": failure.OrigErr()}
	var response awserr.RequestFailure
	if errors.As(err, &response) {
		seen["status"], seen["request"] = response.StatusCode(), response.RequestID()
	}
	var conditional *v1.ConditionalCheckFailedException
	if errors.As(err, &conditional) {
		seen["item"] = conditional.Item
	}
	return seen
}

const service = "com.amazonaws.dynamodb.v20120810#"

// errorAnswers are as DynamoDB, or what stands before it, gives them.
var errorAnswers = map[string]http.HandlerFunc{
	"missing table":                   answerError(400, "ResourceNotFoundException", "Requested resource not found"),
	"denied":                          answerError(400, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/u is not authorized to perform: dynamodb:GetItem on resource: r"),
	"denied, in AWS's other spelling": answer(400, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"User is not authorized"}`),
	"throttled":                       answerError(400, "ProvisionedThroughputExceededException", "The level of configured provisioned throughput was exceeded."),
	"account throttled": answer(400, `{"__type":"com.amazon.coral.availability#ThrottlingException","message":"Rate of requests exceeds the allowed throughput.",`+
		`"throttlingReasons":[{"reason":"TableWriteAccountLimitExceeded","resource":"arn:aws:dynamodb:us-east-1:123456789012:table/t"}]}`),
	"request limit": answerError(400, "RequestLimitExceeded", "Throughput exceeds the current throughput limit for your account."),
	"invalid":       answer(400, `{"__type":"com.amazon.coral.validate#ValidationException","message":"One or more parameter values were invalid"}`),
	"condition":     answerError(400, "ConditionalCheckFailedException", "The conditional request failed"),
	"condition with the item": answer(400, `{"__type":"`+service+`ConditionalCheckFailedException","message":"The conditional request failed",`+
		`"Item":{"version":{"N":"2"}}}`),
	"write conflict":           answerError(400, "ReplicatedWriteConflictException", "Attempted conflicting writes in another region."),
	"transaction":              answerError(400, "TransactionConflictException", "Transaction is ongoing for the item"),
	"item collection":          answerError(400, "ItemCollectionSizeLimitExceededException", "Collection size exceeded."),
	"expired":                  answer(400, `{"__type":"com.amazon.coral.service#ExpiredTokenException","message":"The security token included in the request is expired"}`),
	"unknown key":              answer(400, `{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}`),
	"wrong signature":          answer(400, `{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"The request signature we calculated does not match."}`),
	"incomplete signature":     answer(400, `{"__type":"com.amazon.coral.service#IncompleteSignatureException","message":"no"}`),
	"no signature":             answer(400, `{"__type":"com.amazon.coral.service#MissingAuthenticationTokenException","message":"Request is missing Authentication Token"}`),
	"internal":                 answerError(500, "InternalServerError", "Internal server error"),
	"unavailable":              answerError(503, "ServiceUnavailable", "Service is unavailable"),
	"code without a namespace": answer(400, `{"__type":"ThrottlingException","message":"slow down"}`),
	"code with a URL":          answer(400, `{"__type":"ThrottlingException:http://internal.amazon.com/coral/","message":"slow down"}`),
	"no code":                  answer(400, `{"message":"what?"}`),
	"no message":               answer(400, `{"__type":"ValidationException"}`),
	"empty":                    answer(500, ``),
	"JSON text":                answer(500, `"no"`),
	"HTML 403":                 answer(403, "<html><body>Forbidden</body></html>"),
	"HTML 500":                 answer(500, "<html><body>Internal</body></html>"),
	"HTML 501":                 answer(501, "<html><body>Not implemented</body></html>"),
	"HTML 502":                 answer(502, "<html><body>Bad gateway</body></html>"),
	"HTML 503":                 answer(503, "<html><body>Unavailable</body></html>"),
	"HTML 504":                 answer(504, "<html><body>Timeout</body></html>"),
	"too many requests":        answer(429, "<html><body>Too many</body></html>"),
	"not modified":             answer(304, ""),
}

func TestErrorsAreThoseOfV1(t *testing.T) {
	t.Parallel()
	for name, handler := range errorAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, attempts := range []int{1, 3} {
				both := clients(t, serve(t, handler).URL, attempts)
				for action, call := range calls {
					_, want := call(t.Context(), both["v1"])
					_, err := call(t.Context(), both["v2"])
					assert.Equal(t, described(t, want), described(t, err), action)
				}
			}
		})
	}
}

// The AWS SDK v1 takes an empty answer for a success, and the store has its own
// check for that. A client that ignores request options has to look by itself.
func TestSuccessesOfTheWrongFormAreErrors(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty": "", "blank": " \n", "HTML": "<html><body>Log in to this network</body></html>", "null": "null", "list": "[]",
		"text": `"ok"`, "number": "1", "cut off": `{"Item":{"key":{"S":"a`, "twice": "{}{}",
		"wrong form": `{"Item":1,"Items":1,"Attributes":1,"UnprocessedItems":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, answer(http.StatusOK, body))
			client := clients(t, s.URL, 3)["v2"]
			for action, call := range calls {
				_, err := call(t.Context(), client)
				var failure awserr.RequestFailure
				require.ErrorAs(t, err, &failure, action)
				assert.Equal(t, "SerializationError", failure.Code())
				assert.Equal(t, http.StatusOK, failure.StatusCode())
				assert.Equal(t, requestID, failure.RequestID())
				assert.NotContains(t, err.Error(), "Log in")
				requests, _ := s.recorded(action)
				assert.Len(t, requests, 3, "it is tried again")
			}
		})
	}
	client := clients(t, serve(t, answer(http.StatusOK, "{}")).URL, 1)["v2"]
	for _, action := range []string{"Query", "BatchWriteItem"} {
		_, err := calls[action](t.Context(), client)
		assert.ErrorContains(t, err, "the response can't be used", "an empty object says nothing")
	}
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	const body = `{"Items":[],"UnprocessedItems":{}}`
	withSum := func(sum string) *server {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amz-Crc32", sum)
			answer(http.StatusOK, body)(w, r)
		})
	}
	right, wrong := withSum(fmt.Sprint(crc32.ChecksumIEEE([]byte(body)))), withSum("1")
	for action, call := range calls {
		_, err := call(t.Context(), clients(t, right.URL, 1)["v2"])
		require.NoError(t, err, action)
		_, want := call(t.Context(), clients(t, wrong.URL, 1)["v1"])
		_, err = call(t.Context(), clients(t, wrong.URL, 2)["v2"])
		assert.Equal(t, described(t, want), described(t, err), action)
		requests, _ := wrong.recorded(action)
		assert.Len(t, requests, 1+2, "it is tried again")
		_, err = call(t.Context(), awsv2.New(newV2(t, wrong.URL, 1, func(o *dynamodb.Options) {
			o.DisableValidateResponseChecksum = true
		})))
		require.NoError(t, err, action)
	}
}

// What an attempt has decoded before it failed does not get into the next one's output.
func TestAttemptsDecodeIntoNewOutputs(t *testing.T) {
	t.Parallel()
	var attempts atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body := `{"Count":5,"ScannedCount":5,"Items":1}`
		if attempts.Add(1) == 2 {
			body = `{"Count":0,"Items":[]}`
		}
		answer(http.StatusOK, body)(w, r)
	})
	output, err := calls["Query"](t.Context(), clients(t, s.URL, 2)["v2"])
	require.NoError(t, err)
	assert.Equal(t, &v1.QueryOutput{Count: aws.Int64(0), Items: []map[string]*v1.AttributeValue{}}, output)
}

// The checksum is that of the packed body, which the AWS SDK v2 has unpacked before.
func TestPackedResponses(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write([]byte(`{"Item":{"key":{"S":"a"}}}`))
	require.NoError(t, writer.Close())
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "gzip", r.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("X-Amz-Crc32", fmt.Sprint(crc32.ChecksumIEEE(packed.Bytes())))
		answer(http.StatusOK, packed.String())(w, r)
	})
	client := awsv2.New(newV2(t, s.URL, 1, func(o *dynamodb.Options) { o.EnableAcceptEncodingGzip = true }))
	output, err := calls["GetItem"](t.Context(), client)
	require.NoError(t, err)
	assert.Equal(t, "a", *output.(*v1.GetItemOutput).Item["key"].S)
}
