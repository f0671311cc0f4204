package lddynamodb

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests keep the README, and the documents that it leads to, true.

func TestReadmeHasEveryOption(t *testing.T) {
	t.Parallel()
	var options []string
	for name, declaration := range exported(t) {
		function, ok := declaration.(*ast.FuncDecl)
		if ok && function.Type.Results != nil && fmt.Sprint(function.Type.Results.List[0].Type) == "FeatureStoreOption" {
			options = append(options, name)
		}
	}
	require.NotEmpty(t, options)
	section := readmeSection(t, "Options")
	assert.ElementsMatch(t, options, matches(section, "(?m)^\\| `([A-Za-z]+)\\("))
	assert.Contains(t, section, fmt.Sprintf("`DefaultCacheTTL`, %g seconds", DefaultCacheTTL.Seconds()))
	assert.Contains(t, section, fmt.Sprintf("`DefaultRequestTimeout`, %g seconds", DefaultRequestTimeout.Seconds()))
}

func TestReadmeUsesWhatThePackageHas(t *testing.T) {
	t.Parallel()
	names := exported(t)
	for _, name := range matches(read(t, "README.md"), `lddynamodb\.([A-Z]\w*)`) {
		assert.Contains(t, names, name)
	}
}

// The program is built as a new user would: in a module of its own, with the
// lines for go.mod that the README shows, against the real SDK.
func TestReadmeProgramCompiles(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	program := matches(readme, "(?s)```go\n(package main.*?)```")
	require.Len(t, program, 1)
	requirements := matches(readme, "(?s)```\n(require .*?)```")
	require.Len(t, requirements, 1)
	root, err := filepath.Abs(".")
	require.NoError(t, err)
	folder := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	write("main.go", program[0])
	write("go.mod", fmt.Sprintf("module example.com/flags\n\ngo 1.25.0\n\n%s\nreplace github.com/launchdarkly/go-server-sdk/lddynamodb => %s\n",
		requirements[0], root))
	for _, arguments := range [][]string{{"mod", "tidy"}, {"build", "-o", os.DevNull, "."}} {
		command := exec.Command("go", arguments...)
		command.Dir = folder
		output, err := command.CombinedOutput()
		require.NoError(t, err, string(output))
	}
}

func TestReadmeHasTheModuleLines(t *testing.T) {
	t.Parallel()
	readme, module := read(t, "README.md"), read(t, "go.mod")
	path := matches(module, `(?m)^module (\S+)`)[0]
	assert.Contains(t, readme, `+import "`+path+`"`)
	assert.Contains(t, readme, "go get "+path+"\n")
	assert.Contains(t, readme, matches(module, `(?m)^\s(gopkg\.in/launchdarkly/\S+ \S+)`)[0])
}

func TestReadmeAllowsTheActionsThatTheTableCalls(t *testing.T) {
	t.Parallel()
	var policy struct{ Statement []struct{ Action []string } }
	block := matches(read(t, "README.md"), "(?s)```json\n(.*?)```")
	require.Len(t, block, 1)
	require.NoError(t, json.Unmarshal([]byte(block[0]), &policy))
	require.Len(t, policy.Statement, 1)
	var called []string
	for _, action := range matches(read(t, "table.go"), `client\.(\w+)WithContext`) {
		called = append(called, "dynamodb:"+action)
	}
	assert.ElementsMatch(t, called, policy.Statement[0].Action)
}

