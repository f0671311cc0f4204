package documents

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Each test installs the package in one of the ways that the documents describe,
// for the README's program in a folder of its own, and builds that program.

func TestInstallFromAFolder(t *testing.T) {
	t.Parallel()
	folder := newUserModule(t)
	replaceInModule(t, folder, absolute(t, root), "")

	runGo(t, folder, nil, "mod", "tidy")
	runGo(t, folder, nil, "build", "-o", os.DevNull, ".")
}

func TestInstallAFork(t *testing.T) {
	t.Parallel()
	fork := module.Version{Path: "example.com/you/lddynamodb", Version: "v1.0.0"}
	environment := []string{
		"GOPROXY=file://" + serve(t, fork) + "," + goEnv(t, "GOPROXY"),
		"GONOSUMDB=example.com/you," + goEnv(t, "GONOSUMDB"), // GOPRIVATE would pass over the proxy, too
		"GOMODCACHE=" + overlay(t, goEnv(t, "GOMODCACHE")),
		"GOFLAGS=-modcacherw", // the test's folder is removed afterwards
	}
	folder := newUserModule(t)
	replaceInModule(t, folder, fork.Path, fork.Version)

	runGo(t, folder, environment, "mod", "tidy")
	runGo(t, folder, environment, "build", "-o", os.DevNull, ".")
}

// Programs from the time of the SDK's version 4 may have no go.mod, but all that
// they need in a vendor folder.
func TestInstallIntoAVendorFolder(t *testing.T) {
	t.Parallel()
	folder := newUserModule(t)
	replaceInModule(t, folder, absolute(t, root), "")
	runGo(t, folder, nil, "mod", "tidy")
	runGo(t, folder, nil, "mod", "vendor")
	gopath := t.TempDir()
	program := filepath.Join(gopath, "src", "example.com", "flags")
	require.NoError(t, os.MkdirAll(program, 0o700))
	writeFile(t, readmeProgram(t), program, "main.go")
	require.NoError(t, os.Rename(filepath.Join(folder, "vendor"), filepath.Join(program, "vendor")))

	gopathMode := []string{"GO111MODULE=off", "GOPATH=" + gopath}
	runGo(t, program, gopathMode, "build", "-o", os.DevNull, ".")

	// In place of the SDK's own package, it needs no other import.
	const sdksOwn = "gopkg.in/launchdarkly/go-server-sdk.v4/lddynamodb"
	place := filepath.Join(program, "vendor", filepath.FromSlash(sdksOwn))
	require.NoError(t, os.RemoveAll(place))
	require.NoError(t, os.Rename(filepath.Join(program, "vendor", filepath.FromSlash(modulePath)), place))
	writeFile(t, strings.Replace(readmeProgram(t), modulePath, sdksOwn, 1), program, "main.go")
	runGo(t, program, gopathMode, "build", "-o", os.DevNull, ".")
}

// serve makes a folder that the go command takes for a module proxy, in which
// this module has another path, as a fork of it has.
func serve(t *testing.T, fork module.Version) (proxy string) {
	t.Helper()
	proxy = t.TempDir()
	versions := filepath.Join(proxy, fork.Path, "@v")
	require.NoError(t, os.MkdirAll(versions, 0o700))
	writeFile(t, fork.Version+"\n", versions, "list")
	writeFile(t, `{"Version": "`+fork.Version+`"}`, versions, fork.Version+".info")
	writeFile(t, readFile(t, root, "go.mod"), versions, fork.Version+".mod")
	archive, err := os.Create(filepath.Join(versions, fork.Version+".zip"))
	require.NoError(t, err)
	require.NoError(t, zip.CreateFromDir(archive, fork, root))
	require.NoError(t, archive.Close())
	return proxy
}

// overlay makes a module cache that shares all modules with another one but
// those that are not there yet, so that the other one stays free of forks.
func overlay(t *testing.T, modules string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	download := filepath.Join("cache", "download")
	require.NoError(t, os.MkdirAll(filepath.Join(folder, download), 0o700))
	for _, part := range []string{"", download} {
		entries, err := os.ReadDir(filepath.Join(modules, part))
		require.NoError(t, err)
		for _, entry := range entries {
			if name := entry.Name(); name != "cache" && name != "example.com" {
				require.NoError(t, os.Symlink(filepath.Join(modules, part, name), filepath.Join(folder, part, name)))
			}
		}
	}
	return folder
}

// newUserModule makes a folder with the README's program, and with a go.mod that
// has the README's lines but no replacement of this module.
func newUserModule(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	writeFile(t, readmeProgram(t), folder, "main.go")
	var required []string
	for _, block := range codeBlocks(readFile(t, root, "README.md"), "[a-z.]*") {
		if strings.Contains(block, "require (") {
			required = append(required, block)
		}
	}
	require.Len(t, required, 1, "blocks with lines for go.mod")
	writeFile(t, "module example.com/flags\n\ngo 1.25.0\n\n"+required[0], folder, "go.mod")
	editModule(t, folder, func(module *modfile.File) {
		for _, replace := range slices.Clone(module.Replace) {
			require.NoError(t, module.DropReplace(replace.Old.Path, replace.Old.Version))
		}
	})
	return folder
}

func readmeProgram(t *testing.T) string {
	t.Helper()
	var programs []string
	for _, block := range codeBlocks(readFile(t, root, "README.md"), "go") {
		if strings.HasPrefix(block, "package main\n") {
			programs = append(programs, block)
		}
	}
	require.Len(t, programs, 1)
	return programs[0]
}

// replaceInModule adds "replace <this module> => path version".
func replaceInModule(t *testing.T, folder, path, version string) {
	t.Helper()
	editModule(t, folder, func(module *modfile.File) {
		require.NoError(t, module.AddReplace(modulePath, "", path, version))
	})
}

func editModule(t *testing.T, folder string, edit func(*modfile.File)) {
	t.Helper()
	module, err := modfile.Parse("go.mod", []byte(readFile(t, folder, "go.mod")), nil)
	require.NoError(t, err)
	edit(module)
	module.Cleanup()
	text, err := module.Format()
	require.NoError(t, err)
	writeFile(t, string(text), folder, "go.mod")
}
