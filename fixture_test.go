package lddynamodb

import (
	"encoding/json"
	"errors"
	goflag "flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/ldlog"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// hangGuard ends a wait for what should come at once. No test depends on its length.
const hangGuard = time.Minute

func TestMain(m *testing.M) {
	_ = goflag.Set("test.parallel", "8") // most tests wait longer than they work; the command line has the last word
	_ = goflag.Set("rapid.seed", "1")    // the same histories each time; make fuzz-model tries others
	os.Exit(dynamolocal.RunTests(m))
}

// A fixture is a table of its own in DynamoDB Local, and what a test needs to make stores on it and to look at what
// they do.
type fixture struct {
	tb        testing.TB
	table     string
	client    *dynamodb.DynamoDB // neither recorded nor disturbed; nil in fake time
	transport *transport         // under the stores
	log       *logLines          // what the stores logged
	options   []FeatureStoreOption
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{
		tb:        tb,
		table:     fmt.Sprintf("%.200s-%08x", invalidInTableName.ReplaceAllString(tb.Name(), "_"), rand.Uint32()),
		transport: &transport{},
		log:       &logLines{},
	}
	f.client = f.newClient(http.DefaultTransport)
	f.createTable("namespace:S", "key:S")
	return f
}

// inFakeTime runs a test in which time passes only while all wait, and then at once. Its table is always empty,
// whatever is written to it: for anything else the test answers in DynamoDB's place.
func inFakeTime(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	_, err := dynamolocal.Endpoint() // before, because it is real
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		// An error after Close makes the SDK's wrapper ask for the status once more, after half a second.
		defer time.Sleep(time.Second)
		test(t, &fixture{tb: t, table: "no-table", transport: &transport{table: emptyTable}, log: &logLines{}})
	})
}

// sibling is another test's view of the same table, with a transport and a log of its own.
func (f *fixture) sibling(tb testing.TB) *fixture {
	return &fixture{tb: tb, table: f.table, client: f.client, transport: &transport{}, log: &logLines{}}
}

var invalidInTableName = regexp.MustCompile(`[^a-zA-Z0-9_.-]`)

func (f *fixture) awsConfig(roundTripper http.RoundTripper) *aws.Config {
	endpoint, err := dynamolocal.Endpoint()
	require.NoError(f.tb, err)
	return aws.NewConfig().WithEndpoint(endpoint).WithRegion("us-east-1").
		WithCredentials(credentials.NewStaticCredentials("id", "secret", "")).
		WithHTTPClient(&http.Client{Transport: roundTripper})
}

func (f *fixture) newClient(roundTripper http.RoundTripper) *dynamodb.DynamoDB {
	return f.newClientOf(f.awsConfig(roundTripper))
}

func (f *fixture) newClientOf(config *aws.Config) *dynamodb.DynamoDB {
	awsSession, err := session.NewSession(config)
	require.NoError(f.tb, err)
	return dynamodb.New(awsSession)
}

// createTable makes the fixture's table, with a partition key and possibly a sort key, each with its type behind a
// colon.
func (f *fixture) createTable(keys ...string) {
	f.tb.Helper()
	input := &dynamodb.CreateTableInput{
		TableName:   aws.String(f.table),
		BillingMode: aws.String(dynamodb.BillingModePayPerRequest),
	}
	for i, attribute := range keys {
		name, attributeType, _ := strings.Cut(attribute, ":")
		input.AttributeDefinitions = append(input.AttributeDefinitions, &dynamodb.AttributeDefinition{
			AttributeName: aws.String(name), AttributeType: aws.String(attributeType)})
		input.KeySchema = append(input.KeySchema, &dynamodb.KeySchemaElement{
			AttributeName: aws.String(name), KeyType: aws.String(dynamodb.KeyType_Values()[i])})
	}
	_, err := f.client.CreateTable(input)
	require.NoError(f.tb, err)
}

// newStore makes a store over the fixture's transport that returns an error for what it could not write, and closes it
// at the end of the test. The options come after those of the fixture. Each store has a client of its own, so it is
// like one of another process.
func (f *fixture) newStore(options ...FeatureStoreOption) ld.FeatureStore {
	f.tb.Helper()
	store, err := NewDynamoDBFeatureStore(f.table, f.connected(options)...)
	require.NoError(f.tb, err)
	f.tb.Cleanup(func() { _ = store.(io.Closer).Close() })
	return store
}

func (f *fixture) connected(options []FeatureStoreOption) []FeatureStoreOption {
	base := []FeatureStoreOption{ClientConfig(f.awsConfig(f.transport)), Logger(f.log)}
	if f.transport.table == nil {
		base = append(base, RequestTimeout(hangGuard)) // in real time, a busy machine takes its time
	}
	return slices.Concat(base, f.options, options)
}

