package documents

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The programs of docs/observability.md build together, with the versions of
// other modules that the document says they were tried with.
func TestObservabilityProgramsBuild(t *testing.T) {
	t.Parallel()
	text := readFile(t, root, "docs", "observability.md")
	folder := newUserModule(t, absolute(t, root))
	require.NoError(t, os.Remove(filepath.Join(folder, "main.go")))
	for i, block := range codeBlocks(text, "go") {
		if strings.HasPrefix(block, "package main\n") {
			writeFile(t, block, folder, fmt.Sprintf("part%d.go", i))
		}
	}
	for path, tried := range map[string]string{
		"github.com/prometheus/client_golang": "It was tried with version ([0-9.]+) of\\s+`client_golang`",
		"go.opentelemetry.io/otel":            "It was tried with version ([0-9.]+) of\\s+`go.opentelemetry.io/otel`",
	} {
		versions := matches(text, tried)
		require.Len(t, versions, 1, path)
		runGo(t, folder, nil, "mod", "edit", "-require="+path+"@v"+versions[0])
	}

	runGo(t, folder, nil, "mod", "tidy")
	runGo(t, folder, nil, "vet", ".")
}
