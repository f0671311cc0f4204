package documents

import (
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documentPaths returns the Markdown files of the repository.
func documentPaths(t *testing.T) []string {
	t.Helper()
	var paths []string
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git"):
			return filepath.SkipDir
		case filepath.Ext(path) == ".md":
			paths = append(paths, path)
		}
		return nil
	}))
	require.NotEmpty(t, paths)
	return paths
}

func readFile(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(text)
}

// codeBlocks returns the fenced blocks of a Markdown text that are in a language.
func codeBlocks(text, language string) []string {
	return matches(text, "(?ms)^```"+language+"\n(.*?)^```$")
}

// matches returns what the first group of a pattern matches, each text once.
func matches(text, pattern string) []string {
	found := make(map[string]bool)
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found[match[1]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func TestLinksResolve(t *testing.T) {
	t.Parallel()
	for _, document := range documentPaths(t) {
		for _, link := range matches(readFile(t, document), `\]\(([^)\s]+)\)`) {
			target, err := url.Parse(link)
			require.NoError(t, err, document)
			if target.Scheme != "" {
				continue // outside of the repository
			}
			path := document
			if target.Path != "" {
				path = filepath.Join(filepath.Dir(document), target.Path)
			}
			info, err := os.Stat(path)
			if !assert.NoError(t, err, document) {
				continue
			}
			if info.IsDir() {
				path = filepath.Join(path, "README.md")
			}
			if target.Fragment != "" {
				assert.Contains(t, headings(t, path), target.Fragment, "%s: %s", document, link)
			}
		}
	}
}

// headings returns a document's headings, as links name them.
func headings(t *testing.T, document string) []string {
	t.Helper()
	var links []string
	for _, heading := range matches(readFile(t, document), `(?m)^#+ (.+)$`) {
		link := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading), "")
		links = append(links, strings.ReplaceAll(link, " ", "-"))
	}
	return links
}

func TestMakeTargetsExist(t *testing.T) {
	t.Parallel()
	targets := matches(readFile(t, root, "Makefile"), `(?m)^([a-z-]+):`)
	var named []string
	for _, document := range documentPaths(t) {
		text := readFile(t, document)
		for _, list := range append(matches(text, "`make ([a-z -]+)`"), matches(text, `(?m)^make ([a-z -]+)`)...) {
			named = append(named, strings.Fields(list)...)
		}
	}
	require.NotEmpty(t, named)
	assert.Subset(t, targets, named)
}
