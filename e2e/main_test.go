package e2e_test

import (
	"os"
	"testing"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/demo"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestMain(m *testing.M) {
	demo.BecomeReader()
	os.Exit(dynamolocal.RunTests(m))
}
