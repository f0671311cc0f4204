package dynamolocal

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEndpointIsSharedAndAnswers(t *testing.T) {
	first, err := Endpoint()
	require.NoError(t, err)
	second, err := Endpoint()
	require.NoError(t, err)

	assert.Equal(t, first, second)
	assert.NotNil(t, callDynamoDB(t, first, "ListTables", `{}`)["TableNames"])
}

func TestEndpointComesFromTheEnvironment(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	t.Setenv(EndpointVariable, server.URL)

	url, err := findEndpoint()

	require.NoError(t, err)
	assert.Equal(t, server.URL, url)
}

func TestEndpointInTheEnvironmentThatDoesNotAnswer(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	t.Setenv(EndpointVariable, server.URL)

	_, err := findEndpoint()

	require.ErrorContains(t, err, EndpointVariable)
	assert.ErrorContains(t, err, server.URL)
}
