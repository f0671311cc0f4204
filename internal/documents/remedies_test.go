package documents

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
)

// Somebody who searches the documents for a part of an error finds it: the error
// of each failure contains a text of theirs that is set as code and is more than
// a name.
func TestDocumentsExplainErrors(t *testing.T) {
	t.Parallel()
	var explained []string
	for _, path := range documentPaths(t) {
		explained = append(explained, matches(readFile(t, path), "`([^`\n]+)`")...)
	}
	explained = slices.DeleteFunc(explained, func(text string) bool { return strings.Count(text, " ") < 4 })
	for name, fail := range failures {
		_, err := newStore(t, "no-table", fail(t)...).Get(ld.Features, "my-flag")
		require.Error(t, err, name)
		assert.True(t, slices.ContainsFunc(explained, func(text string) bool { return strings.Contains(err.Error(), text) }),
			"no document explains %q", err)
	}
}

// failures makes the options of stores that fail.
var failures = map[string]func(*testing.T) []lddynamodb.FeatureStoreOption{
	"missing table": refusedWith("ResourceNotFoundException", "Requested resource not found"),
	"key schema":    refusedWith("ValidationException", "The provided key element does not match the schema"),
	"permissions":   refusedWith("AccessDeniedException", "User is not authorized to perform: dynamodb:GetItem"),
	"expired":       refusedWith("ExpiredTokenException", "The security token included in the request is expired"),
	"not accepted":  refusedWith("UnrecognizedClientException", "The security token included in the request is invalid."),
	"throttling":    refusedWith("ProvisionedThroughputExceededException", "The level of throughput was exceeded."),
	"no credentials": func(*testing.T) []lddynamodb.FeatureStoreOption {
		return []lddynamodb.FeatureStoreOption{lddynamodb.ClientConfig(aws.NewConfig().
			WithRegion("us-east-1").WithCredentials(credentials.NewChainCredentials(nil)))}
	},
	"no region": func(*testing.T) []lddynamodb.FeatureStoreOption {
		return []lddynamodb.FeatureStoreOption{lddynamodb.ClientConfig(aws.NewConfig().
			WithCredentials(credentials.NewStaticCredentials("id", "secret", "")))}
	},
	"another answer": func(t *testing.T) []lddynamodb.FeatureStoreOption {
		client := newClient(t, &gate{answer: func(string, []byte) *http.Response {
			return &http.Response{StatusCode: http.StatusForbidden, Body: io.NopCloser(strings.NewReader("<html></html>"))}
		}})
		return []lddynamodb.FeatureStoreOption{lddynamodb.DynamoClient(client)}
	},
	"no proxy": func(t *testing.T) []lddynamodb.FeatureStoreOption {
		transport := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})}
		t.Cleanup(transport.CloseIdleConnections)
		return []lddynamodb.FeatureStoreOption{lddynamodb.ClientConfig(aws.NewConfig().
			WithRegion("us-east-1").
			WithCredentials(credentials.NewStaticCredentials("id", "secret", "")).
			WithHTTPClient(&http.Client{Transport: transport}))}
	},
	"slow credentials": func(*testing.T) []lddynamodb.FeatureStoreOption {
		return []lddynamodb.FeatureStoreOption{
			lddynamodb.RequestTimeout(time.Millisecond),
			lddynamodb.ClientConfig(aws.NewConfig().
				WithRegion("us-east-1").
				WithCredentials(credentials.NewCredentials(slowProvider{}))),
		}
	},
	"no answer": func(*testing.T) []lddynamodb.FeatureStoreOption {
		return []lddynamodb.FeatureStoreOption{
			lddynamodb.RequestTimeout(time.Millisecond),
			lddynamodb.ClientConfig(aws.NewConfig().
				WithRegion("us-east-1").
				WithCredentials(credentials.NewStaticCredentials("id", "secret", "")).
				WithHTTPClient(&http.Client{Transport: silence{}})),
		}
	},
}

func refusedWith(code, message string) func(*testing.T) []lddynamodb.FeatureStoreOption {
	return func(t *testing.T) []lddynamodb.FeatureStoreOption {
		client := newClient(t, &gate{answer: func(string, []byte) *http.Response { return refusal(code, message) }})
		return []lddynamodb.FeatureStoreOption{lddynamodb.DynamoClient(client)}
	}
}

// slowProvider takes longer to give credentials than any test waits.
type slowProvider struct{}

func (slowProvider) IsExpired() bool { return true }

func (slowProvider) Retrieve() (credentials.Value, error) { select {} }

// silence is a network that swallows requests.
type silence struct{}

// RoundTrip implements http.RoundTripper.
func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, errors.New("no answer")
}
