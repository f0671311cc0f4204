package node_test

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if err := installPackages(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Node.js would print on every start that version 2 of the AWS SDK is old.
	_ = os.Setenv("AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE", "1")
	// With this variable the AWS SDK for Go changes the HTTP client that all use.
	_ = os.Unsetenv("AWS_CA_BUNDLE")
	os.Exit(m.Run())
}
