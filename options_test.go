package lddynamodb

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
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
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			require.NoError(t, f.newStore(option).Init(allData(flag("f", 1))))

			store := f.newStore(option)

			assert.True(t, store.Initialized())
			assertGet(t, store, ld.Features, "f", flag("f", 1))
			assertAll(t, store, ld.Features, flag("f", 1))
		})
	}
}

func TestTheLastOfAnOptionCounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore(Prefix("first"), CacheTTL(time.Hour), Prefix("last"), CacheTTL(0))
	require.NoError(t, store.Upsert(ld.Features, flag("f", 1)))
	require.NoError(t, f.newStore(Prefix("last")).Upsert(ld.Features, flag("f", 2)))

	assert.Contains(t, f.rows(), "last:features/f")
	assertGet(t, store, ld.Features, "f", flag("f", 2))
}

// Only the SDK's own wrapper can tell the SDK of outages.
func TestStoresAreTheSDKsWrapper(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, ttl := range ttls {
		wrapper, ok := f.newStore(CacheTTL(ttl)).(*utils.FeatureStoreWrapper)
		require.True(t, ok, name)
		assert.Equal(t, "DynamoDB", wrapper.GetDiagnosticsComponentTypeName(), name)
	}
}

// makeStoreThatLogs makes a store and has it log the beginning of an outage.
func makeStoreThatLogs(f *fixture, makeStore func(...FeatureStoreOption) (ld.FeatureStore, error), option FeatureStoreOption) {
	f.tb.Helper()
	f.transport.setInterceptor(denying())
	store, err := makeStore(ClientConfig(f.awsConfig(f.transport)), option)
	require.NoError(f.tb, err)
	f.tb.Cleanup(func() { _ = store.(io.Closer).Close() })
	_, err = store.Get(ld.Features, "f")
	require.Error(f.tb, err)
}

func TestTheLoggerOptionTakesTheLogFromTheSDKsLoggers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		minLevel           ldlog.LogLevel
		own                *logLines
		inOption, inConfig int
	}{
		"without the option":                {ldlog.Info, nil, 0, 1},
		"with it":                           {ldlog.Info, &logLines{}, 1, 0},
		"without it, where levels are less": {ldlog.Error, nil, 0, 0},
		"with it, where levels are less":    {ldlog.Error, &logLines{}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			config := configLoggingTo(f.log)
			config.Loggers.SetMinLevel(test.minLevel)
			option := Logger(nil)
			if test.own != nil {
				option = Logger(test.own)
			}

			makeStoreThatLogs(f, func(options ...FeatureStoreOption) (ld.FeatureStore, error) {
				factory, err := NewDynamoDBFeatureStoreFactory(f.table, options...)
				require.NoError(t, err)
				return factory(config)
			}, option)

			assert.Len(t, f.log.ofStores("WARN: DynamoDBFeatureStore: "), test.inConfig)
			if test.own != nil {
				assert.Len(t, test.own.ofStores("WARN: DynamoDBFeatureStore: "), test.inOption)
			}
			config.Loggers.Error("not by the store")
			assert.Empty(t, f.log.ofStores("not by the store"), "the prefix is set on a copy")
		})
	}
}

func TestTheDeprecatedConstructorMakesTheSameStore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store, err := NewDynamoDBFeatureStore(f.table, ClientConfig(f.awsConfig(f.transport)), Prefix("p"), CacheTTL(0))
	require.NoError(t, err)
	require.IsType(t, &utils.FeatureStoreWrapper{}, store)
	require.NoError(t, store.Init(allData(flag("f", 1))))

	assert.True(t, f.newStore(Prefix("p")).Initialized())
	assertGet(t, f.newStore(Prefix("p")), ld.Features, "f", flag("f", 1))

	assert.NoError(t, store.(io.Closer).Close())
}

func TestTheDeprecatedConstructorLogsToItsOption(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	makeStoreThatLogs(f, func(options ...FeatureStoreOption) (ld.FeatureStore, error) {
		return NewDynamoDBFeatureStore(f.table, options...)
	}, Logger(f.log))

	assert.Len(t, f.log.ofStores("WARN: DynamoDBFeatureStore: "), 1)
}