// Both ways: each remedy is explained, and each explained text is a remedy.
func TestReadmeExplainsEveryRemedy(t *testing.T) {
	t.Parallel()
	source := read(t, "errors.go")
	_, source, found := strings.Cut(source, "\nfunc remedy(")
	require.True(t, found)
	source, _, _ = strings.Cut(source, "\n}\n")
	source = regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(source, "") // one literal of several
	var remedies []string
	for _, text := range matches(source, `return (?:fmt\.Sprintf\()?"([^"]+)"`) {
		text = strings.Replace(text, "%q", `"`+namespaceAttribute+`"`, 1)
		remedies = append(remedies, strings.Replace(text, "%q", `"`+keyAttribute+`"`, 1))
	}
	require.NotEmpty(t, remedies)
	table, _, _ := strings.Cut(readmeSection(t, "Troubleshooting"), "\nErrors,")
	assert.ElementsMatch(t, remedies, matches(table, "(?m)^\\| `([^`]+)`"))
}

func TestReadmeQuotesOtherErrorsAsTheyAre(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	for _, file := range sourceFiles(t) {
		source.WriteString(read(t, file))
	}
	_, table, _ := strings.Cut(readmeSection(t, "Troubleshooting"), "\nErrors,")
	table, _, _ = strings.Cut(table, "\nNo error,")
	rows := matches(table, "(?m)^\\| (`.*?) \\|")
	require.NotEmpty(t, rows)
	for _, text := range matches(strings.Join(rows, "\n"), "`([^`]+)`") {
		text = regexp.MustCompile(`\d+`).ReplaceAllString(text, "%d")
		text = strings.ReplaceAll(text, "features/my-flag", "%s")
		assert.Contains(t, source.String(), text)
	}
}

func TestContributingHasEveryFile(t *testing.T) {
	t.Parallel()
	text := read(t, "CONTRIBUTING.md")
	for _, file := range sourceFiles(t) {
		if file != "doc.go" {
			assert.Contains(t, text, "`"+file+"`")
		}
	}
}

func TestDocumentsNameMakeTargetsThatExist(t *testing.T) {
	t.Parallel()
	targets := matches(read(t, "Makefile"), `(?m)^([a-z-]+):`)
	for _, document := range documents(t) {
		text := read(t, document)
		named := append(matches(text, "`make ([a-z-]+)"), matches(text, `(?m)^make ([a-z-]+)`)...)
		assert.Subset(t, targets, named, document)
	}
}

func TestLinksInDocumentsResolve(t *testing.T) {
	t.Parallel()
	for _, document := range documents(t) {
		for _, link := range matches(read(t, document), `\]\(([^)]+)\)`) {
			if strings.HasPrefix(link, "https://") {
				continue
			}
			path, heading, _ := strings.Cut(link, "#")
			target := filepath.Join(filepath.Dir(document), path)
			if path == "" {
				target = document
			}
			assert.True(t, exists(target), "%s: %s", document, link)
			if info, err := os.Stat(target); err == nil && info.IsDir() {
				target = filepath.Join(target, "README.md")
			}
			if heading != "" {
				assert.Contains(t, headings(t, target), heading, document)
			}
		}
	}
}

// exported returns what the package exports at its top level.
func exported(t *testing.T) map[string]any {
	names := make(map[string]any)
	for _, name := range sourceFiles(t) {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for name, object := range file.Scope.Objects {
			if ast.IsExported(name) {
				names[name] = object.Decl
			}
		}
	}
	return names
}

func sourceFiles(t *testing.T) []string {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	return slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

// documents returns the Markdown files of the repository.
func documents(t *testing.T) []string {
	var files []string
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			files = append(files, path)
		}
		return nil
	}))
	return files
}

func readmeSection(t *testing.T, heading string) string {
	_, section, found := strings.Cut(read(t, "README.md"), "\n## "+heading+"\n")
	require.True(t, found, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

// headings returns a document's headings, as links name them.
func headings(t *testing.T, document string) []string {
	var links []string
	for _, heading := range matches(read(t, document), `(?m)^#+ (.+)$`) {
		link := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading), "")
		links = append(links, strings.ReplaceAll(link, " ", "-"))
	}
	return links
}

// matches returns what the first group of a pattern matches, each text once.
func matches(text, pattern string) []string {
	found := make(map[string]bool)
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[match[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
