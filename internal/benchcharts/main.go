// Command benchcharts draws the README's charts. It reads what "go test -bench"
// printed from its standard input and writes SVG files into the folder docs.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/benchresults"
)

func main() {
	if err := drawCharts(os.Stdin, "docs"); err != nil {
		fmt.Fprintln(os.Stderr, "benchcharts:", err)
		os.Exit(1)
	}
}

func drawCharts(output io.Reader, folder string) error {
	results, err := benchresults.Read(output)
	if err != nil {
		return err
	}
	for name, newChart := range map[string]func(benchresults.Results) (chart, error){
		"init.svg": initChart,
		"get.svg":  getChart,
	} {
		c, err := newChart(results)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(c.svg()), 0o600); err != nil {
			return err
		}
	}
	return nil
}
