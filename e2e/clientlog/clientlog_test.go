package clientlog_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/e2e/clientlog"
)

func TestLines(t *testing.T) {
	t.Parallel()
	var log clientlog.Log
	var loggers ldlog.Loggers
	loggers.SetBaseLogger(&log)
	loggers.Warnf("%d of %d", 1, 2)
	loggers.Info("2 of", 2)
	assert.Equal(t, []string{"WARN: 1 of 2", "INFO: 2 of 2"}, log.Lines(""))
	assert.Equal(t, []string{"INFO: 2 of 2"}, log.Lines("INFO:"))
}

func TestTookOutagesIn(t *testing.T) {
	t.Parallel()
	var log clientlog.Log
	assert.True(t, log.TookOutagesIn())
	for range 2 {
		log.Println("WARN: Detected persistent store unavailability; updates will be cached until it recovers")
		assert.False(t, log.TookOutagesIn())
		log.Println("WARN: Persistent store is available again")
		assert.False(t, log.TookOutagesIn())
		log.Println("WARN: Restarting stream to refresh data after feature store outage")
		assert.True(t, log.TookOutagesIn())
	}
}
