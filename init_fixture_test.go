package lddynamodb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/stretchr/testify/require"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"
)

// writeRequests returns what a request writes, if anything.
func (r *sentRequest) writeRequests() []*dynamodb.WriteRequest {
	switch r.action {
	case "BatchWriteItem":
		_, requests := r.batch()
		return requests
	case "PutItem":
		var put dynamodb.PutRequest
		if err := json.Unmarshal(r.body, &put); err != nil {
			panic(err) // the AWS SDK made it
		}
		return []*dynamodb.WriteRequest{{PutRequest: &put}}
	default:
		return nil
	}
}

// rowNames returns the rows that are written, as "namespace/key".
func rowNames(requests []*dynamodb.WriteRequest) []string {
	var names []string
	for _, request := range requests {
		var key rawItem
		if request.DeleteRequest != nil {
			key = request.DeleteRequest.Key
		} else {
			key = request.PutRequest.Item
		}
		names = append(names, *key[namespaceAttribute].S+"/"+*key[keyAttribute].S)
	}
	return names
}

// numberedFlags makes flags with numbered keys.
func numberedFlags(prefix string, n int) []ld.VersionedData {
	items := make([]ld.VersionedData, n)
	for i := range items {
		items[i] = flag(fmt.Sprintf("%s-%d", prefix, i), 1)
	}
	return items
}

// requireHolds checks that the table has just these items and $inited.
func (f *fixture) requireHolds(items []ld.VersionedData) {
	f.tb.Helper()
	rows := f.rows()
	require.Contains(f.tb, rows, initedKey+"/"+initedKey)
	require.Len(f.tb, rows, len(items)+1)
	for _, item := range items {
		namespace := ld.Features.GetNamespace()
		if _, ok := item.(*ld.Segment); ok {
			namespace = ld.Segments.GetNamespace()
		}
		f.requireHoldsItem(rows, namespace, item)
	}
}

func (f *fixture) requireHoldsItem(rows map[string]rawItem, namespace string, item ld.VersionedData) {
	f.tb.Helper()
	name := namespace + "/" + item.GetKey()
	require.Contains(f.tb, rows, name)
	wanted, err := json.Marshal(item)
	require.NoError(f.tb, err)
	require.Equal(f.tb, string(wanted), *rows[name][itemAttribute].S, name)
	require.Equal(f.tb, fmt.Sprint(item.GetVersion()), *rows[name][versionAttribute].N, name)
}

// sendPart has DynamoDB process the first requests of a batch only. The others
// come back as unprocessed, as they do when a table runs out of capacity.
func sendPart(r *sentRequest, n int, send func() (*http.Response, error)) (*http.Response, error) {
	var input struct {
		RequestItems map[string][]json.RawMessage
	}
	if err := json.Unmarshal(r.body, &input); err != nil {
		return nil, err
	}
	unprocessed := make(map[string][]json.RawMessage)
	for table, requests := range input.RequestItems {
		input.RequestItems[table], unprocessed[table] = requests[:n], requests[n:]
	}
	if n > 0 {
		body, err := json.Marshal(input)
		if err != nil {
			return nil, err
		}
		r.http.Body, r.http.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		response, err := send()
		if err != nil || response.StatusCode != http.StatusOK {
			return response, err
		}
		_ = response.Body.Close()
	}
	body, err := json.Marshal(map[string]interface{}{"UnprocessedItems": unprocessed})
	if err != nil {
		return nil, err
	}
	return answer(r, http.StatusOK, string(body)), nil
}
