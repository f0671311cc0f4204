package v7_test

import (
	"os"
	"testing"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

func TestMain(m *testing.M) {
	os.Exit(dynamolocal.RunTests(m))
}
