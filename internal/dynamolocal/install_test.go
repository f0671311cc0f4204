package dynamolocal

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests run the real npm, against a registry of their own. They set
// environment variables for it and so can't run in parallel.

func TestInstallFetchesOnce(t *testing.T) {
	archive, registry := newRegistry(t)
	cache := t.TempDir()

	for range 2 {
		folder, err := testDistribution(archive).install(guardedContext(t), cache)
		require.NoError(t, err)
		assert.Equal(t, []string{emulatorJar, "lib/a.jar"}, filesIn(t, folder))
	}

	assert.Equal(t, 1, registry.downloads())
	assert.Empty(t, leftovers(t, cache))
}

func TestInstallByManyProcessesFetchesOnce(t *testing.T) {
	archive, registry := newRegistry(t)
	cache := t.TempDir()
	var children []*child
	for range 4 {
		children = append(children, startInstallingChild(t, cache, archive))
	}

	for _, child := range children {
		assert.FileExists(t, filepath.Join(child.readLine(t), emulatorJar))
		require.NoError(t, child.Wait())
	}

	assert.Equal(t, 1, registry.downloads())
}

func TestInstallAfterAnotherProcessWasKilledInTheMiddle(t *testing.T) {
	archive, registry := newRegistry(t)
	release := registry.holdDownloads(t)
	cache := t.TempDir()
	killed := startInstallingChild(t, cache, archive)
	registry.awaitDownload(t)
	require.NoError(t, killed.Process.Kill())
	require.Error(t, killed.Wait())
	require.NotEmpty(t, leftovers(t, cache))
	release()

	folder, err := testDistribution(archive).install(guardedContext(t), cache)

	require.NoError(t, err)
	assert.Equal(t, []string{emulatorJar, "lib/a.jar"}, filesIn(t, folder))
	assert.Empty(t, leftovers(t, cache))
}

func TestInstallReplacesAnIncompleteFolder(t *testing.T) {
	archive, _ := newRegistry(t)
	cache := t.TempDir()
	distribution := testDistribution(archive)
	incomplete := filepath.Join(cache, distribution.name+"-"+distribution.version)
	require.NoError(t, os.Mkdir(incomplete, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(incomplete, "old.jar"), nil, 0o600))

	folder, err := distribution.install(guardedContext(t), cache)

	require.NoError(t, err)
	assert.Equal(t, []string{emulatorJar, "lib/a.jar"}, filesIn(t, folder))
}

func TestInstallRefusesAnotherFileThanTheCheckedOne(t *testing.T) {
	archive, _ := newRegistry(t)
	cache := t.TempDir()
	distribution := testDistribution(archive)
	distribution.sha256 = dynamoDBLocal.sha256

	folder, err := distribution.install(guardedContext(t), cache)

	require.ErrorContains(t, err, distribution.sha256)
	assert.Empty(t, folder)
	assert.Empty(t, leftovers(t, cache))
}

func TestInstallNamesAMissingNetwork(t *testing.T) {
	archive, registry := newRegistry(t)
	registry.server.Close()

	_, err := testDistribution(archive).install(guardedContext(t), t.TempDir())

	require.ErrorContains(t, err, "is the network there?")
	assert.ErrorContains(t, err, "ECONNREFUSED")
	assert.NotContains(t, err.Error(), "\n")
}

func TestInstallNamesMissingNPM(t *testing.T) {
	t.Setenv("PATH", t.TempDir())

	_, err := testDistribution(nil).install(guardedContext(t), t.TempDir())

	require.ErrorContains(t, err, "npm is needed: install Node.js")
	assert.NotContains(t, err.Error(), "\n")
}

func TestInstallWaitsForTheLockNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	distribution := testDistribution(nil)
	unlock, err := lock(guardedContext(t), filepath.Join(cache, distribution.name+"-"+distribution.version+".lock"))
	require.NoError(t, err)
	defer unlock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	_, err = distribution.install(ctx, cache)

	require.ErrorIs(t, err, context.Canceled)
}

func TestInstallTellsWhereItCannotWrite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	_, err := testDistribution(nil).install(guardedContext(t), filepath.Join(file, "cache"))

	require.ErrorContains(t, err, "make the cache folder")
}

func emulatorArchive(t *testing.T) []byte {
	return buildArchive(t,
		tar.Header{Name: "package/package.json"},
		tar.Header{Name: "package/emulator/" + emulatorJar},
		tar.Header{Name: "package/emulator/lib/a.jar"},
	)
}

func testDistribution(archive []byte) distribution {
	sum := sha256.Sum256(archive)
	return distribution{name: registryPackage, version: registryVersion, sha256: hex.EncodeToString(sum[:])}
}

func leftovers(t *testing.T, cache string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(cache, "*.tmp-*"))
	require.NoError(t, err)
	return found
}

const (
	childCache  = "DYNAMOLOCAL_TEST_CACHE"
	childSHA256 = "DYNAMOLOCAL_TEST_SHA256"
)

func startInstallingChild(t *testing.T, cache string, archive []byte) *child {
	t.Helper()
	return startChild(t, "install", childCache+"="+cache, childSHA256+"="+testDistribution(archive).sha256)
}

func installAsChild() error {
	distribution := distribution{name: registryPackage, version: registryVersion, sha256: os.Getenv(childSHA256)}
	folder, err := distribution.install(context.Background(), os.Getenv(childCache))
	if err != nil {
		return err
	}
	fmt.Println(folder)
	return nil
}
