// Command demo shows feature flags on their way from LaunchDarkly through
// DynamoDB to a process in daemon mode. It needs nothing but this machine.
package main

import (
	"fmt"
	"os"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/demo"
)

func main() {
	demo.BecomeReader()
	if _, err := demo.Run(os.Stdout, isTerminal(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
}
