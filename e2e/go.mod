module github.com/launchdarkly/go-server-sdk/lddynamodb/e2e

go 1.25.0

require (
	github.com/aws/aws-sdk-go v1.55.8
	github.com/launchdarkly/eventsource v1.11.0
	github.com/launchdarkly/go-server-sdk/lddynamodb v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
	golang.org/x/sync v0.20.0
	gopkg.in/launchdarkly/go-sdk-common.v1 v1.0.0-20200401173443-991b2f427a01
	gopkg.in/launchdarkly/go-server-sdk.v4 v4.0.0-20200729232655-2a44fb361895
)

require (
	github.com/blang/semver v3.5.1+incompatible // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/gregjones/httpcache v0.0.0-20190611155906-901d90724c79 // indirect
	github.com/jmespath/go-jmespath v0.4.0 // indirect
	github.com/patrickmn/go-cache v2.1.0+incompatible // indirect
	github.com/segmentio/asm v1.1.3 // indirect
	github.com/segmentio/encoding v0.5.4 // indirect
	github.com/valyala/fastjson v1.6.10 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.38.0 // indirect
	gopkg.in/yaml.v2 v2.3.0 // indirect
)

replace github.com/launchdarkly/go-server-sdk/lddynamodb => ../
