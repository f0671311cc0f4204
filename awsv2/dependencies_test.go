package awsv2_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// packagesOfV1 returns the packages of the AWS SDK v1 that are linked with others, and
// their folders.
func packagesOfV1(t *testing.T, packages ...string) map[string]string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps", "-f", "{{.ImportPath}} {{.Dir}}"}, packages...)...)
	output, err := list.Output()
	require.NoError(t, err)
	found := make(map[string]string)
	for line := range strings.Lines(string(output)) {
		path, folder, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name, isV1 := strings.CutPrefix(path, "github.com/aws/aws-sdk-go/"); isV1 {
			found[name] = folder
		}
	}
	return found
}

// The document says how many packages of the AWS SDK v1 an application still has.
func TestDocumentCountsThePackagesOfV1(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join("..", "docs", "aws-sdk-v2.md"))
	require.NoError(t, err)
	ours, all := len(packagesOfV1(t, ".")), len(packagesOfV1(t, ".", ".."))
	text := strings.Join(strings.Fields(string(document)), " ")
	assert.Contains(t, text, "has "+strconv.Itoa(all)+" packages of the AWS SDK v1")
	assert.Contains(t, text, "`awsv2` itself imports "+strconv.Itoa(ours)+" of them")
}

// The packages that awsv2 has of the AWS SDK v1 have no code that opens a connection.
func TestPackagesOfV1OpenNoConnection(t *testing.T) {
	t.Parallel()
	opens := regexp.MustCompile(`\bnet\.Dial|\bnet\.Listen|\.RoundTrip\(|http\.(Get|Post|Head|DefaultClient)\b|HTTPClient\.Do\(`)
	comment := regexp.MustCompile(`(?m)//.*$`)
	find := func(folders map[string]string) (found []string) {
		for name, folder := range folders {
			files, err := filepath.Glob(filepath.Join(folder, "*.go"))
			require.NoError(t, err)
			for _, file := range files {
				text, err := os.ReadFile(file)
				require.NoError(t, err)
				code := comment.ReplaceAll(text, nil)
				if !strings.HasSuffix(file, "_test.go") && opens.Match(code) {
					found = append(found, name+" "+filepath.Base(file))
				}
			}
		}
		return found
	}
	assert.Empty(t, find(packagesOfV1(t, ".")))
	assert.NotEmpty(t, find(packagesOfV1(t, "..")), "these are never called: see v1Requests")
}

// v1Requests counts what goes through the HTTP client that the AWS SDK v1 uses where
// nobody gives it another one, as the tests do. TestMain requires that there is nothing.
var v1Requests atomic.Int64

type countV1Requests struct{ http.RoundTripper }

func (c countV1Requests) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.UserAgent(), "aws-sdk-go/1.") {
		v1Requests.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

func TestLicenseIsThatOfTheRepository(t *testing.T) {
	t.Parallel()
	ours, err := os.ReadFile("LICENSE")
	require.NoError(t, err)
	theirs, err := os.ReadFile(filepath.Join("..", "LICENSE"))
	require.NoError(t, err)
	assert.Equal(t, string(theirs), string(ours))
}
