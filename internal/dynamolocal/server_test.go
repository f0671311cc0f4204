package dynamolocal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServerTakesRequestsUntilClosed(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	assert.Empty(t, callDynamoDB(t, server.Endpoint(), "ListTables", `{}`)["TableNames"])

	server.Close()

	assert.True(t, refusesConnections(server.Endpoint()))
	<-server.Done()
	server.Close()
}

func TestServerListensOnTheLoopbackAddressOnly(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	addresses, err := net.InterfaceAddrs()
	require.NoError(t, err)

	listensOn := []string{}
	for _, address := range addresses {
		ip := address.(*net.IPNet).IP.String()
		connection, err := net.DialTimeout("tcp", net.JoinHostPort(ip, strconv.Itoa(server.Port())), time.Second)
		if err == nil {
			listensOn = append(listensOn, ip)
			_ = connection.Close()
		}
	}

	assert.Equal(t, []string{"127.0.0.1"}, listensOn)
}

func TestServerComesBackEmptyOnItsPort(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	callDynamoDB(t, server.Endpoint(), "CreateTable", `{"TableName": "flags", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": [{"AttributeName": "key", "AttributeType": "S"}],
		"KeySchema": [{"AttributeName": "key", "KeyType": "HASH"}]}`)
	require.Equal(t, []any{"flags"}, callDynamoDB(t, server.Endpoint(), "ListTables", `{}`)["TableNames"])
	server.Close()

	again, err := Start(guardedContext(t), server.Port())

	require.NoError(t, err)
	defer again.Close()
	assert.Equal(t, server.Endpoint(), again.Endpoint())
	assert.Empty(t, callDynamoDB(t, again.Endpoint(), "ListTables", `{}`)["TableNames"])
}

func TestServerThatEndsOnItsOwnIsDone(t *testing.T) {
	t.Parallel()
	server := startServer(t)

	require.NoError(t, server.process.cmd.Process.Kill())

	<-server.Done()
}

func TestServerLeavesNoFilesBehind(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	server := startServer(t)
	callDynamoDB(t, server.Endpoint(), "ListTables", `{}`)
	require.NotEmpty(t, entriesOf(temporary))

	server.Close()

	assert.Empty(t, entriesOf(temporary))
}

func TestServerEndsWithItsParent(t *testing.T) {
	t.Parallel()

	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		temporary := t.TempDir()
		parent := startChild(t, "start and wait", "TMPDIR="+temporary)
		endpoint := parent.readLine(t)
		callDynamoDB(t, endpoint, "ListTables", `{}`)
		require.NotEmpty(t, entriesOf(temporary))

		require.NoError(t, parent.Process.Signal(syscall.SIGKILL))

		assert.Eventually(t, func() bool { return refusesConnections(endpoint) }, hangGuard, 10*time.Millisecond)
		assert.Eventually(t, func() bool { return len(entriesOf(temporary)) == 0 }, hangGuard, 10*time.Millisecond)
		require.Error(t, parent.Wait())
	})

	t.Run("returned without closing it", func(t *testing.T) {
		t.Parallel()
		parent := startChild(t, "start and return")
		endpoint := parent.readLine(t)

		require.NoError(t, parent.Wait())

		assert.Eventually(t, func() bool { return refusesConnections(endpoint) }, hangGuard, 10*time.Millisecond)
	})
}

func TestStartOnAPortInUse(t *testing.T) {
	t.Parallel()

	_, err := Start(guardedContext(t), occupiedPort(t))

	require.ErrorIs(t, err, errPortTaken)
	assert.NotContains(t, err.Error(), "\n")
}

func TestStartTellsThatAPortWasTakenInTheMeantime(t *testing.T) {
	t.Parallel()
	process, err := startJava(installedFolder(t), occupiedPort(t))
	require.NoError(t, err)
	defer process.kill()

	assert.Equal(t, errPortTaken, process.awaitStart(guardedContext(t)))
}

func TestStartChoosesAnotherPortWhereTheFirstIsTaken(t *testing.T) {
	t.Parallel()
	occupied := occupiedPort(t)
	ports := []int{occupied}

	server, err := launchOnAnyPort(guardedContext(t), installedFolder(t), func() int {
		ports = append(ports, randomPort())
		return ports[len(ports)-2]
	})

	require.NoError(t, err)
	defer server.Close()
	assert.NotEqual(t, occupied, server.Port())
	assert.False(t, refusesConnections(server.Endpoint()))
}

func TestStartGivesUpWhereEveryPortIsTaken(t *testing.T) {
	t.Parallel()
	occupied := occupiedPort(t)
	tries := 0

	_, err := launchOnAnyPort(guardedContext(t), installedFolder(t), func() int {
		tries++
		return occupied
	})

	require.ErrorContains(t, err, "none of 20 ports was free")
	assert.Equal(t, portTries, tries)
}

func TestStartShowsWhatAFailedServerPrinted(t *testing.T) {
	t.Parallel()

	_, err := launchOnAnyPort(guardedContext(t), t.TempDir(), randomPort)

	require.ErrorContains(t, err, "ended at once")
	assert.ErrorContains(t, err, "ClassNotFoundException") // The folder is empty.
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	_, err := launchOnAnyPort(ctx, installedFolder(t), randomPort)

	require.ErrorIs(t, err, context.Canceled)
}

func TestStartNamesMissingJava(t *testing.T) {
	t.Setenv("PATH", t.TempDir())

	_, err := Start(guardedContext(t), 0)

	require.ErrorContains(t, err, "needs Java")
	assert.ErrorContains(t, err, "apt-get install default-jre-headless")
	assert.NotContains(t, err.Error(), "\n")
}

func entriesOf(folder string) []string {
	entries, _ := filepath.Glob(filepath.Join(folder, "*"))
	return entries
}

func startAndWait() error {
	if err := startAndReturn(); err != nil {
		return err
	}
	select {}
}

func startAndReturn() error {
	server, err := Start(context.Background(), 0)
	if err != nil {
		return err
	}
	fmt.Println(server.Endpoint())
	return nil
}

func startServer(t *testing.T) *Server {
	t.Helper()
	server, err := Start(guardedContext(t), 0)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return server
}

func installedFolder(t *testing.T) string {
	t.Helper()
	folder, err := installForUser(guardedContext(t))
	require.NoError(t, err)
	return folder
}

func occupiedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

func refusesConnections(endpoint string) bool {
	parsed, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	connection, err := net.Dial("tcp", parsed.Host)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = connection.Close()
	return false
}

func callDynamoDB(t *testing.T, endpoint, operation, input string) map[string]any {
	t.Helper()
	request, err := http.NewRequestWithContext(guardedContext(t), http.MethodPost, endpoint, strings.NewReader(input))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	// DynamoDB Local wants a signature but does not check it.
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20250101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s: %s", operation, body)
	var result map[string]any
	require.NoError(t, json.Unmarshal(body, &result), strconv.Quote(string(body)))
	return result
}
