package dynamolocal

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hangGuard ends a test that waits for what never comes.
const hangGuard = 3 * time.Minute

// childRole makes the test binary play another process in place of testing.
const childRole = "DYNAMOLOCAL_TEST_CHILD"

func TestMain(m *testing.M) {
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(RunTests(m))
	}
	if err := childRoles[role](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var childRoles = map[string]func() error{
	"start and wait":   startAndWait,
	"start and return": startAndReturn,
	"install":          installAsChild,
}

// child is another process that runs this test binary.
type child struct {
	*exec.Cmd
	lines *bufio.Scanner
}

func startChild(t *testing.T, role string, environment ...string) *child {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(executable)
	cmd.Env = append(append(os.Environ(), childRole+"="+role), environment...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &child{Cmd: cmd, lines: bufio.NewScanner(stdout)}
}

func (c *child) readLine(t *testing.T) string {
	t.Helper()
	require.True(t, c.lines.Scan(), "the child process printed nothing")
	return c.lines.Text()
}

func guardedContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), hangGuard)
	t.Cleanup(cancel)
	return ctx
}
