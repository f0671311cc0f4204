package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// installed is what npm writes last of all.
const installed = "node_modules/.package-lock.json"

// installPackages has npm install what package-lock.json says, unless it did so
// since that file changed.
func installPackages() error {
	for _, command := range []string{"node", "npm"} {
		if _, err := exec.LookPath(command); err != nil {
			return fmt.Errorf("these tests need Node.js 18 or newer with npm (Debian: apt-get install nodejs npm, macOS: brew install node): %w", err)
		}
	}
	current, err := isNewer(installed, "package-lock.json")
	if current || err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "Installing the SDK for Node.js")
	if printed, err := exec.Command("npm", "ci", "--loglevel=error").CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci failed, is the network there? %w: %s", err, strings.TrimSpace(string(printed)))
	}
	return nil
}

// isNewer tells whether a file is there and newer than another one.
func isNewer(file, than string) (bool, error) {
	old, err := os.Stat(than)
	if err != nil {
		return false, err
	}
	info, err := os.Stat(file)
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return info.ModTime().After(old.ModTime()), nil
}
