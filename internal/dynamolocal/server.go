package dynamolocal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

const (
	// A Java process takes a second or two to start. The limit only ends a
	// wait for one that never will, also on a very busy machine.
	startTimeout = 2 * time.Minute

	// How many ports to try. Most of those to choose from are free.
	portTries = 20
)

// Server is a DynamoDB Local process. It ends with the process that started it,
// even when that one is killed.
type Server struct {
	port    int
	process *process
}

// Start starts a DynamoDB Local without any tables, and returns when it takes
// requests. Port 0 means any free one. The context covers the start only.
func Start(ctx context.Context, port int) (*Server, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return nil, errors.New("DynamoDB Local needs Java 8 or newer: install it (Debian: apt-get install default-jre-headless, macOS: brew install openjdk) or set " +
			EndpointVariable + " to a DynamoDB Local that runs")
	}
	folder, err := installForUser(ctx)
	if err != nil {
		return nil, err
	}
	if port != 0 {
		return launch(ctx, folder, port)
	}
	return launchOnAnyPort(ctx, folder, randomPort)
}

// Endpoint returns the server's base URL.
func (s *Server) Endpoint() string { return "http://127.0.0.1:" + strconv.Itoa(s.port) }

// Port returns the port that the server listens on. Start with it, after Close,
// is a server that was down and has come back empty.
func (s *Server) Port() int { return s.port }

// Done returns a channel that is closed when the server has ended, by Close or
// on its own.
func (s *Server) Done() <-chan struct{} { return s.process.exited }

// Close kills the server, requests under way included, and returns when its
// port is closed. Its tables are gone. A second Close does nothing.
func (s *Server) Close() { s.process.kill() }

func launchOnAnyPort(ctx context.Context, folder string, choosePort func() int) (*Server, error) {
	for range portTries {
		server, err := launch(ctx, folder, choosePort())
		if !errors.Is(err, errPortTaken) {
			return server, err
		}
	}
	return nil, fmt.Errorf("start DynamoDB Local: none of %d ports was free", portTries)
}

func launch(ctx context.Context, folder string, port int) (*Server, error) {
	if err := checkPort(port); err != nil {
		return nil, fmt.Errorf("start DynamoDB Local on port %d: %w", port, err)
	}
	process, err := startJava(folder, port)
	if err != nil {
		return nil, fmt.Errorf("start DynamoDB Local: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := process.awaitStart(ctx); err != nil {
		process.kill()
		return nil, fmt.Errorf("start DynamoDB Local in %s on port %d: %w; it printed:\n%s", folder, port, err, process.output)
	}
	return &Server{port: port, process: process}, nil
}

func startJava(folder string, port int) (*process, error) {
	temporary, err := os.MkdirTemp("", "dynamodb-local-*")
	if err != nil {
		return nil, err
	}
	process, err := startProcess(folder, temporary, javaCommand(port, temporary)...)
	if err != nil {
		_ = os.Remove(temporary)
		return nil, err
	}
	return process, nil
}

func javaCommand(port int, temporary string) []string {
	return []string{
		"java",
		// Where each process puts a library that it leaves behind when killed.
		"-Djava.io.tmpdir=" + temporary,
		// Room for the benchmarks' largest data, next to other servers. The
		// serial collector starts soonest and takes the least memory.
		"-Xmx768m", "-XX:+UseSerialGC",
		// Has the HTTP server print the lines that awaitStart waits for.
		"-Dorg.eclipse.jetty.util.log.class=org.eclipse.jetty.util.log.StdErrLog",
		"-Dorg.eclipse.jetty.server.AbstractConnector.LEVEL=INFO",
		"-Djava.library.path=./DynamoDBLocal_lib",
		"-jar", emulatorJar,
		"-inMemory", "-sharedDb", "-disableTelemetry",
		"-port", strconv.Itoa(port),
	}
}
