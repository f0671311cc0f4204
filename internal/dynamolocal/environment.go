package dynamolocal

import (
	"os"
	"strings"
)

// HideAWSSettings keeps the machine's AWS settings away from the AWS SDK in this
// process: all environment variables, configuration files and metadata services
// that it would look at. AWS_CA_BUNDLE, for one, makes it refuse the transports
// that inject faults. Call it in TestMain.
func HideAWSSettings() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	_ = os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	_ = os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}