// newSDKStore makes a store in the same way as the SDK does.
func (f *fixture) newSDKStore(config ld.Config, options ...FeatureStoreOption) ld.FeatureStore {
	f.tb.Helper()
	factory, err := NewDynamoDBFeatureStoreFactory(f.table, f.connected(options)...)
	require.NoError(f.tb, err)
	store, err := factory(config)
	require.NoError(f.tb, err)
	f.tb.Cleanup(func() { _ = store.(io.Closer).Close() })
	return store
}

// newFactory makes a factory with just these options. Its stores are closed at the end of the test.
func (f *fixture) newFactory(options ...FeatureStoreOption) func() (ld.FeatureStore, error) {
	f.tb.Helper()
	factory, err := NewDynamoDBFeatureStoreFactory(f.table, options...)
	require.NoError(f.tb, err)
	return func() (ld.FeatureStore, error) {
		store, err := factory(configLoggingTo(f.log))
		if err == nil {
			f.tb.Cleanup(func() { _ = store.(io.Closer).Close() })
		}
		return store, err
	}
}

// configLoggingTo is the SDK's configuration as a factory gets it.
func configLoggingTo(logger ldlog.BaseLogger) ld.Config {
	config := ld.Config{Offline: true} // no store looks at the table when it is made
	config.Loggers.SetBaseLogger(logger)
	return config
}

// rawItem is a row as DynamoDB has it.
type rawItem = map[string]*dynamodb.AttributeValue

func text(s string) *dynamodb.AttributeValue   { return &dynamodb.AttributeValue{S: aws.String(s)} }
func number(n string) *dynamodb.AttributeValue { return &dynamodb.AttributeValue{N: aws.String(n)} }

// rows returns the table's rows by "namespace/key".
func (f *fixture) rows() map[string]rawItem {
	f.tb.Helper()
	rows := make(map[string]rawItem)
	err := f.client.ScanPages(&dynamodb.ScanInput{TableName: aws.String(f.table), ConsistentRead: aws.Bool(true)},
		func(page *dynamodb.ScanOutput, _ bool) bool {
			for _, item := range page.Items {
				rows[*item[namespaceAttribute].S+"/"+*item[keyAttribute].S] = item
			}
			return true
		})
	require.NoError(f.tb, err)
	return rows
}

// putRow writes a row as it is, valid or not.
func (f *fixture) putRow(item rawItem) {
	f.tb.Helper()
	_, err := f.client.PutItem(&dynamodb.PutItemInput{TableName: aws.String(f.table), Item: item})
	require.NoError(f.tb, err)
}

// putFlagRow writes what a row has beside its primary key.
func (f *fixture) putFlagRow(key string, attributes rawItem) {
	f.tb.Helper()
	item := rowKey{ld.Features.GetNamespace(), key}.attributes()
	for name, value := range attributes {
		item[name] = value
	}
	f.putRow(item)
}

// deleteRow deletes a row past the stores.
func (f *fixture) deleteRow(key rowKey) {
	f.tb.Helper()
	_, err := f.client.DeleteItem(&dynamodb.DeleteItemInput{TableName: aws.String(f.table), Key: key.attributes()})
	require.NoError(f.tb, err)
}

// clear deletes all rows past the stores.
func (f *fixture) clear() error {
	f.tb.Helper()
	for _, row := range f.rows() {
		f.deleteRow(rowKey{*row[namespaceAttribute].S, *row[keyAttribute].S})
	}
	require.Empty(f.tb, f.rows())
	return nil
}

// requireHolds checks that the table has just these items and $inited.
func (f *fixture) requireHolds(items []ld.VersionedData) {
	f.tb.Helper()
	rows := f.rows()
	require.Contains(f.tb, rows, initedKey+"/"+initedKey)
	require.Len(f.tb, rows, len(items)+1)
	for _, item := range items {
		f.requireHoldsItem(rows, item)
	}
}

func (f *fixture) requireHoldsItem(rows map[string]rawItem, item ld.VersionedData) {
	f.tb.Helper()
	name := nameOf(item)
	require.Contains(f.tb, rows, name)
	require.Equal(f.tb, jsonOf(f.tb, item), *rows[name][itemAttribute].S, name)
	require.Equal(f.tb, fmt.Sprint(item.GetVersion()), *rows[name][versionAttribute].N, name)
}

// await ends the test where nothing comes.
func await[T any](tb testing.TB, what string, from <-chan T) T {
	tb.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(hangGuard):
		require.FailNow(tb, "waited in vain for "+what)
		panic("unreachable")
	}
}

