package e2e_test

import (
	"os"
	"testing"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/demo"
)

func TestMain(m *testing.M) {
	demo.BecomeReader()
	// With this variable the AWS SDK insists on an HTTP transport that it can
	// add certificates to. Those here are not.
	_ = os.Unsetenv("AWS_CA_BUNDLE")
	os.Exit(m.Run())
}
