package demo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldconfig"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// readerVariable makes a process the reading one, and names its table.
const readerVariable = "LDDYNAMODB_DEMO_READER"

// userCount is how many of the payload's users the demo evaluates flags for.
const userCount = 4

// BecomeReader turns this process into the reading one, and does not return, if
// Run has started it. Every main function that calls Run must call it first.
func BecomeReader() {
	table := os.Getenv(readerVariable)
	if table == "" {
		return
	}
	if err := read(table, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "reading process:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// read evaluates every flag for every user whenever a line comes in.
func read(table string, in io.Reader, out io.Writer) error {
	client, err := newDaemonClient(table)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	flags, users, err := flagsAndUsers()
	if err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := answers.Encode(evaluation.All(client, flags, users)); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
	return nil
}

func newDaemonClient(table string) (*ld.LDClient, error) {
	endpoint, err := dynamolocal.Endpoint()
	if err != nil {
		return nil, err
	}
	factory, err := newFactory(endpoint, table, lddynamodb.CacheTTL(readerTTL))
	if err != nil {
		return nil, err
	}
	client, err := ld.MakeCustomClient(sdkKey, ldconfig.Daemon(factory, nil), patience)
	if err != nil {
		return nil, fmt.Errorf("starting the daemon-mode client: %w", err)
	}
	return client, nil
}

func flagsAndUsers() ([]string, []ld.User, error) {
	flags, err := evaluation.FlagKeys(payload.JSON())
	if err != nil {
		return nil, nil, err
	}
	users, err := evaluation.Users(payload.Users())
	if err != nil {
		return nil, nil, err
	}
	return flags, users[:userCount], nil
}