// assertGet checks what a store has under a key; nil is nothing.
func assertGet(tb testing.TB, store ld.FeatureStore, kind ld.VersionedDataKind, key string, want ld.VersionedData) {
	tb.Helper()
	item, err := store.Get(kind, key)
	require.NoError(tb, err)
	if want == nil {
		// A nil pointer in an interface is not nil to callers.
		assert.True(tb, item == nil, "%s: expected a plain nil, not %#v", key, item)
		return
	}
	assert.Equal(tb, want, item)
}

// assertAll checks that a store has exactly these items of a kind.
func assertAll(tb testing.TB, store ld.FeatureStore, kind ld.VersionedDataKind, want ...ld.VersionedData) {
	tb.Helper()
	wanted := map[string]ld.VersionedData{}
	for _, item := range want {
		wanted[item.GetKey()] = item
	}
	items, err := store.All(kind)
	require.NoError(tb, err)
	assert.Equal(tb, wanted, items)
}

// assertHas checks what a store has of the flag f, in both ways to read it.
func assertHas(tb testing.TB, store ld.FeatureStore, want ld.VersionedData) {
	tb.Helper()
	assertGet(tb, store, ld.Features, "f", want)
	all, err := store.All(ld.Features)
	require.NoError(tb, err)
	if want == nil {
		assert.NotContains(tb, all, "f")
	} else {
		assert.Equal(tb, want, all["f"])
	}
	assertGet(tb, store, ld.Features, "f", want) // All must not have changed it
}

// logLines is a logger that keeps what it is told.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Println(values ...interface{}) { l.add(fmt.Sprintln(values...)) }
func (l *logLines) Printf(format string, values ...interface{}) {
	l.add(fmt.Sprintf(format, values...))
}

func (l *logLines) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSuffix(line, "\n"))
}

// all returns the lines of the stores and of the SDK.
func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// ofStores returns the stores' own lines, without the SDK's and those of level INFO, that contain all of the given
// texts.
func (l *logLines) ofStores(texts ...string) []string {
	return slices.DeleteFunc(l.all(), func(line string) bool {
		return strings.Contains(line, "INFO:") || slices.ContainsFunc(append([]string{"DynamoDBFeatureStore:"}, texts...), func(text string) bool {
			return !strings.Contains(line, text)
		})
	})
}

// flag makes a small flag.
func flag(key string, version int, prerequisites ...string) *ld.FeatureFlag {
	f := &ld.FeatureFlag{Key: key, Version: version, On: true, Salt: "salt", Variations: []interface{}{true, false}}
	for _, p := range prerequisites {
		f.Prerequisites = append(f.Prerequisites, ld.Prerequisite{Key: p, Variation: 0})
	}
	return f
}

// flagOfSize makes a flag whose JSON is longer by the given number of bytes.
func flagOfSize(key string, version, padding int) *ld.FeatureFlag {
	f := flag(key, version)
	f.Salt = strings.Repeat("s", padding)
	return f
}

// secretFlag makes a flag of which nothing must be seen in logs and errors.
func secretFlag(key string, version int) *ld.FeatureFlag {
	f := flag(key, version)
	f.Salt = secretInFlag
	return f
}

func deletedFlag(key string, version int) *ld.FeatureFlag {
	return &ld.FeatureFlag{Key: key, Version: version, Deleted: true}
}

// numberedFlags makes flags with numbered keys.
func numberedFlags(prefix string, n int) []ld.VersionedData {
	items := make([]ld.VersionedData, n)
	for i := range items {
		items[i] = flag(fmt.Sprintf("%s-%d", prefix, i), 1)
	}
	return items
}

func segment(key string, version int, included ...string) *ld.Segment {
	return &ld.Segment{Key: key, Version: version, Included: included, Salt: "salt"}
}

// experiments is a kind that the SDK knows nothing of. Its items have a JSON of their own.
var experiments experimentKind

type experimentKind struct{}

func (experimentKind) GetNamespace() string        { return "experiments" }
func (experimentKind) GetDefaultItem() interface{} { return &experiment{} }
func (experimentKind) MakeDeletedItem(key string, version int) ld.VersionedData {
	return &experiment{ID: key, Revision: version, Abandoned: true}
}

type experiment struct {
	ID         string             `json:"id"`
	Revision   int                `json:"revision"`
	Abandoned  bool               `json:"abandoned,omitempty"`
	Hypothesis string             `json:"hypothesis"`
	Shares     map[string]float64 `json:"shares"`
}

