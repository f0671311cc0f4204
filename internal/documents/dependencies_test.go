package documents

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the package adds to a program that has the SDK and the AWS SDK is listed
// here. CONTRIBUTING.md says why each is there.
func TestDependencies(t *testing.T) {
	t.Parallel()
	var theirs []string
	for path := range strings.FieldsSeq(runGo(t, root, nil, "list", "-f", `{{join .Imports "\n"}}`, ".")) {
		if strings.HasPrefix(path, "github.com/aws/aws-sdk-go/") || strings.HasPrefix(path, "gopkg.in/launchdarkly/go-server-sdk.v4") {
			theirs = append(theirs, path)
		}
	}
	require.NotEmpty(t, theirs)

	added := dependencies(t, ".")
	for path := range dependencies(t, theirs...) {
		delete(added, path)
	}

	modules := slices.Compact(slices.Sorted(maps.Values(added)))
	assert.Equal(t, []string{modulePath, "github.com/puzpuzpuz/xsync/v4", "github.com/valyala/fastjson", "golang.org/x/sync"}, modules)
}

// dependencies returns the packages that are linked with the given ones, and the
// module of each. The standard library is left out.
func dependencies(t *testing.T, packages ...string) map[string]string {
	t.Helper()
	list := append([]string{"list", "-deps", "-f", "{{with .Module}}{{$.ImportPath}} {{.Path}}{{end}}"}, packages...)
	found := make(map[string]string)
	for line := range strings.Lines(runGo(t, root, nil, list...)) {
		path, module, isOfModule := strings.Cut(strings.TrimSpace(line), " ")
		if isOfModule {
			found[path] = module
		}
	}
	return found
}
