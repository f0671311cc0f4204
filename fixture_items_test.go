package lddynamodb

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

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

// experiments is a kind that the SDK knows nothing of. Its items have a JSON of
// their own.
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

// allData makes the argument of Init. The SDK's kinds are always in it, as the
// SDK has it.
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

// unusualKeys are different for DynamoDB, also where they look the same, and
// JSON has to escape some of them.
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

// malformedRows has rows of flags that hold no valid flag: for each key, what
// the row has beside its primary key.
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

// newMalformedFixture has a table with all malformed rows, a flag and a deleted
// flag.
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
