module gopkg.in/launchdarkly/go-server-sdk.v4

go 1.25.0
