// Package ldclient is the part of the LaunchDarkly Go SDK, major version 4, that a feature store compiles and runs
// against. It has no client and evaluates no flags. README.md says why it is here.
package ldclient
