// Command benchtable prints the results of benchmarks, which it reads from
// standard input, as a table. Where a benchmark is called ".../ours", it is put
// beside the one of the same name with another end: the time, say, is then
// followed by what percentage of the other's that is.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/benchresults"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	results, err := benchresults.Read(in)
	if err != nil {
		return err
	}
	return printTable(out, results)
}
