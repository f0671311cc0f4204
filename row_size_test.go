package lddynamodb

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// A largestCase is what a flag's size depends on, beside its JSON.
type largestCase struct {
	prefix, key string
	version     int
}

func largestCases() []largestCase {
	cases := []largestCase{
		{"", "ключ-鍵-🔑", 1},
		{"", "<escaped> \"\\\t", 1},
		{"", strings.Repeat("k", maxSortKeyBytes), 1},
		{"prefix", "k", 1},
		{"префикс", "k", 120},
	}
	for _, version := range []int{
		0, 1, 9, 10, 99, 100, 110, 120, 123, 1000, 1010, 1200, 12345, 120000, 1 << 53, math.MaxInt64,
		-1, -10, -100, -120, -12345, math.MinInt64,
	} {
		cases = append(cases, largestCase{"", fmt.Sprintf("version %d", version), version})
	}
	return cases
}

// The store counts an item's size as DynamoDB does, to the byte.
func TestUpsertStoresWhatDynamoDBTakes(t *testing.T) {
	t.Parallel()
	table := newFixture(t)
	for _, c := range largestCases() {
		t.Run(fmt.Sprintf("%s/%.20s/%d", c.prefix, c.key, c.version), func(t *testing.T) {
			t.Parallel()
			f := table.sibling(t)
			largest, tooLarge := c.flags(t)
			require.NoError(t, f.tryPut(c, largest))
			var refusal awserr.Error
			require.ErrorAs(t, f.tryPut(c, tooLarge), &refusal)
			require.Contains(t, refusal.Message(), "Item size")

			key := rowKey{c.namespace(), c.key}
			f.deleteRow(key)
			require.NoError(t, f.newStore(Prefix(c.prefix)).Upsert(ld.Features, tooLarge))
			require.Empty(t, f.row(key))
			require.NoError(t, f.newStore(Prefix(c.prefix)).Upsert(ld.Features, largest))
			require.NotEmpty(t, f.row(key))
			require.Len(t, f.log.ofStores(), 1)
		})
	}
}

func TestInitStoresWhatDynamoDBTakes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var largest, tooLarge []ld.VersionedData
	for _, c := range largestCases() {
		if c.prefix == "" {
			fits, doesNot := c.flags(t)
			largest, tooLarge = append(largest, fits), append(tooLarge, doesNot)
		}
	}

	require.NoError(t, f.newStore().Init(allData(tooLarge...)))
	f.requireHolds(nil)
	require.Len(t, f.log.ofStores("ERROR"), len(tooLarge))

	require.NoError(t, f.newStore().Init(allData(largest...)))
	f.requireHolds(largest)
	require.Len(t, f.log.ofStores(), len(tooLarge))
}

func (c largestCase) namespace() string {
	if c.prefix == "" {
		return ld.Features.GetNamespace()
	}
	return c.prefix + ":" + ld.Features.GetNamespace()
}

// flags makes the largest flag that can be stored, and one that is a byte larger.
func (c largestCase) flags(t *testing.T) (largest, tooLarge *ld.FeatureFlag) {
	small, err := encodeRow(c.namespace(), flagOfSize(c.key, c.version, 0))
	require.NoError(t, err)
	padding := maxItemBytes - small.size()
	return flagOfSize(c.key, c.version, padding), flagOfSize(c.key, c.version, padding+1)
}

// tryPut writes a flag past the store.
func (f *fixture) tryPut(c largestCase, item *ld.FeatureFlag) error {
	f.tb.Helper()
	encoded, err := json.Marshal(item)
	require.NoError(f.tb, err)
	_, err = f.client.PutItem(&dynamodb.PutItemInput{
		TableName: aws.String(f.table),
		Item: rawItem{
			namespaceAttribute: {S: aws.String(c.namespace())},
			keyAttribute:       {S: aws.String(c.key)},
			versionAttribute:   {N: aws.String(fmt.Sprint(c.version))},
			itemAttribute:      {S: aws.String(string(encoded))},
		},
	})
	return err
}
