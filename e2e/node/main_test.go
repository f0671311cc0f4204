package node_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestMain(m *testing.M) {
	if err := installPackages(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Node.js would print on every start that version 2 of the AWS SDK is old.
	_ = os.Setenv("AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE", "1")
	os.Exit(dynamolocal.RunTests(m))
}
