package dynamolocal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// RunTests runs the tests of a package that needs DynamoDB Local, for its
// TestMain, and returns the exit code. It calls HideAWSSettings before. Where
// DynamoDB Local can't be had, it prints one line that says why and runs nothing:
// each test would fail for the same reason.
func RunTests(tests interface{ Run() int }) int {
	HideAWSSettings()
	if err := Prepare(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return tests.Run()
}

// Prepare checks that DynamoDB Local can be started, and fetches it where it is
// not there yet. If EndpointVariable is set, it checks that one answers there. It
// starts nothing, because a package can have tests that need no DynamoDB Local.
func Prepare(ctx context.Context) error {
	if url := os.Getenv(EndpointVariable); url != "" {
		return checkAnswers(url)
	}
	if err := checkJava(ctx); err != nil {
		return err
	}
	_, err := installForUser(ctx)
	return err
}

var errNoJava = errors.New("DynamoDB Local needs Java 8 or newer: install it " +
	"(Debian: apt-get install default-jre-headless, macOS: brew install openjdk) or set " +
	EndpointVariable + " to a DynamoDB Local that runs")

// checkJava runs the command, because macOS has a java that only says that there is
// none.
func checkJava(ctx context.Context) error {
	if exec.CommandContext(ctx, "java", "-version").Run() != nil && ctx.Err() == nil {
		return errNoJava
	}
	return ctx.Err()
}
