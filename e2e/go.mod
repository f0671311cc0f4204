module github.com/launchdarkly/go-server-sdk/lddynamodb/e2e

go 1.25.0
