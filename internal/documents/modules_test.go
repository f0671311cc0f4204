package documents

import (
	"io/fs"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestDependabotUpdatesEveryModule(t *testing.T) {
	t.Parallel()
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directories []string
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(readFile(t, root, ".github", "dependabot.yml")), &config))
	var updated []string
	for _, update := range config.Updates {
		if update.Ecosystem == "gomod" {
			updated = append(updated, update.Directories...)
		}
	}

	var modules []string
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == "go.mod" {
			folder, relErr := filepath.Rel(root, filepath.Dir(file))
			require.NoError(t, relErr)
			modules = append(modules, path.Join("/", filepath.ToSlash(folder)))
		}
		return err
	}))
	assert.ElementsMatch(t, modules, updated)
}
