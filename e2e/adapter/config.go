package adapter

import (
	"time"

	"github.com/launchdarkly/go-sdk-common/v3/ldlog"
	ldclient "github.com/launchdarkly/go-server-sdk/v7"
	"github.com/launchdarkly/go-server-sdk/v7/ldcomponents"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	v4log "gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

// reconnectDelay is shorter than the SDK's default of a second, to keep tests
// short. The SDK adds jitter, and doubles it at each failure.
const reconnectDelay = 100 * time.Millisecond

// StreamingConfig is for a v7 client that gets its flags from the streaming
// server at url and keeps them in the factory's store. Both SDKs log to logger,
// or nowhere where that is nil.
func StreamingConfig(url string, factory ld.FeatureStoreFactory, logger ld.Logger) ldclient.Config {
	config := DaemonConfig(factory, logger)
	config.DataSource = ldcomponents.StreamingDataSource().InitialReconnectDelay(reconnectDelay)
	config.ServiceEndpoints = ldcomponents.RelayProxyEndpoints(url)
	return config
}

// DaemonConfig is for a v7 client in daemon mode: it reads the factory's store
// and connects to nothing else.
func DaemonConfig(factory ld.FeatureStoreFactory, logger ld.Logger) ldclient.Config {
	v4Config := ld.DefaultConfig
	var loggers ldlog.Loggers
	if logger == nil {
		v4Config.Loggers.SetMinLevel(v4log.None)
		loggers.SetMinLevel(ldlog.None)
	} else {
		v4Config.Loggers.SetBaseLogger(logger)
		loggers.SetBaseLogger(logger)
	}
	return ldclient.Config{
		DataSource:       ldcomponents.ExternalUpdatesOnly(),
		DataStore:        DataStore(factory, v4Config),
		Events:           ldcomponents.NoEvents(),
		DiagnosticOptOut: true,
		Logging:          ldcomponents.Logging().Loggers(loggers),
	}
}
