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
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// reader is the other process, which this one has started from the same
// executable. Each line that it is sent it answers with a line of JSON.
type reader struct {
	command *exec.Cmd
	asking  io.WriteCloser
	answers *bufio.Reader
}

func startReader(endpoint, table string) (*reader, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the own executable: %w", err)
	}
	command := exec.Command(executable)
	command.Env = append(os.Environ(),
		readerVariable+"="+table,
		dynamolocal.EndpointVariable+"="+endpoint,
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
func (r *reader) evaluate() (results []evaluation.Result, err error) {
	if err := r.ask("evaluate"); err != nil {
		return nil, err
	}
	return results, r.answer(&results)
}

// log has the process tell what its store has logged.
func (r *reader) log() (lines []string, err error) {
	if err := r.ask("log"); err != nil {
		return nil, err
	}
	return lines, r.answer(&lines)
}

func (r *reader) ask(question string) error {
	if _, err := fmt.Fprintln(r.asking, question); err != nil {
		return fmt.Errorf("asking the reading process: %w", err)
	}
	return nil
}

func (r *reader) answer(answer any) error {
	line, err := r.answers.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return errors.New("the reading process ended early")
	}
	if err != nil {
		return fmt.Errorf("listening to the reading process: %w", err)
	}
	if err := json.Unmarshal(line, answer); err != nil {
		return fmt.Errorf("understanding the reading process: %w", err)
	}
	return nil
}

// stop ends the process: it stops when its input does.
func (r *reader) stop() {
	_ = r.asking.Close()
	_ = r.command.Wait()
}
