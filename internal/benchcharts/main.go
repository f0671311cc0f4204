// Command benchcharts draws the README's charts. It reads what "go test -bench"
// printed from its standard input and writes SVG files into the folder docs.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	if err := drawCharts(os.Stdin, "docs"); err != nil {
		fmt.Fprintln(os.Stderr, "benchcharts:", err)
		os.Exit(1)
	}
}

func drawCharts(output io.Reader, folder string) error {
	r, err := readResults(output)
	if err != nil {
		return err
	}
	for name, newChart := range map[string]func(results) (chart, error){
		"init.svg": initChart,
		"get.svg":  getChart,
	} {
		c, err := newChart(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(c.svg()), 0o600); err != nil {
			return err
		}
	}
	return nil
}
