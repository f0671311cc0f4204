// Command report reads from its standard input what the benchmarks of package
// bench printed. It prints tables that have the stores side by side or, with
// -charts, draws the charts of docs/benchmarks.md.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
)

func main() {
	charts := flag.String("charts", "", "draw charts into this `folder`")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *charts); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, charts string) error {
	results, err := readResults(in)
	if err != nil {
		return err
	}
	if charts != "" {
		return drawCharts(results, charts)
	}
	return results.printTables(out)
}
