package documents

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Each test installs the package in one of the ways that the documents describe,
// for the README's program in a folder of its own, and builds that program.

func TestInstallFromAFolder(t *testing.T) {
	t.Parallel()
	folder := newUserModule(t, absolute(t, root))

	runGo(t, folder, nil, "mod", "tidy")
	runGo(t, folder, nil, "build", "-o", os.DevNull, ".")

	const sdk = "gopkg.in/launchdarkly/go-server-sdk.v4"
	assert.Equal(t, requiredVersion(t, root, sdk), requiredVersion(t, folder, sdk))
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
	folder := newUserModule(t, fork.String())

	runGo(t, folder, environment, "mod", "tidy")
	runGo(t, folder, environment, "build", "-o", os.DevNull, ".")
}

// Programs from the time of the SDK's version 4 may have no go.mod, but all that
// they need in a vendor folder.
func TestInstallIntoAVendorFolder(t *testing.T) {
	t.Parallel()
	folder := newUserModule(t, absolute(t, root))
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

// newUserModule makes a module with the README's program and its "go mod edit",
// but with another replacement of this module.
func newUserModule(t *testing.T, replacement string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	writeFile(t, readmeProgram(t), folder, "main.go")
	commands := matches(readFile(t, root, "README.md"), `(?m)^go (mod edit .+)$`)
	require.Len(t, commands, 1)
	arguments := strings.Fields(commands[0])
	const replace = "-replace=" + modulePath + "="
	i := slices.IndexFunc(arguments, func(argument string) bool { return strings.HasPrefix(argument, replace) })
	require.GreaterOrEqual(t, i, 0)
	arguments[i] = replace + replacement
	runGo(t, folder, nil, "mod", "init", "example.com/flags")
	runGo(t, folder, nil, arguments...)
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

// requiredVersion returns the version of a module that the go.mod in a folder
// requires.
func requiredVersion(t *testing.T, folder, path string) string {
	t.Helper()
	file, err := modfile.Parse("go.mod", []byte(readFile(t, folder, "go.mod")), nil)
	require.NoError(t, err)
	i := slices.IndexFunc(file.Require, func(r *modfile.Require) bool { return r.Mod.Path == path })
	require.GreaterOrEqual(t, i, 0, path)
	return file.Require[i].Mod.Version
}
