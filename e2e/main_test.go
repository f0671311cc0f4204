package e2e_test

import (
	"os"
	"testing"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/demo"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestMain(m *testing.M) {
	demo.BecomeReader()
	dynamolocal.HideAWSSettings()
	os.Exit(m.Run())
}
