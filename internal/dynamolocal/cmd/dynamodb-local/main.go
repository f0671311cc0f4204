// Command dynamodb-local runs a DynamoDB Local in the foreground, on the port in
// the environment variable PORT or on 8000, until it is interrupted. With the
// argument "prepare" it runs none: it only checks that one can be started, and
// fetches it where it is not there yet.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

const defaultPort = 8000

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if slices.Equal(os.Args[1:], []string{"prepare"}) {
		return dynamolocal.Prepare(ctx)
	}
	port, err := portFromEnvironment()
	if err != nil {
		return err
	}
	server, err := dynamolocal.Start(ctx, port)
	if err != nil {
		return err
	}
	defer server.Close()
	fmt.Printf("DynamoDB Local is at %s, in memory, until Ctrl-C. Have the tests use it:\n  export %s=%s\n",
		server.Endpoint(), dynamolocal.EndpointVariable, server.Endpoint())

	select {
	case <-ctx.Done():
		return nil
	case <-server.Done():
		if ctx.Err() != nil { // Ctrl-C reaches the server as well, and may end it first.
			return nil
		}
		return errors.New("DynamoDB Local has ended unexpectedly")
	}
}

func portFromEnvironment() (int, error) {
	text := os.Getenv("PORT")
	if text == "" {
		return defaultPort, nil
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return 0, fmt.Errorf("PORT is %q: give a number from 1 to 65535", text)
	}
	return port, nil
}
