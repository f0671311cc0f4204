package dynamolocal

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type testsThatRan bool

func (ran *testsThatRan) Run() int {
	*ran = true
	return 7
}

func TestRunTestsRunsThemWhereDynamoDBLocalCanBeHad(t *testing.T) {
	var ran testsThatRan

	assert.Equal(t, 7, RunTests(&ran))
	assert.True(t, bool(ran))
}

func TestRunTestsRunsNothingWithoutJava(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var ran testsThatRan

	assert.Equal(t, 1, RunTests(&ran))
	assert.False(t, bool(ran))
}

func TestRunTestsRunsNothingWhereTheEndpointDoesNotAnswer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	t.Setenv(EndpointVariable, server.URL)
	var ran testsThatRan

	assert.Equal(t, 1, RunTests(&ran))
	assert.False(t, bool(ran))
}

func TestPrepareNeedsNoJavaForAnEndpoint(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	t.Setenv(EndpointVariable, server.URL)
	t.Setenv("PATH", t.TempDir())

	require.NoError(t, Prepare(guardedContext(t)))
}
