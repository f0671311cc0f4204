package lddynamodb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/valyala/fastjson"
)

// sdkUnmarshalHandler is the name of the handler that decodes a response in
// the AWS SDK.
const sdkUnmarshalHandler = "awssdk.jsonrpc.Unmarshal"

// maxBodyHint is above any page of DynamoDB's, which has 1 MB before escaping.
const maxBodyHint = 16 << 20

// A rowReader decodes the rows of a GetItem or Query response straight from
// its body, at a fraction of what the AWS SDK's way through interface values
// and reflection costs. Its option puts it into a request; it takes no part
// where the client ignores options, and then the request's output has the rows.
type rowReader struct {
	decoded bool
	rows    []row
	next    *rowKey // where the next page of a Query begins
}

func (rr *rowReader) option(r *request.Request) {
	r.Handlers.Unmarshal.Swap(sdkUnmarshalHandler, request.NamedHandler{Name: sdkUnmarshalHandler, Fn: rr.unmarshal})
}

func (rr *rowReader) unmarshal(r *request.Request) {
	rr.decoded, rr.rows, rr.next = false, nil, nil
	if r.Error != nil {
		return // the checksum was wrong
	}
	body, err := readBody(r)
	if err == nil {
		err = rr.read(body, r.Data)
	}
	if err != nil {
		r.Error = badResponse(r, err)
	}
}

func (rr *rowReader) read(body []byte, output interface{}) error {
	response, err := new(fastjson.Parser).ParseBytes(body)
	if err != nil {
		return errors.New("the response is no valid JSON") // its text would quote the body
	}
	if response.Type() != fastjson.TypeObject {
		return errors.New("the response is no JSON object")
	}
	if item := response.Get("Item"); item != nil {
		rr.rows = []row{rowOfValue(item)}
	}
	if items := response.GetArray("Items"); len(items) > 0 {
		rr.rows = make([]row, len(items))
		for i, item := range items {
			rr.rows[i] = rowOfValue(item)
		}
	}
	if last := response.Get("LastEvaluatedKey"); last != nil {
		key := rowOfValue(last).rowKey
		rr.next = &key
	}
	rr.decoded = true
	return readCapacity(response, output)
}

// rowOfValue makes a row of DynamoDB's JSON: {"key":{"S":"..."},...}. The item
// stays part of the response's memory.
func rowOfValue(v *fastjson.Value) row {
	return row{
		rowKey: rowKey{
			namespace: string(v.GetStringBytes(namespaceAttribute, "S")),
			key:       string(v.GetStringBytes(keyAttribute, "S")),
		},
		version: string(v.GetStringBytes(versionAttribute, "N")),
		item:    v.GetStringBytes(itemAttribute, "S"),
	}
}

// readCapacity puts what an application's own request handlers may count into
// the output: the consumed capacity, where a handler asked for it.
func readCapacity(response *fastjson.Value, output interface{}) error {
	consumed := response.Get("ConsumedCapacity")
	if consumed == nil {
		return nil
	}
	capacity := new(dynamodb.ConsumedCapacity)
	if err := json.Unmarshal(consumed.MarshalTo(nil), capacity); err != nil {
		return fmt.Errorf("decode the consumed capacity: %w", err)
	}
	switch output := output.(type) {
	case *dynamodb.GetItemOutput:
		output.ConsumedCapacity = capacity
	case *dynamodb.QueryOutput:
		output.ConsumedCapacity = capacity
	}
	return nil
}

// rowOfAttributes makes a row of what the AWS SDK decoded, for clients that
// ignore request options.
func rowOfAttributes(attributes map[string]*dynamodb.AttributeValue) row {
	value := func(name string) dynamodb.AttributeValue {
		if v := attributes[name]; v != nil {
			return *v
		}
		return dynamodb.AttributeValue{}
	}
	r := row{
		rowKey:  rowKey{aws.StringValue(value(namespaceAttribute).S), aws.StringValue(value(keyAttribute).S)},
		version: aws.StringValue(value(versionAttribute).N),
	}
	if item := value(itemAttribute).S; item != nil {
		r.item = []byte(*item)
	}
	return r
}

// refuseEmptyBody is the option for requests that the AWS SDK decodes: a
// success without a body was cut off. The AWS SDK would take it for one without
// contents, which for a batch means that nothing of it is unprocessed.
func refuseEmptyBody(r *request.Request) {
	r.Handlers.Unmarshal.PushFront(func(r *request.Request) {
		body, err := readBody(r)
		if err != nil {
			r.Error = badResponse(r, err)
			return
		}
		r.HTTPResponse.Body = io.NopCloser(bytes.NewReader(body))
	})
}

// readBody reads a whole response, which is never empty.
func readBody(r *request.Request) ([]byte, error) {
	defer func() { _ = r.HTTPResponse.Body.Close() }()
	var body bytes.Buffer
	if size := r.HTTPResponse.ContentLength; size > 0 && size < maxBodyHint {
		body.Grow(int(size) + bytes.MinRead) // what ReadFrom wants free to see the end
	}
	if _, err := body.ReadFrom(r.HTTPResponse.Body); err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	if body.Len() == 0 {
		return nil, errors.New("the response is empty")
	}
	return body.Bytes(), nil
}

// badResponse is the AWS SDK's error for a response that can't be decoded,
// which its retryer tries again.
func badResponse(r *request.Request, err error) error {
	return awserr.NewRequestFailure(
		awserr.New(request.ErrCodeSerialization, "failed decoding the response", err),
		r.HTTPResponse.StatusCode, r.RequestID)
}
