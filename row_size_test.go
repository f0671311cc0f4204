package lddynamodb

import (
	"math"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

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
