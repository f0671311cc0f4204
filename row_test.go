package lddynamodb

import (
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
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

				f.assertMalformedLoggedOnce()
				assert.Len(t, f.log.ofStores(), len(malformedRows), "it is no outage")
			})
		}
	}
}

// assertMalformedLoggedOnce checks that each of malformedRows has one line in
// the log, which tells nothing of a flag but its key.
func (f *fixture) assertMalformedLoggedOnce() {
	f.tb.Helper()
	for key := range malformedRows {
		lines := f.log.ofStores("features/" + key + " ")
		if assert.Len(f.tb, lines, 1, key) {
			assert.Contains(f.tb, lines[0], "ERROR:")
			assert.Contains(f.tb, lines[0], f.table)
		}
	}
	assert.Empty(f.tb, f.log.ofStores(secretInFlag))
	assert.Empty(f.tb, f.log.ofStores("424242"))
}

func TestMalformedRowIsLoggedOncePerVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore(CacheTTL(0))
	read := func() {
		assertAll(t, store, ld.Features)
		assertGet(t, store, ld.Features, "bad", nil)
	}
	for i, version := range []string{"1", "2", "2.5"} {
		f.putFlagRow("bad", rawItem{versionAttribute: number(version), itemAttribute: text("{")})
		read()
		read()
		assert.Len(t, f.log.ofStores("ERROR:", "features/bad "), i+1)
	}
}

// Whoever can write to the table must not be able to write to the log.
func TestKeysOfMalformedRowsForgeNoLogLines(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	store := f.newStore(CacheTTL(0))
	f.putFlagRow("bad\nERROR: forged", malformedRows["json-cut-off"])

	_, err := store.All(ld.Features)
	require.NoError(t, err)

	lines := f.log.ofStores("forged")
	require.Len(t, lines, 1)
	assert.NotContains(t, lines[0], "\n")
}

// What may just be stored by a count that is on the safe side is stored, and what
// DynamoDB refuses is not sent.
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
			f.requireTooLarge(key, tooLarge)
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

// requireTooLarge checks that DynamoDB refuses a flag.
func (f *fixture) requireTooLarge(key rowKey, item *ld.FeatureFlag) {
	f.tb.Helper()
	attributes := key.attributes()
	attributes[versionAttribute] = number("1") // no number is smaller
	attributes[itemAttribute] = text(jsonOf(f.tb, item))
	_, err := f.client.PutItem(&dynamodb.PutItemInput{TableName: aws.String(f.table), Item: attributes})
	var refused awserr.Error
	require.ErrorAs(f.tb, err, &refused)
	require.Contains(f.tb, refused.Message(), "Item size")
}

// These could be taken for one another, or for what follows a prefix.
func TestPrefixesCantReachEachOther(t *testing.T) {
	t.Parallel()
	prefixes := []string{"", "a", "aa", "a:", ":a", ":", "a:a", "a:features", "features", "segments", "$inited", "a:$inited", "*", "a?"}
	for name, ttl := range ttls {
		runOnTable(t, name, func(t *testing.T, f *fixture) {
			newStore := func(prefix string) ld.FeatureStore { return f.newStore(CacheTTL(ttl), Prefix(prefix)) }
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
				store, want := newStore(prefix), allData(dataOf(i)...)
				assert.True(t, store.Initialized(), "prefix %q", prefix)
				for kind, items := range want {
					for key, item := range items {
						assertGet(t, store, kind, key, item)
					}
					all, err := store.All(kind)
					require.NoError(t, err)
					assert.Equal(t, items, all, "prefix %q", prefix)
				}
			}
		})
	}
}

// malformedText is all that an error tells of a malformed row. None of it comes
// from the row.
var malformedText = regexp.MustCompile(`^the row features/key is malformed: (` +
	`it has no string attribute item|` +
	`it has neither a version nor a key|` +
	`its JSON isn't an object|` +
	`its JSON has a wrong type at field "[A-Za-z.]+", where [A-Za-z0-9.\[\]*{} ]+ is expected|` +
	`its JSON breaks off or is invalid at byte [0-9]+|` +
	`its JSON holds no such item)$`)

// What is decoded is the row's own item, and decodes to the same when it is
// stored again. What isn't is told without its contents.
func FuzzDecodeRow(f *testing.F) {
	for _, attributes := range malformedRows {
		r := rowOfAttributes(attributes)
		f.Add(r.version, r.item, true)
		f.Add(r.version, r.item, false)
	}
	f.Add("3", []byte(flagJSON("key", "3")), true)
	f.Add("-3", []byte(`{"key":"key","version":-3,"rules":[{"clauses":[{"values":[1e3,null,{"a":[]}]}]}]}`), true)
	f.Add("3", []byte(`{"version":3,"deleted":true}`), false)
	f.Fuzz(func(t *testing.T, version string, item []byte, isFlag bool) {
		var kind ld.VersionedDataKind = ld.Features
		if !isFlag {
			kind = ld.Segments
		}
		r := row{rowKey{"features", "key"}, version, item}

		decoded, _, err := r.decode(kind)

		if err != nil {
			require.Nil(t, decoded)
			require.Regexp(t, malformedText, err.Error())
			return
		}
		require.Equal(t, "key", decoded.GetKey())
		again, err := encodeRow("features", decoded)
		if err != nil {
			return // the JSON has become too large
		}
		same, _, err := again.decode(kind)
		require.NoError(t, err)
		require.Equal(t, decoded, same)
	})
}
