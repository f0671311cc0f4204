module github.com/launchdarkly/go-server-sdk/lddynamodb

go 1.25.0

require gopkg.in/launchdarkly/go-server-sdk.v4 v4.0.0-20200729232655-2a44fb361895

// The SDK has no module of its own and this repository builds without it: see
// internal/sdkv4/README.md. A replace counts only here, so applications that
// depend on this package get the real SDK.
replace gopkg.in/launchdarkly/go-server-sdk.v4 => ./internal/sdkv4
