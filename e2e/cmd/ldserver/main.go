// Command ldserver runs the local LaunchDarkly service for tests that are not
// written in Go. It prints the server's URL on the first line, and then obeys
// its standard input, one command a line, until that ends:
//
//	patch {"path": "/flags/my-flag", "data": {...}}
//	delete {"path": "/flags/my-flag", "version": 3}
//	put {"flags": {...}, "segments": {...}}
//	drop
//
// Each is answered with a line: "ok", or "error: " and the cause.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/ldserver"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/payload"
)

func main() {
	file := flag.String("payload", "", "a JSON file with flags and segments (default: the demo's)")
	flag.Parse()
	if err := run(*file, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ldserver:", err)
		os.Exit(1)
	}
}

func run(file string, in io.Reader, out io.Writer) error {
	data := payload.JSON()
	if file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return err
		}
	}
	server, err := ldserver.Start(data)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	fmt.Fprintln(out, server.URL())

	commands := bufio.NewReader(in)
	for {
		line, err := commands.ReadString('\n')
		if line = strings.TrimSpace(line); line != "" {
			answer(out, obey(server, line))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading commands: %w", err)
		}
	}
}

func answer(out io.Writer, err error) {
	if err != nil {
		fmt.Fprintln(out, "error:", err)
		return
	}
	fmt.Fprintln(out, "ok")
}

func obey(server *ldserver.Server, line string) error {
	name, argument, _ := strings.Cut(line, " ")
	switch name {
	case "patch":
		var patch struct {
			Path string          `json:"path"`
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal([]byte(argument), &patch); err != nil {
			return err
		}
		return server.Patch(patch.Path, patch.Data)
	case "delete":
		var deletion struct {
			Path    string `json:"path"`
			Version int    `json:"version"`
		}
		if err := json.Unmarshal([]byte(argument), &deletion); err != nil {
			return err
		}
		return server.Delete(deletion.Path, deletion.Version)
	case "put":
		return server.Replace([]byte(argument))
	case "drop":
		server.DropConnections()
		return nil
	default:
		return fmt.Errorf("unknown command %q", name)
	}
}
