package lddynamodb

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
)

func TestArgumentsThatMakeNoSenseAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		table  string
		option FeatureStoreOption
		says   string
	}{
		"an empty table name":            {"", CacheTTL(0), "table name is empty"},
		"a nil option":                   {"t", nil, "option 2 of 3 is nil"},
		"a nil listener":                 {"t", StatusListener(nil), "listener is nil"},
		"a nil client":                   {"t", DynamoClient(nil), "client is nil"},
		"a client that is a nil pointer": {"t", DynamoClient((*dynamodb.DynamoDB)(nil)), "client is nil"},
		"a negative request timeout":     {"t", RequestTimeout(-time.Nanosecond), "-1ns is negative"},
		"a policy above those there are": {"t", StaleValues(RefreshStaleValuesAsync + 1), "no StaleValuesPolicy 3"},
		"a policy below those there are": {"t", StaleValues(-1), "no StaleValuesPolicy -1"},
		"a prefix that is no text":       {"t", Prefix("\xff"), "UTF-8"},
		"a prefix that fits into no key": {"t", Prefix(strings.Repeat("p", 1017)), "1017 bytes, over the limit of 1016"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := []FeatureStoreOption{Prefix("p"), test.option, CacheTTL(time.Minute)}
			factory, err := NewDynamoDBFeatureStoreFactory(test.table, options...)
			assert.ErrorContains(t, err, "lddynamodb: ")
			assert.ErrorContains(t, err, test.says)
			assert.Nil(t, factory)
			store, err := NewDynamoDBFeatureStore(test.table, options...)
			assert.ErrorContains(t, err, "lddynamodb: ")
			assert.ErrorContains(t, err, test.says)
			assert.True(t, store == nil, "a plain nil")
		})
	}
}

func TestArgumentsAtTheirLimitsWork(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]FeatureStoreOption{
		"the longest prefix":    Prefix(strings.Repeat("p", 1016)),
		"an empty prefix":       Prefix(""),
		"no request timeout":    RequestTimeout(0),
		"the shortest TTL":      CacheTTL(1),
		"the longest TTL":       CacheTTL(1<<63 - 1),
		"any negative TTL":      CacheTTL(-1 << 63),
		"the first policy":      StaleValues(EvictStaleValues),
		"the last policy":       StaleValues(RefreshStaleValuesAsync),
		"no client config":      ClientConfig(nil),
		"no logger":             Logger(nil),
		"empty session options": SessionOptions(session.Options{}),
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore(option).Init(allData(flag("f", 1))))
			store := f.newStore(option)
			assert.True(t, store.Initialized())
			assertGet(t, store, ld.Features, "f", flag("f", 1))
			assertAll(t, store, ld.Features, flag("f", 1))
		})
	}
}

// A store logs to its option, or else to the SDK's loggers. The SDK's level counts.
func TestWhereAStoreLogs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		minLevel           ldlog.LogLevel
		hasOption          bool
		inOption, inConfig int
	}{
		"without the option":                {ldlog.Info, false, 0, 1},
		"with it":                           {ldlog.Info, true, 1, 0},
		"without it, where levels are less": {ldlog.Error, false, 0, 0},
		"with it, where levels are less":    {ldlog.Error, true, 0, 0},
	} {
		runInFakeTime(t, name, func(t *testing.T, f *fixture) {
			config, own := configLoggingTo(f.log), &logLines{}
			config.Loggers.SetMinLevel(c.minLevel)
			option := Logger(nil)
			if c.hasOption {
				option = Logger(own)
			}
			f.transport.setInterceptor(denying())
			require.Error(t, get(f.newSDKStore(config, option), "f")())
			time.Sleep(time.Second)
			assert.Len(t, f.log.ofStores("WARN: DynamoDBFeatureStore: "), c.inConfig)
			assert.Len(t, own.ofStores("WARN: DynamoDBFeatureStore: "), c.inOption)
			config.Loggers.Error("not by the store")
			assert.Empty(t, f.log.ofStores("not by the store"), "the prefix is set on a copy")
		})
	}
}
