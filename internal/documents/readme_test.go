package documents

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/launchdarkly/go-server-sdk/lddynamodb"

func TestReadmeHasEveryOption(t *testing.T) {
	t.Parallel()
	var options []string
	for _, exported := range packageDoc(t).Types {
		if exported.Name == "FeatureStoreOption" {
			for _, function := range exported.Funcs {
				options = append(options, function.Name)
			}
		}
	}
	require.Contains(t, options, "CacheTTL")
	assert.Subset(t, matches(readFile(t, root, "README.md"), "`(\\w+)\\("), options)
}

func TestDocumentsUseWhatThePackageHas(t *testing.T) {
	t.Parallel()
	var exported []string
	values := func(values []*doc.Value) {
		for _, value := range values {
			exported = append(exported, value.Names...)
		}
	}
	functions := func(functions []*doc.Func) {
		for _, function := range functions {
			exported = append(exported, function.Name)
		}
	}
	p := packageDoc(t)
	values(p.Consts)
	functions(p.Funcs)
	for _, exportedType := range p.Types {
		exported = append(exported, exportedType.Name)
		values(exportedType.Consts)
		functions(exportedType.Funcs)
	}
	for _, document := range documentPaths(t) {
		assert.Subset(t, exported, matches(readFile(t, document), `\blddynamodb\.([A-Z]\w*)`), document)
	}
}

func packageDoc(t *testing.T) *doc.Package {
	t.Helper()
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, path := range sourceFiles(t) {
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		require.NoError(t, err)
		parsed = append(parsed, file)
	}
	p, err := doc.NewFromFiles(files, parsed, modulePath)
	require.NoError(t, err)
	return p
}

// sourceFiles returns the files of the package, without its tests.
func sourceFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	paths = slices.DeleteFunc(paths, func(path string) bool { return strings.HasSuffix(path, "_test.go") })
	require.NotEmpty(t, paths)
	return paths
}

func TestContributingHasTheFilesThatThereAre(t *testing.T) {
	t.Parallel()
	named := matches(readFile(t, root, "CONTRIBUTING.md"), "`(\\w+\\.go)`")
	for _, name := range named {
		assert.FileExists(t, filepath.Join(root, name))
	}
	for _, path := range sourceFiles(t) {
		if name := filepath.Base(path); name != "doc.go" {
			assert.Contains(t, named, name)
		}
	}
}
