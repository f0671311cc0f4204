// Package payload holds the flags, segments and users that the demo and the
// tests of this module work with, in LaunchDarkly's own JSON formats.
package payload

import (
	_ "embed"
	"slices"
)

var (
	//go:embed payload.json
	flagsAndSegments []byte
	//go:embed users.json
	users []byte
)

// JSON returns the flags and segments of one environment, as LaunchDarkly's
// streaming service sends them.
func JSON() []byte { return slices.Clone(flagsAndSegments) }

// Users returns a JSON array of users, in the form that SDKs of every age
// accept: key, well-known attributes, and all others under "custom".
func Users() []byte { return slices.Clone(users) }
