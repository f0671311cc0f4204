package ldserver_test

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
)

const patience = 30 * time.Second

func start(t *testing.T) *ldserver.Server {
	server, err := ldserver.Start([]byte(`{"flags": {"f": {"key": "f", "version": 1}}}`))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	return server
}

// connect returns the stream's lines. The channel is closed with the stream.
func connect(t *testing.T, server *ldserver.Server) <-chan string {
	response, err := http.Get(server.URL() + "/all")
	require.NoError(t, err)
	t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream; charset=utf-8", response.Header.Get("Content-Type"))
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

func requireEvent(t *testing.T, lines <-chan string, name, data string) {
	t.Helper()
	for _, expected := range []string{"event: " + name, "data: " + data, ""} {
		select {
		case line := <-lines:
			require.Equal(t, expected, line)
		case <-time.After(patience):
			require.Fail(t, "no line came", "expected %q", expected)
		}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	server := start(t)
	lines := connect(t, server)
	requireEvent(t, lines, "put", `{"path":"/","data":{"flags":{"f":{"key":"f","version":1}},"segments":{}}}`)

	require.NoError(t, server.Patch("/segments/a/b", []byte("{\"key\": \"a/b\",\n\"version\": 7}")))
	requireEvent(t, lines, "patch", `{"path":"/segments/a/b","data":{"key":"a/b","version":7}}`)

	version, err := server.Update("/flags/f", func(flag map[string]any) { flag["on"] = true })
	require.NoError(t, err)
	assert.Equal(t, 2, version)
	requireEvent(t, lines, "patch", `{"path":"/flags/f","data":{"key":"f","on":true,"version":2}}`)

	require.NoError(t, server.Delete("/flags/f", 3))
	requireEvent(t, lines, "delete", `{"path":"/flags/f","version":3}`)
	assert.JSONEq(t, `{"flags": {}, "segments": {"a/b": {"key": "a/b", "version": 7}}}`, string(server.Payload()))

	require.NoError(t, server.Replace([]byte(`{}`)))
	requireEvent(t, lines, "put", `{"path":"/","data":{"flags":{},"segments":{}}}`)
}

func TestConnections(t *testing.T) {
	t.Parallel()
	server := start(t)
	requireConnections := func(expectedNow, expectedTotal int) {
		t.Helper()
		now, total := server.Connections()
		require.Equal(t, []int{expectedNow, expectedTotal}, []int{now, total})
	}
	requireConnections(0, 0)
	first, second := connect(t, server), connect(t, server)
	requireConnections(2, 2)

	server.DropConnections()
	requireConnections(0, 2)
	for range first { // until it is closed
	}
	for range second {
	}
	requireEvent(t, connect(t, server), "put", `{"path":"/","data":{"flags":{"f":{"key":"f","version":1}},"segments":{}}}`)
	requireConnections(1, 3)
}

func TestRefusedStreams(t *testing.T) {
	t.Parallel()
	server := start(t)
	status := func() int {
		response, err := http.Get(server.URL() + "/all")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	server.RefuseStreams(http.StatusUnauthorized)
	require.Equal(t, http.StatusUnauthorized, status())
	_, total := server.Connections()
	require.Zero(t, total)
	server.RefuseStreams(0)
	require.Equal(t, http.StatusOK, status())
}

func TestPolling(t *testing.T) {
	t.Parallel()
	server := start(t)
	etag := ""
	requirePoll := func(expectedStatus int, expectedBody string) {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, server.URL()+"/sdk/latest-all", nil)
		require.NoError(t, err)
		request.Header.Set("If-None-Match", etag)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Equal(t, expectedStatus, response.StatusCode)
		require.Equal(t, expectedBody, string(body))
		etag = response.Header.Get("ETag")
	}
	requirePoll(http.StatusOK, `{"flags":{"f":{"key":"f","version":1}},"segments":{}}`)
	requirePoll(http.StatusNotModified, "")
	require.NoError(t, server.Delete("/flags/f", 2))
	requirePoll(http.StatusOK, `{"flags":{},"segments":{}}`)
	requirePoll(http.StatusNotModified, "")
	require.Equal(t, 4, server.Polls())
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	_, err := ldserver.Start([]byte(`{`))
	require.Error(t, err)

	server := start(t)
	require.Error(t, server.Patch("/flags", []byte(`{}`)))
	require.Error(t, server.Patch("/others/f", []byte(`{}`)))
	require.Error(t, server.Patch("/flags/f", []byte(`{`)))
	require.Error(t, server.Delete("flags", 2))
	require.Error(t, server.Replace([]byte(`[]`)))
	_, err = server.Update("/flags/unknown", func(map[string]any) {})
	require.Error(t, err)
	assert.JSONEq(t, `{"flags": {"f": {"key": "f", "version": 1}}, "segments": {}}`, string(server.Payload()))
}