func (e *experiment) GetKey() string  { return e.ID }
func (e *experiment) GetVersion() int { return e.Revision }
func (e *experiment) IsDeleted() bool { return e.Abandoned }

func kindOf(item ld.VersionedData) ld.VersionedDataKind {
	switch item.(type) {
	case *ld.Segment:
		return ld.Segments
	case *experiment:
		return experiments
	default:
		return ld.Features
	}
}

// nameOf is an item's row, without a prefix, as "namespace/key".
func nameOf(item ld.VersionedData) string { return kindOf(item).GetNamespace() + "/" + item.GetKey() }

func jsonOf(t testing.TB, item ld.VersionedData) string {
	t.Helper()
	encoded, err := json.Marshal(item)
	require.NoError(t, err)
	return string(encoded)
}

// allData makes the argument of Init. The SDK's kinds are always in it, as the SDK has it.
func allData(items ...ld.VersionedData) map[ld.VersionedDataKind]map[string]ld.VersionedData {
	data := map[ld.VersionedDataKind]map[string]ld.VersionedData{ld.Features: {}, ld.Segments: {}}
	for _, item := range items {
		kind := kindOf(item)
		if data[kind] == nil {
			data[kind] = make(map[string]ld.VersionedData)
		}
		data[kind][item.GetKey()] = item
	}
	return data
}

// unusualKeys are different for DynamoDB, also where they look the same, and JSON has to escape some of them.
var unusualKeys = []string{
	"plain", "with spaces", " around ", " ", "tab\tand\nnewline",
	"slashes/and\\backslashes", "/", `\u0041`, ".", "..", "features/f",
	"colons:and:more", ":", "p:features", "$inited", "$deleted",
	`"double" and 'single' quotes`, "`backquotes`", "{\"S\":\"json\"}", "<html>&amp;</html>",
	"%s %d %%", "#name :value", "a=b&c=d?e+f", "null", "0", "-1", "true",
	"Case", "case",
	"größe", "日本語", "مفتاح", "ключ", "composed \u00e9", "composed e\u0301",
	"🚩", "🏳️‍🌈 and 👩🏽‍🚀", "\u2028", "\u2028line separator", "zero\u200bwidth", "\ufeffbyte order mark", "replacement \ufffd",
	"\x00", "\x01\x1f\x7f",
	strings.Repeat("k", 1000), strings.Repeat("k", maxSortKeyBytes), strings.Repeat("é", maxSortKeyBytes/2),
}

// secretInFlag is in flags that must not be seen in logs and errors.
const secretInFlag = "only-for-flags"

// malformedRows has rows of flags that hold no valid flag: for each key, what the row has beside its primary key.
var malformedRows = map[string]rawItem{
	"without-item":        {versionAttribute: number("3")},
	"without-both":        {},
	"item-number":         {versionAttribute: number("3"), itemAttribute: number("3")},
	"item-binary":         {versionAttribute: number("3"), itemAttribute: {B: []byte(flagJSON("item-binary", "3"))}},
	"item-bool":           {versionAttribute: number("3"), itemAttribute: {BOOL: aws.Bool(true)}},
	"item-null":           {versionAttribute: number("3"), itemAttribute: {NULL: aws.Bool(true)}},
	"item-list":           {versionAttribute: number("3"), itemAttribute: {L: []*dynamodb.AttributeValue{text("{}")}}},
	"item-map":            {versionAttribute: number("3"), itemAttribute: {M: rawItem{"key": text("item-map")}}},
	"item-set":            {versionAttribute: number("3"), itemAttribute: {SS: []*string{aws.String("{}")}}},
	"version-fraction":    {versionAttribute: number("1.5"), itemAttribute: text(flagJSON("version-fraction", "1.5"))},
	"json-empty":          {versionAttribute: number("3"), itemAttribute: text("")},
	"json-cut-off":        {versionAttribute: number("3"), itemAttribute: text(strings.TrimSuffix(flagJSON("json-cut-off", "3"), "}"))},
	"json-continued":      {versionAttribute: number("3"), itemAttribute: text(flagJSON("json-continued", "3") + secretInFlag)},
	"json-null":           {versionAttribute: number("0"), itemAttribute: text("null")},
	"json-array":          {versionAttribute: number("3"), itemAttribute: text("[]")},
	"json-string":         {versionAttribute: number("3"), itemAttribute: text(strconv.Quote(secretInFlag))},
	"json-number":         {versionAttribute: number("3"), itemAttribute: text("424242")},
	"json-empty-object":   {itemAttribute: text("{}")},
	"json-version-string": {versionAttribute: number("3"), itemAttribute: text(flagJSON("json-version-string", `"3"`))},
	"json-wrong-type":     {versionAttribute: number("3"), itemAttribute: text(`{"key":"json-wrong-type","version":3,"salt":424242}`)},
	"json-wrong-rules":    {versionAttribute: number("3"), itemAttribute: text(`{"rules":[{"clauses":"` + secretInFlag + `"}]}`)},
}

