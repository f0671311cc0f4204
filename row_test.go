package lddynamodb

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

func TestMalformedRowsHarmNoOthers(t *testing.T) {
	t.Parallel()
	table := newMalformedFixture(t)
	clients := map[string]FeatureStoreOption{
		"response decoder":  ClientConfig(nil),
		"optionless client": DynamoClient(clientWithoutOptions{table.client}),
	}
	for clientName, client := range clients {
		for ttlName, ttl := range ttls {
			t.Run(clientName+", "+ttlName, func(t *testing.T) {
				t.Parallel()
				f := table.sibling(t)
				store := f.newStore(CacheTTL(ttl), client)
				items, err := store.All(ld.Features)
				require.NoError(t, err)
				assert.Equal(t, map[string]ld.VersionedData{"good": flag("good", 7)}, items)
				for key := range malformedRows {
					assertGet(t, store, ld.Features, key, nil)
				}
				assertGet(t, store, ld.Features, "good", flag("good", 7))
				for key := range malformedRows {
					assert.Len(t, f.log.ofStores("ERROR:", f.table, "features/"+key+" "), 1, key)
				}
				assert.Empty(t, f.log.ofStores(secretInFlag))
				assert.Empty(t, f.log.ofStores("424242"))
				assert.Len(t, f.log.ofStores(), len(malformedRows), "it is no outage")
			})
		}
	}
}

// Whoever can write to the table must not be able to write to the log.
func TestMalformedRowIsLoggedOncePerVersion(t *testing.T) {
	t.Parallel()
	const key = "bad\nERROR: forged"
	f := newFixture(t)
	store := f.newStore(CacheTTL(0))
	for i, version := range []string{"1", "2", "2.5"} {
		f.putFlagRow(key, rawItem{versionAttribute: number(version), itemAttribute: text("{")})
		for range 2 {
			assertAll(t, store, ld.Features)
			assertGet(t, store, ld.Features, key, nil)
		}
		lines := f.log.ofStores("ERROR:", "forged")
		require.Len(t, lines, i+1)
		assert.NotContains(t, lines[i], "\n")
	}
}

// What may just be stored by a count that is on the safe side is stored, and what DynamoDB refuses is not sent.
func TestRowsAtTheSizeLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prefix, key string
		version     int
	}{
		"no prefix":   {"", "ключ-鍵-🔑", 1},
		"prefix":      {"prefix", "<escaped> \"\\\t", 123},
		"long key":    {"префикс", strings.Repeat("k", maxSortKeyBytes), math.MaxInt64},
		"low version": {"low", "k", math.MinInt64},
	} {
		runWithTable(t, name, func(t *testing.T, f *fixture) {
			f.options = []FeatureStoreOption{Prefix(c.prefix)}
			key := rowKey{strings.TrimPrefix(c.prefix+":features", ":"), c.key}
			// sized makes a flag whose row has this size, without that of the version.
			sized := func(size int) *ld.FeatureFlag {
				rest := len(key.namespace) + len(key.key) + len(jsonOf(t, flagOfSize(c.key, c.version, 0)))
				for _, attribute := range []string{namespaceAttribute, keyAttribute, versionAttribute, itemAttribute} {
					rest += len(attribute)
				}
				return flagOfSize(c.key, c.version, size-rest)
			}
			tooLarge := sized(maxItemBytes)
			attributes := key.attributes()
			attributes[versionAttribute], attributes[itemAttribute] = number("1"), text(jsonOf(t, tooLarge)) // no number is smaller
			_, err := f.client.PutItem(&dynamodb.PutItemInput{TableName: aws.String(f.table), Item: attributes})
			require.ErrorContains(t, err, "Item size")
			require.NoError(t, f.newStore().Init(allData(tooLarge)))
			assert.Empty(t, f.transport.recorded("BatchWriteItem"))
			f.transport.reset()
			require.NoError(t, f.newStore().Upsert(ld.Features, tooLarge))
			assert.Empty(t, f.transport.writes())
			assert.Len(t, f.log.ofStores("ERROR:", "features/", "can't be stored"), 2)
			largest := sized(maxItemBytes - maxNumberBytes)
			require.NoError(t, f.newStore().Upsert(ld.Features, largest))
			assertGet(t, f.newStore(), ld.Features, c.key, largest)
			f.deleteRow(key)
			require.NoError(t, f.newStore().Init(allData(largest)))
			assertGet(t, f.newStore(), ld.Features, c.key, largest)
			assert.Len(t, f.log.ofStores(), 2, "nothing more")
		})
	}
}

