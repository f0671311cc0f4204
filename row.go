package lddynamodb

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
	"gopkg.in/launchdarkly/go-server-sdk.v4/utils"
)

// The table's schema, which the LaunchDarkly SDKs of every language share.
const (
	namespaceAttribute = "namespace" // S, the partition key: a kind's namespace, after the prefix
	keyAttribute       = "key"       // S, the sort key: an item's key
	versionAttribute   = "version"   // N: the item's version
	itemAttribute      = "item"      // S: the item as JSON, deleted items included

	// initedKey is both keys of the row, without other attributes, that says that the table holds a full data set.
	initedKey = "$inited"
)

// DynamoDB's limits.
const (
	maxSortKeyBytes = 1024
	maxItemBytes    = 400 * 1024
)

// A rowKey is a row's primary key.
type rowKey struct{ namespace, key string }

func (k rowKey) String() string { return quoted(k.namespace + "/" + k.key) }

// quoted escapes what would break a line of the log, or forge one.
func quoted(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

func (k rowKey) attributes() map[string]*dynamodb.AttributeValue {
	return map[string]*dynamodb.AttributeValue{
		namespaceAttribute: {S: &k.namespace},
		keyAttribute:       {S: &k.key},
	}
}

// A target is what a request asks for: an action on a row or, without a key, on rows of a namespace.
type target struct {
	action string
	rowKey
}

func (t target) String() string {
	if t.key == "" {
		return t.action + " " + quoted(t.namespace)
	}
	return t.action + " " + t.rowKey.String()
}

// A row is one row of the table. In one that was read, version or item is empty if the table has no such attribute of
// the right type.
type row struct {
	rowKey
	version string
	item    string
}

// encodeRow makes the row of an item. Its error says why DynamoDB can't hold it.
func encodeRow(namespace string, item ld.VersionedData) (row, error) {
	var encoded strings.Builder
	err := json.NewEncoder(&encoded).Encode(item)
	r := row{rowKey{namespace, item.GetKey()}, strconv.Itoa(item.GetVersion()), strings.TrimSuffix(encoded.String(), "\n")}
	reason := ""
	switch {
	case !canBeSortKey(r.key):
		reason = fmt.Sprintf("its key isn't a valid sort key: DynamoDB takes 1 to %d bytes of UTF-8, this one has %d",
			maxSortKeyBytes, len(r.key))
	case err != nil:
		reason = "it has no JSON form: " + describeJSONError(err)
	case r.size() > maxItemBytes:
		reason = fmt.Sprintf("it has %d bytes, over DynamoDB's limit of %d", r.size(), maxItemBytes)
	default:
		return r, nil
	}
	return r, fmt.Errorf("%s can't be stored: %s", r.rowKey, reason)
}

// canBeSortKey reports whether a row can have a key. If not, it is never asked for: the error would look like an outage.
func canBeSortKey(key string) bool {
	return key != "" && len(key) <= maxSortKeyBytes && utf8.ValidString(key)
}

func (r row) attributes() map[string]*dynamodb.AttributeValue {
	values := [...]dynamodb.AttributeValue{{S: &r.namespace}, {S: &r.key}, {N: &r.version}, {S: &r.item}}
	return map[string]*dynamodb.AttributeValue{
		namespaceAttribute: &values[0], keyAttribute: &values[1], versionAttribute: &values[2], itemAttribute: &values[3],
	}
}

// maxNumberBytes is what DynamoDB takes at most to store a number. An integer takes fewer.
const maxNumberBytes = 21

// size is at least what DynamoDB counts as the row's size.
func (r row) size() int {
	const names = len(namespaceAttribute) + len(keyAttribute) + len(versionAttribute) + len(itemAttribute)
	return names + len(r.namespace) + len(r.key) + maxNumberBytes + len(r.item)
}

// decode returns the row's item and its version, or why the row is malformed and the version that it has as an
// attribute, if any. Where the attributes and the JSON differ, the attributes decide, as in newer SDKs. Of a kind that
// isn't the SDK's own, the item keeps the version that it has in its JSON.
func (r row) decode(kind ld.VersionedDataKind) (item ld.VersionedData, version int, err error) {
	version, noVersion := strconv.Atoi(r.version)
	err = recovered(func() (err error) {
		if r.item == "" {
			return errors.New("it has no string attribute " + itemAttribute)
		}
		if item, err = utils.UnmarshalItem(kind, []byte(r.item)); err != nil {
			return errors.New(describeJSONError(err))
		}
		if noVersion != nil || version == 0 {
			version = item.GetVersion()
		}
		if noVersion != nil && version == 0 && item.GetKey() == "" {
			return errors.New("it has neither a version nor a key")
		}
		item, err = r.identified(kind, item, version)
		return err
	})
	if err != nil {
		return nil, version, fmt.Errorf("the row %s is malformed: %w", r.rowKey, err)
	}
	return item, version, nil
}

// identified gives an item of the row its key and version.
func (r row) identified(kind ld.VersionedDataKind, item ld.VersionedData, version int) (ld.VersionedData, error) {
	if item.IsDeleted() {
		// Other SDKs write a deleted item without its key, or with a placeholder.
		return kind.MakeDeletedItem(r.key, version), nil
	}
	switch item := item.(type) {
	case *ld.FeatureFlag:
		item.Key, item.Version = r.key, version
	case *ld.Segment:
		item.Key, item.Version = r.key, version
	default:
		if item.GetKey() != r.key {
			return nil, errors.New("its JSON has another key")
		}
	}
	return item, nil
}

// holds reports whether a row that was read has the version and, as this SDK evaluates it, the very item of a row that
// is wanted. It may have fields that only newer SDKs know, and lack those that no SDK evaluates any more.
func (r row) holds(kind ld.VersionedDataKind, wanted row) bool {
	if r.version != wanted.version || r.item == wanted.item {
		return r.version == wanted.version
	}
	found, _, err := r.decode(kind)
	want, _, wantErr := wanted.decode(kind)
	for _, item := range []ld.VersionedData{found, want} {
		if flag, ok := item.(*ld.FeatureFlag); ok {
			flag.Sel = "" // nothing evaluates it
		}
	}
	return err == nil && wantErr == nil && reflect.DeepEqual(found, want)
}

// describeJSONError says what is wrong without the literals that encoding/json quotes: they are contents of a flag.
func describeJSONError(err error) string {
	var badType *json.UnmarshalTypeError
	var badSyntax *json.SyntaxError
	switch {
	case errors.As(err, &badType):
		return fmt.Sprintf("its JSON has a wrong type at field %q, where %s is expected", badType.Field, badType.Type)
	case errors.As(err, &badSyntax):
		return fmt.Sprintf("its JSON breaks off or is invalid at byte %d", badSyntax.Offset)
	default:
		return "its JSON holds no such item"
	}
}
