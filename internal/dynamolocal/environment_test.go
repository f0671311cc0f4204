package dynamolocal

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHideAWSSettings(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"} {
		t.Setenv(name, "set by the machine") // and put back after the test
	}

	HideAWSSettings()

	_, set := os.LookupEnv("AWS_REGION")
	assert.False(t, set)
	assert.Equal(t, os.DevNull, os.Getenv("AWS_CONFIG_FILE"))
	assert.Equal(t, os.DevNull, os.Getenv("AWS_SHARED_CREDENTIALS_FILE"))
	assert.Equal(t, "true", os.Getenv("AWS_EC2_METADATA_DISABLED"))
}
