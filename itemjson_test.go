package lddynamodb

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// Items as LaunchDarkly makes them, and some that are stranger.
var plainItems = map[string]string{
	"an empty object":      `{}`,
	"a deleted item":       `{"version":3,"deleted":true}`,
	"nulls":                `{"key":null,"version":null,"on":null,"rules":[null],"variations":[null],"targets":null,"fallthrough":null,"offVariation":null,"included":[null]}`,
	"empty lists":          `{"rules":[],"variations":[],"targets":[{"values":[]}],"included":[]}`,
	"fields in any order":  `{"version":7,"salt":"s","key":"k"}`,
	"spaces":               ` { "key" : "k" , "version" : 7 } `,
	"fields of newer SDKs": `{"key":"k","contextTargets":[{"values":["u"]}],"migration":{"checkRatio":1},"rules":[{"id":"r","new":1}],"keys":1}`,
	"escapes":              `{"key":"a\"b\\c\/d\b\f\n\r\t\u003c\u00e9\u20ac","salt":""}`,
	"text of any language": `{"key":"schlüssel 鍵 🔑","included":["ü"]}`,
	"an escaped name":      `{"k\u0065y":"k"}`,
	"values of all sorts":  `{"variations":[null,true,false,"s",1,-0,1.5,1e3,1E-7,123456789012345678901234567890,0.1234567890123456789,[],[[1],{}],{"a":{"b":[]},"a":2,"":null}]}`,
	"large numbers":        `{"version":9007199254740993,"debugEventsUntilDate":18446744073709551615}`,
	"many texts":           `{"included":["` + strings.Repeat("some user\",\"", 100) + `"],"key":"` + strings.Repeat("k", 1000) + `"}`,
}

// Items that are none, or that an encoding of JSON may read in its own way.
var oddItems = map[string]string{
	"nothing":                  ``,
	"null":                     `null`,
	"a list":                   `[]`,
	"a number":                 `1`,
	"cut off":                  `{"key":"k"`,
	"more after it":            `{"key":"k"}{}`,
	"a trailing comma":         `{"key":"k",}`,
	"a comment":                `{"key":"k"/**/}`,
	"a name in another case":   `{"KEY":"k","version":7}`,
	"the same in Unicode":      `{"` + "\u212a" + `ey":"k","version":7}`,
	"a name twice":             `{"key":"k","key":"l","rules":[{"id":"a"}],"rules":[{}]}`,
	"a name twice, inside":     `{"rules":[{"id":"a","id":"b"}]}`,
	"an escaped name twice":    `{"key":"k","k\u0065y":"l"}`,
	"a name in two cases":      `{"key":"k","Key":"l"}`,
	"lines":                    "{\n\t\"key\": \"k\"\r\n}",
	"a control character":      "{\"key\":\"a\x01b\"}",
	"one before an escape":     "{\"key\":\"\x00\\b\"}",
	"an unknown escape":        `{"key":"a\x"}`,
	"a surrogate alone":        `{"key":"a\ud800b","salt":"\uDC00"}`,
	"a surrogate pair":         `{"key":"\ud83d\udd11"}`,
	"no UTF-8":                 "{\"key\":\"a\xffb\"}",
	"a number with a zero":     `{"version":07}`,
	"a number with a plus":     `{"version":+7}`,
	"not a number":             `{"variations":[NaN]}`,
	"a number that is too big": `{"variations":[1e999]}`,
	"a version with a point":   `{"version":7.0}`,
	"a version that is text":   `{"version":"7"}`,
	"a version that overflows": `{"version":9223372036854775808}`,
	"a negative date":          `{"debugEventsUntilDate":-1}`,
	"a key that is a number":   `{"key":7}`,
	"a flag that is a text":    `{"deleted":"true"}`,
	"rules that are no list":   `{"rules":{}}`,
	"a rule that is no object": `{"rules":[1]}`,
	"a list of wrong things":   `{"included":[1],"variations":1,"prerequisites":[[]]}`,
	"too deep":                 `{"variations":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
}

var itemKinds = []ld.VersionedDataKind{ld.Features, ld.Segments, experiments}

// assertLikeSDK checks that an item is read as the SDK reads it.
func assertLikeSDK(t *testing.T, kind ld.VersionedDataKind, item []byte) {
	t.Helper()
	want, wantErr := utils.UnmarshalItem(kind, item)
	got, err := unmarshalItem(kind, item)
	require.Equal(t, wantErr, err)
	require.Equal(t, want, got)
}

func TestItemsAreReadAsTheSDKDoes(t *testing.T) {
	t.Parallel()
	for _, items := range []map[string]string{plainItems, oddItems} {
		for name, item := range items {
			t.Run(name, func(t *testing.T) {
				for _, kind := range itemKinds {
					assertLikeSDK(t, kind, []byte(item))
				}
			})
		}
	}
}

func FuzzUnmarshalItem(f *testing.F) {
	for _, items := range []map[string]string{plainItems, oddItems} {
		for _, item := range items {
			f.Add([]byte(item))
		}
	}
	f.Fuzz(func(t *testing.T, item []byte) {
		for _, kind := range itemKinds {
			assertLikeSDK(t, kind, item)
		}
	})
}
