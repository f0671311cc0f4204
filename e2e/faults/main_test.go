package faults_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

var resultsFile = flag.String("results", "", "write the tables of results to this file")

func TestMain(m *testing.M) {
	becomeHost()
	// Wins over the default, and loses to the command line: the tests wait most
	// of the time, so more of them run at once than there are processors.
	_ = flag.Set("test.parallel", "16")
	flag.Parse()
	code := dynamolocal.RunTests(m)
	if err := writeResults(code); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func writeResults(code int) error {
	if *resultsFile == "" || code != 0 {
		return nil
	}
	return os.WriteFile(*resultsFile, []byte(resultsPage()), 0o644)
}