func flagJSON(key, version string) string {
	return fmt.Sprintf(`{"key":%q,"version":%s,"on":true,"salt":%q}`, key, version, secretInFlag)
}

// newMalformedFixture has a table with all malformed rows, a flag and a deleted flag.
func newMalformedFixture(t *testing.T) *fixture {
	f := newFixture(t)
	store := f.newStore()
	require.NoError(t, store.Init(allData(flag("good", 7), flag("gone", 1))))
	require.NoError(t, store.Delete(ld.Features, "gone", 2))
	for key, attributes := range malformedRows {
		f.putFlagRow(key, attributes)
	}
	return f
}

// ttls has a cache TTL of each sort. None runs out while a test lasts.
var ttls = map[string]time.Duration{"no cache": 0, "cached": time.Hour, "cached forever": -1}

// cachingTTLs has those of ttls with which there is a cache.
var cachingTTLs = map[string]time.Duration{"cached": ttls["cached"], "cached forever": ttls["cached forever"]}

// refreshPolicies are those that keep stale values.
var refreshPolicies = map[string]StaleValuesPolicy{
	"RefreshStaleValues": RefreshStaleValues, "RefreshStaleValuesAsync": RefreshStaleValuesAsync,
}

// A storeCall is one of a store's methods, called for a flag. The result is that of the method, if it has any.
type storeCall func(store ld.FeatureStore, f *ld.FeatureFlag) (result interface{}, err error)

// calls has a call of each method.
var calls = map[string]storeCall{
	"Get":    func(s ld.FeatureStore, f *ld.FeatureFlag) (interface{}, error) { return s.Get(ld.Features, f.Key) },
	"All":    func(s ld.FeatureStore, _ *ld.FeatureFlag) (interface{}, error) { return s.All(ld.Features) },
	"Init":   func(s ld.FeatureStore, f *ld.FeatureFlag) (interface{}, error) { return nil, s.Init(allData(f)) },
	"Upsert": func(s ld.FeatureStore, f *ld.FeatureFlag) (interface{}, error) { return nil, s.Upsert(ld.Features, f) },
	"Delete": func(s ld.FeatureStore, f *ld.FeatureFlag) (interface{}, error) {
		return nil, s.Delete(ld.Features, f.Key, f.Version)
	},
	"Initialized": func(s ld.FeatureStore, _ *ld.FeatureFlag) (interface{}, error) {
		if !s.Initialized() {
			return false, errNotInitialized
		}
		return true, nil
	},
}

var errNotInitialized = errors.New("the store is not initialized")

// callOf has the method that needs each of the actions of DynamoDB.
var callOf = map[string]storeCall{
	"GetItem": calls["Get"], "Query": calls["All"], "PutItem": calls["Upsert"], "BatchWriteItem": calls["Init"],
}

// Calls with their arguments, to be made later.

func get(store ld.FeatureStore, key string) func() error {
	return func() error { _, err := store.Get(ld.Features, key); return err }
}

func all(store ld.FeatureStore) func() error {
	return func() error { _, err := store.All(ld.Features); return err }
}

func upsert(store ld.FeatureStore, item ld.VersionedData) func() error {
	return func() error { return store.Upsert(kindOf(item), item) }
}

func initWith(store ld.FeatureStore, items ...ld.VersionedData) func() error {
	return func() error { return store.Init(allData(items...)) }
}

// The actions of DynamoDB that the store needs, in alphabetical order, as in the documented IAM policies.
var (
	readActions      = []string{"GetItem", "Query"}
	readWriteActions = []string{"BatchWriteItem", "GetItem", "PutItem", "Query"}
)

func (f *fixture) hasEnded(outages int) func() bool {
	return func() bool { return len(f.log.ofStores("WARN:", "can be used again")) == outages }
}

var outageModes = map[string][]FeatureStoreOption{
	"no cache":                        {CacheTTL(0)},
	"cached forever":                  {CacheTTL(-1)},
	"cached, EvictStaleValues":        {CacheTTL(time.Second), StaleValues(EvictStaleValues)},
	"cached, RefreshStaleValues":      {CacheTTL(time.Second), StaleValues(RefreshStaleValues)},
	"cached, RefreshStaleValuesAsync": {CacheTTL(time.Second), StaleValues(RefreshStaleValuesAsync)},
}