// These could be taken for one another, or for what follows a prefix.
func TestPrefixesCantReachEachOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	prefixes := []string{"", "a", "aa", "a:", ":", "a:features", "features", "$inited", "*"}
	newStore := func(prefix string) ld.FeatureStore { // the last of an option counts
		return f.newStore(Prefix("first"), CacheTTL(time.Hour), Prefix(prefix), CacheTTL(0))
	}
	dataOf := func(i int) []ld.VersionedData {
		return []ld.VersionedData{flag("same", i+1), flag("only of "+prefixes[i], 1), flag("$inited", i+1),
			flag("a:$inited", i+1), flag("features", i+1), segment("same", i+1), segment("$inited", i+1)}
	}
	for i, prefix := range prefixes {
		for _, item := range dataOf(i) {
			require.NoError(t, newStore(prefix).Upsert(kindOf(item), item))
		}
	}
	for i, prefix := range prefixes {
		assert.False(t, newStore(prefix).Initialized(), "prefix %q, though others are", prefix)
		require.NoError(t, newStore(prefix).Init(allData(dataOf(i)...)))
	}
	for i, prefix := range prefixes {
		assert.True(t, newStore(prefix).Initialized(), "prefix %q", prefix)
		for _, item := range dataOf(i) {
			assertGet(t, newStore(prefix), kindOf(item), item.GetKey(), item)
		}
		assertAll(t, newStore(prefix), ld.Features, dataOf(i)[:5]...)
		assertAll(t, newStore(prefix), ld.Segments, dataOf(i)[5:]...)
	}
}

// The attributes' names are written out here: they are what all SDKs agree on.
func itemRow(namespace, key string, version int, item string) rawItem {
	return rawItem{"namespace": text(namespace), "key": text(key), "version": number(strconv.Itoa(version)), "item": text(item)}
}

// fullFlag has something in every field.
func fullFlag() *ld.FeatureFlag {
	f := flag("full", 42, "other")
	f.Sel = "sel"
	f.Targets = []ld.Target{{Values: []string{"user", "größe <&> \u2028 🚩"}, Variation: 1}}
	rollout := ld.VariationOrRollout{Rollout: &ld.Rollout{
		Variations: []ld.WeightedVariation{{Variation: 0, Weight: 99_999}, {Variation: 1, Weight: 1}},
		BucketBy:   aws.String("country"),
	}}
	f.Rules = []ld.Rule{{
		ID:                 "rule",
		VariationOrRollout: rollout,
		Clauses:            []ld.Clause{{Attribute: "email", Op: "endsWith", Values: []interface{}{"@example.com", 1.5, nil}, Negate: true}},
		TrackEvents:        true,
	}}
	f.Fallthrough = rollout
	f.OffVariation = aws.Int(1)
	f.Variations = []interface{}{map[string]interface{}{"a": []interface{}{1.5, "x", nil}}, false}
	f.DebugEventsUntilDate = aws.Uint64(1_600_000_000_000)
	f.ClientSideAvailability = &ld.ClientSideAvailability{UsingMobileKey: true}
	return f
}

func TestRowsHaveTheSharedFormat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ prefix, start string }{
		"without a prefix": {"", ""},
		"with a prefix":    {"my-environment", "my-environment:"},
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			store := f.newStore(Prefix(test.prefix))
			simple, users := flag("simple", 1), segment("users", 7, "a", "b")
			require.NoError(t, store.Init(allData(fullFlag(), simple, users)))
			require.NoError(t, store.Upsert(ld.Features, flag("updated", 2)))
			require.NoError(t, store.Delete(ld.Features, "simple", 3))
			require.NoError(t, store.Delete(ld.Segments, "never there", 4))
			features, segments, inited := test.start+"features", test.start+"segments", test.start+"$inited"
			assert.Equal(t, map[string]rawItem{
				features + "/full":        itemRow(features, "full", 42, jsonOf(t, fullFlag())),
				features + "/updated":     itemRow(features, "updated", 2, jsonOf(t, flag("updated", 2))),
				features + "/simple":      itemRow(features, "simple", 3, jsonOf(t, ld.Features.MakeDeletedItem("simple", 3))),
				segments + "/users":       itemRow(segments, "users", 7, jsonOf(t, users)),
				segments + "/never there": itemRow(segments, "never there", 4, jsonOf(t, ld.Segments.MakeDeletedItem("never there", 4))),
				inited + "/" + inited:     {"namespace": text(inited), "key": text(inited)},
			}, f.rows())
			another := f.newStore(Prefix(test.prefix))
			assertGet(t, another, ld.Features, "full", fullFlag())
		})
	}
}

