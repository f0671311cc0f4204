package demo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/clientlog"
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

// read answers each line that comes in.
func read(table string, in io.Reader, out io.Writer) error {
	var log clientlog.Log
	client, err := newDaemonClient(table, &log)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	p, err := newParticipant(client)
	if err != nil {
		return err
	}
	answers := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer, err := p.answer(lines.Text(), &log)
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
	return nil
}

func (p *participant) answer(question string, log *clientlog.Log) (any, error) {
	what, argument, _ := strings.Cut(question, " ")
	switch what {
	case "evaluate":
		return p.evaluateAll(), nil
	case "log":
		return log.Lines(storeLines), nil
	case "load":
		while, err := time.ParseDuration(argument)
		if err != nil {
			return nil, fmt.Errorf("understanding the question: %w", err)
		}
		return p.evaluateFor(while), nil
	}
	return nil, fmt.Errorf("there is no answer to %q", question)
}

func newDaemonClient(table string, log *clientlog.Log) (*ld.LDClient, error) {
	endpoint, err := dynamolocal.Endpoint()
	if err != nil {
		return nil, err
	}
	factory, err := newFactory(endpoint, table, lddynamodb.CacheTTL(readerTTL))
	if err != nil {
		return nil, err
	}
	client, err := ld.MakeCustomClient(sdkKey, ldconfig.Daemon(factory, log), patience)
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
