package dynamolocal

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	registryPackage = "emulator-for-tests"
	registryVersion = "1.0.0"
)

// registry is an npm registry that serves one small package.
type registry struct {
	server  *httptest.Server
	archive []byte
	count   atomic.Int32
	started chan struct{} // gets a value for each download
	gate    sync.RWMutex  // held, downloads wait
}

// newRegistry has npm use a registry with an archive of its own, which it
// returns too.
func newRegistry(t *testing.T) (archive []byte, r *registry) {
	t.Helper()
	r = &registry{archive: emulatorArchive(t), started: make(chan struct{}, 100)}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)

	settings := filepath.Join(t.TempDir(), "npmrc")
	require.NoError(t, os.WriteFile(settings, nil, 0o600))
	t.Setenv("npm_config_userconfig", settings)
	t.Setenv("npm_config_registry", r.server.URL)
	t.Setenv("npm_config_cache", t.TempDir())
	t.Setenv("npm_config_fetch_retries", "0")
	return r.archive, r
}

func (r *registry) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	switch request.URL.Path {
	case "/" + registryPackage:
		response.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(response, `{"name": %[1]q, "dist-tags": {"latest": %[2]q}, "versions": {%[2]q:
			{"name": %[1]q, "version": %[2]q, "dist": {"tarball": %[3]q}}}}`,
			registryPackage, registryVersion, r.server.URL+"/archive.tgz")
	case "/archive.tgz":
		r.count.Add(1)
		r.started <- struct{}{}
		r.gate.RLock()
		defer r.gate.RUnlock()
		_, _ = response.Write(r.archive)
	default:
		http.NotFound(response, request)
	}
}

func (r *registry) downloads() int { return int(r.count.Load()) }

// holdDownloads has every download wait for a call of release.
func (r *registry) holdDownloads(t *testing.T) (release func()) {
	r.gate.Lock()
	release = sync.OnceFunc(r.gate.Unlock)
	t.Cleanup(release)
	return release
}

func (r *registry) awaitDownload(t *testing.T) {
	t.Helper()
	select {
	case <-r.started:
	case <-time.After(hangGuard):
		t.Fatal("npm asks for no download")
	}
}
