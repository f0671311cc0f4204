package demo

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/evaluation"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/localtable"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// reader is the other process, which this one has started from the same
// executable. Each line that it is sent it answers with a line of results.
type reader struct {
	command *exec.Cmd
	asking  io.WriteCloser
	answers *bufio.Reader
}

func startReader(table *localtable.Table) (*reader, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the own executable: %w", err)
	}
	command := exec.Command(executable)
	command.Env = append(os.Environ(),
		readerVariable+"="+table.Name,
		dynamolocal.EndpointVariable+"="+table.Endpoint,
	)
	command.Stderr = os.Stderr
	asking, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("preparing the reading process: %w", err)
	}
	answering, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("preparing the reading process: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the reading process: %w", err)
	}
	return &reader{command, asking, bufio.NewReader(answering)}, nil
}

func (r *reader) pid() int { return r.command.Process.Pid }

// evaluate has the process evaluate every flag for every user.
func (r *reader) evaluate() ([]evaluation.Result, error) {
	if _, err := fmt.Fprintln(r.asking, "evaluate"); err != nil {
		return nil, fmt.Errorf("asking the reading process: %w", err)
	}
	line, err := r.answers.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the reading process ended early")
	}
	if err != nil {
		return nil, fmt.Errorf("listening to the reading process: %w", err)
	}
	var results []evaluation.Result
	if err := json.Unmarshal(line, &results); err != nil {
		return nil, fmt.Errorf("understanding the reading process: %w", err)
	}
	return results, nil
}

// stop ends the process: it stops when its input does.
func (r *reader) stop() {
	_ = r.asking.Close()
	_ = r.command.Wait()
}
