package ldclient

import (
	"time"

	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

// Logger takes log output. The standard library's *log.Logger is one.
type Logger interface {
	Println(values ...interface{})
	Printf(format string, values ...interface{})
}

// Config holds the client's settings, as far as they matter to a feature store.
type Config struct {
	BaseUri   string
	StreamUri string
	EventsUri string
	// Logger, where not nil, becomes the base logger of Loggers when a client is made.
	Logger  Logger
	Loggers ldlog.Loggers
	// FeatureStore is the store to use where FeatureStoreFactory is nil.
	FeatureStore        FeatureStore
	FeatureStoreFactory FeatureStoreFactory
	Stream              bool
	// UseLdd makes the client read the store only, and never connect to LaunchDarkly.
	UseLdd       bool
	SendEvents   bool
	Offline      bool
	PollInterval time.Duration
	Timeout      time.Duration
}

// DefaultConfig is the configuration that applications copy and change.
var DefaultConfig = Config{
	BaseUri:      "https://app.launchdarkly.com",
	StreamUri:    "https://stream.launchdarkly.com",
	EventsUri:    "https://events.launchdarkly.com",
	Stream:       true,
	SendEvents:   true,
	PollInterval: 30 * time.Second,
	Timeout:      3 * time.Second,
}
