package v7_test

import (
	"os"
	"testing"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestMain(m *testing.M) {
	dynamolocal.HideAWSSettings()
	os.Exit(m.Run())
}
