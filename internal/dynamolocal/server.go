package dynamolocal

import (
	"context"
	_ "embed" // for serverXML
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	if err := checkJava(ctx); err != nil {
		return nil, err
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
	configuration := filepath.Join(temporary, "server.xml")
	if err := os.WriteFile(configuration, serverXML, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(temporary))
	}
	process, err := startProcess(folder, temporary, javaCommand(port, temporary, configuration)...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(temporary))
	}
	return process, nil
}

// serverXML is the server as Jetty, the HTTP server inside DynamoDB Local, builds
// it. DynamoDB Local's own main class has no option for the address to listen on.
//
//go:embed server.xml
var serverXML []byte

func javaCommand(port int, temporary, configuration string) []string {
	return []string{
		"java",
		// Where each process puts a library that it leaves behind when killed.
		"-Djava.io.tmpdir=" + temporary,
		// Room for the benchmarks' largest data, next to other servers. The
		// serial collector starts soonest and takes the least memory.
		"-Xmx768m", "-XX:+UseSerialGC",
		// Has the HTTP server print the lines that awaitStart waits for, and no others.
		"-Dorg.eclipse.jetty.util.log.class=org.eclipse.jetty.util.log.StdErrLog",
		"-Dorg.eclipse.jetty.LEVEL=WARN",
		"-Dorg.eclipse.jetty.server.AbstractConnector.LEVEL=INFO",
		"-Djava.library.path=./DynamoDBLocal_lib",
		"-classpath", emulatorJar,
		"org.eclipse.jetty.xml.XmlConfiguration", "port=" + strconv.Itoa(port), configuration,
	}
}
