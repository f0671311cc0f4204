package dynamolocal

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

// guardScript runs a command which can't outlive this process. The command
// takes the shell's place, and a second shell watches over it: when this process
// is gone, however it went, the pipe at descriptor 3 reaches its end and the
// watcher kills the command and removes its temporary folder, which is $0. A
// line on the pipe says that the command has ended and the watcher has to leave
// its process number alone. The watcher ignores the signals that a terminal
// sends to all its processes.
const guardScript = `(trap '' HUP INT TERM; read -r _ <&3 || { kill -9 $$; rm -rf "$0"; }) >/dev/null 2>&1 &
exec "$@" 3<&-`

// process is a running DynamoDB Local.
type process struct {
	cmd       *exec.Cmd
	temporary string
	lifeline  *os.File
	output    *output
	exited    chan struct{}
}

// startProcess starts a command in a folder. What the command leaves in the
// temporary folder goes with it.
func startProcess(folder, temporary string, command ...string) (*process, error) {
	watched, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer watched.Close()

	p := &process{temporary: temporary, lifeline: lifeline, output: newOutput(), exited: make(chan struct{})}
	p.cmd = exec.Command("sh", append([]string{"-c", guardScript, temporary}, command...)...)
	p.cmd.Dir = folder
	p.cmd.ExtraFiles = []*os.File{watched}
	p.cmd.Stdout = p.output
	p.cmd.Stderr = p.output
	if err := p.cmd.Start(); err != nil {
		lifeline.Close()
		return nil, err
	}
	go p.awaitExit()
	return p, nil
}

// awaitExit also keeps the lifeline referenced, and so open, for as long as the
// process runs.
func (p *process) awaitExit() {
	_ = p.cmd.Wait() // How it ended matters to nobody: awaitStart shows its output.
	_, _ = p.lifeline.WriteString("\n")
	_ = p.lifeline.Close()
	_ = os.RemoveAll(p.temporary)
	close(p.exited)
}

// awaitStart goes by what the process prints. An answer at its port would not
// do: that may be another server's.
func (p *process) awaitStart(ctx context.Context) error {
	select {
	case <-p.output.listening:
		return nil
	case <-p.output.portTaken:
		return errPortTaken
	case <-p.exited:
		return errors.New("it ended at once")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // Fails only where it has ended already.
	<-p.exited
}