// Other SDKs, and other versions of this one, write the same things in other ways. Where the attributes and the JSON
// differ, the attributes decide.
func TestRowsOfOtherSDKsAreRead(t *testing.T) {
	t.Parallel()
	noVersion := new(dynamodb.AttributeValue)
	plain := &ld.FeatureFlag{Key: "f", Version: 5, On: true, Salt: "s"}
	for name, test := range map[string]struct {
		item    string
		version *dynamodb.AttributeValue // 5, if it is nil
		want    ld.VersionedData
	}{
		"fields in another order":             {`{"salt":"s","version":5,"on":true,"key":"f"}`, nil, plain},
		"fields of a newer SDK":               {`{"key":"f","version":5,"on":true,"salt":"s","migration":{"checkRatio":1},"x":[null]}`, nil, plain},
		"escaped characters":                  {`{"\u006bey":"\u0066","version":5,"on":true,"salt":"\u0073"}`, nil, plain},
		"nulls in the place of zeros":         {`{"key":"f","version":5,"on":true,"salt":"s","targets":null,"rules":null,"deleted":null}`, nil, plain},
		"no version in the JSON":              {`{"key":"f","on":true,"salt":"s"}`, nil, plain},
		"another version in the JSON":         {`{"key":"f","version":9,"on":true,"salt":"s"}`, nil, plain},
		"no key in the JSON":                  {`{"version":5,"on":true,"salt":"s"}`, nil, plain},
		"another key in the JSON":             {`{"key":"other","version":5,"on":true,"salt":"s"}`, nil, plain},
		"an empty object":                     {`{}`, nil, &ld.FeatureFlag{Key: "f", Version: 5}},
		"no attribute version":                {`{"key":"f","version":5,"on":true,"salt":"s"}`, noVersion, plain},
		"an attribute version of zero":        {`{"key":"f","version":5,"on":true,"salt":"s"}`, number("0"), plain},
		"a text as attribute version":         {`{"key":"f","version":5,"on":true,"salt":"s"}`, text("7"), plain},
		"a fraction as attribute version":     {`{"key":"f","version":5,"on":true,"salt":"s"}`, number("4.5"), plain},
		"a deleted flag as we write it":       {`{"key":"f","version":5,"on":false,"deleted":true,"salt":""}`, nil, nil},
		"a deleted flag without a key":        {`{"version":5,"deleted":true}`, nil, nil},
		"a deleted flag without a version":    {`{"deleted":true}`, nil, nil},
		"a deleted flag of a placeholder key": {`{"key":"$deleted","version":5,"deleted":true}`, nil, nil},
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			row := itemRow("features", "f", 5, test.item)
			if test.version != nil {
				row[versionAttribute] = test.version
			}
			if test.version == noVersion {
				delete(row, versionAttribute)
			}
			f.putRow(row)
			f.putRow(itemRow("features", "other", 1, jsonOf(t, flag("other", 1))))
			assertGet(t, f.newStore(), ld.Features, "f", test.want)
			if test.want == nil {
				assertAll(t, f.newStore(), ld.Features, flag("other", 1))
			} else {
				assertAll(t, f.newStore(), ld.Features, flag("other", 1), test.want)
			}
			// Its version counts, whoever wrote it.
			store := f.newStore()
			if test.version == nil {
				require.NoError(t, store.Upsert(ld.Features, flag("f", 5)))
				require.NoError(t, store.Delete(ld.Features, "f", 5))
				assertGet(t, store, ld.Features, "f", test.want)
			}
			require.NoError(t, store.Upsert(ld.Features, flag("f", 6)))
			assertGet(t, store, ld.Features, "f", flag("f", 6))
			assert.Equal(t, itemRow("features", "f", 6, jsonOf(t, flag("f", 6))), f.rows()["features/f"])
			assert.Empty(t, f.log.ofStores())
		})
	}
}

// Else each start would take from a row what newer SDKs evaluate.
func TestInitLeavesRowsOfNewerSDKsAlone(t *testing.T) {
	t.Parallel()
	newer := map[string]string{
		"features/full": `{"contextTargets":[],"excludeFromSummaries":true,"samplingRatio":1,"migration":{"checkRatio":1},`,
		"segments/s":    `{"unbounded":false,"generation":2,"includedContexts":[],`,
	}
	for name, c := range map[string]struct {
		init   []ld.VersionedData
		change rawItem // of the rows
		stays  bool
	}{
		"the same":         {init: []ld.VersionedData{fullFlag(), segment("s", 2, "a")}, stays: true},
		"newer versions":   {init: []ld.VersionedData{&ld.FeatureFlag{Key: "full", Version: 43}, segment("s", 3, "a")}},
		"other contents":   {init: []ld.VersionedData{&ld.FeatureFlag{Key: "full", Version: 42}, segment("s", 2, "b")}},
		"malformed rows":   {init: []ld.VersionedData{fullFlag(), segment("s", 2, "a")}, change: rawItem{itemAttribute: text("{")}},
		"without versions": {init: []ld.VersionedData{fullFlag(), segment("s", 2, "a")}, change: rawItem{versionAttribute: text("2")}},
	} {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			require.NoError(t, f.newStore().Init(allData(fullFlag(), segment("s", 2, "a"))))
			before := f.rows()
			for name, start := range newer {
				row := before[name]
				item := strings.Replace(*row[itemAttribute].S, "{", start, 1)
				row[itemAttribute] = text(strings.Replace(item, `"sel":"sel",`, "", 1))
				for attribute, value := range c.change {
					row[attribute] = value
				}
				f.putRow(row)
			}
			require.NoError(t, f.newStore().Init(allData(c.init...)))
			if c.stays {
				assert.Equal(t, before, f.rows())
				assert.Len(t, f.transport.recorded("BatchWriteItem"), 2, "of the first Init")
			} else {
				f.requireHolds(c.init)
			}
			for _, item := range c.init {
				if full, ok := item.(*ld.FeatureFlag); ok && c.stays {
					full.Sel = "" // as it is in the row
				}
				assertGet(t, f.newStore(), kindOf(item), item.GetKey(), item)
			}
		})
	}
}
