// Package ldconfig has the SDK's configurations for clients that use a local
// LaunchDarkly service, or none, and that look for no host outside.
package ldconfig

import (
	"time"

	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

// reconnectDelay is shorter than the SDK's default of a second, to keep tests
// short. The SDK adds jitter, and doubles it at each failure.
const reconnectDelay = 100 * time.Millisecond

// nowhere is the URL of LaunchDarkly for clients that are not to need it:
// nothing listens on port 1.
const nowhere = "http://127.0.0.1:1"

// Streaming is for a client that gets its flags from the stream of the service
// at url and keeps them in the factory's store. It logs to logger, or nowhere
// where that is nil.
func Streaming(url string, factory ld.FeatureStoreFactory, logger ld.Logger) ld.Config {
	return base(url, factory, logger)
}

// Polling is for a client that asks the service for all flags now and then: at
// its start, and then as often as the SDK allows, which is every 30 seconds.
func Polling(url string, factory ld.FeatureStoreFactory, logger ld.Logger) ld.Config {
	config := base(url, factory, logger)
	config.Stream = false
	return config
}

// Daemon is for a client in daemon mode: it reads the factory's store and
// connects to nothing else.
func Daemon(factory ld.FeatureStoreFactory, logger ld.Logger) ld.Config {
	config := base(nowhere, factory, logger)
	config.UseLdd = true
	return config
}

func base(url string, factory ld.FeatureStoreFactory, logger ld.Logger) ld.Config {
	config := ld.DefaultConfig
	config.BaseUri, config.StreamUri, config.EventsUri = url, url, url
	config.StreamInitialReconnectDelay = reconnectDelay
	config.SendEvents = false
	config.DiagnosticOptOut = true
	config.FeatureStoreFactory = factory
	if logger == nil {
		config.Loggers.SetMinLevel(ldlog.None)
	} else {
		config.Loggers.SetBaseLogger(logger)
	}
	return config
}
