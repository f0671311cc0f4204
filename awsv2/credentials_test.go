package awsv2_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdkv2 "github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go/aws/awserr"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/awsv2"
)

func withCredentials(provider sdkv2.CredentialsProvider) func(*dynamodb.Options) {
	return func(o *dynamodb.Options) { o.Credentials = provider }
}

// Credentials that have expired are renewed before the next request, if their provider
// knows that they have expired, or if DynamoDB says so.
func TestExpiringCredentialsAreRenewed(t *testing.T) {
	t.Parallel()
	for name, lifetime := range map[string]time.Duration{"the provider knows": -time.Second, "DynamoDB knows": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRenewal(t, lifetime)
		})
	}
}

func testRenewal(t *testing.T, lifetime time.Duration) {
	t.Helper()
	s := serveTable(t)
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Security-Token") == "token-1" {
			errorAnswers["expired"](w, r)
			return
		}
		passOn(w, r)
	})
	var retrievals atomic.Int64
	provider := sdkv2.NewCredentialsCache(sdkv2.CredentialsProviderFunc(func(context.Context) (sdkv2.Credentials, error) {
		n := retrievals.Add(1)
		expires := time.Now().Add(time.Hour)
		if n == 1 {
			expires = time.Now().Add(lifetime)
		}
		return sdkv2.Credentials{AccessKeyID: "id", SecretAccessKey: "secret", SessionToken: fmt.Sprintf("token-%d", n),
			CanExpire: true, Expires: expires}, nil
	}))
	client := awsv2.New(newV2(t, s.URL, 1, withCredentials(provider)))
	put := func() error {
		_, err := client.PutItemWithContext(t.Context(), &v1.PutItemInput{TableName: &s.table, Item: item("a")})
		return err
	}
	assert.Equal(t, "ExpiredTokenException", described(t, put())["code"])
	require.NoError(t, put())
	require.NoError(t, put())
	assert.EqualValues(t, 2, retrievals.Load())
}

func TestCredentialsThatCantBeGot(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	denied := &awshttp.ResponseError{RequestID: "sts-1", ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusForbidden}},
		Err:      &smithy.GenericAPIError{Code: "AccessDenied", Message: "not authorized to perform: sts:AssumeRole"},
	}}
	for name, c := range map[string]struct {
		err  error
		code string
		text string
	}{
		"no provider":   {errors.New("no EC2 IMDS role found"), "NoCredentialProviders", "no EC2 IMDS role found"},
		"STS denies it": {fmt.Errorf("failed to assume role: %w", denied), "AccessDenied", "sts:AssumeRole"},
	} {
		provider := sdkv2.NewCredentialsCache(sdkv2.CredentialsProviderFunc(func(context.Context) (sdkv2.Credentials, error) {
			return sdkv2.Credentials{}, c.err
		}))
		client := awsv2.New(newV2(t, s.URL, 3, withCredentials(provider)))
		for action, call := range calls {
			_, err := call(t.Context(), client)
			assert.Equal(t, c.code, described(t, err)["code"], "%s, %s", name, action)
			assert.ErrorContains(t, err, "get credentials")
			assert.ErrorContains(t, err, c.text)
			var response awserr.RequestFailure
			if assert.Equal(t, name == "STS denies it", errors.As(err, &response)) && response != nil {
				assert.Equal(t, http.StatusForbidden, response.StatusCode())
				assert.Equal(t, "sts-1", response.RequestID())
			}
		}
	}
	assert.Empty(t, s.requests)
}

// A provider may be slow, for example one that asks a service.
func TestContextsEndTheWaitForCredentials(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	provider := sdkv2.NewCredentialsCache(sdkv2.CredentialsProviderFunc(func(context.Context) (sdkv2.Credentials, error) {
		cancel()
		<-t.Context().Done() // when the test has ended
		return sdkv2.Credentials{}, t.Context().Err()
	}))
	_, err := calls["GetItem"](ctx, awsv2.New(newV2(t, "http://127.0.0.1:1", 3, withCredentials(provider))))
	assert.Equal(t, "RequestCanceled", described(t, err)["code"])
}

func TestNoRegion(t *testing.T) {
	t.Parallel()
	client := awsv2.New(dynamodb.New(dynamodb.Options{Credentials: sdkv2.CredentialsProviderFunc(
		func(context.Context) (sdkv2.Credentials, error) {
			return sdkv2.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
		})}))
	for action, call := range calls {
		_, err := call(t.Context(), client)
		assert.Equal(t, "MissingRegion", described(t, err)["code"], action)
	}
}

// Without any provider the AWS SDK v2 does not sign, and DynamoDB says so.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	client := awsv2.New(newV2(t, localEndpoint(t), 1, withCredentials(nil)))
	_, err := calls["GetItem"](t.Context(), client)
	assert.True(t, strings.HasPrefix(err.Error(), "MissingAuthenticationToken"), err.Error())
}
