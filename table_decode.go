package lddynamodb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

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

// responseParsers keep their memory from one response to the next.
var responseParsers fastjson.ParserPool

// A response is what a GetItem or Query answered. Its rows are decoded straight
// from the body, at a fraction of what the AWS SDK's way through interface values
// and reflection costs. If the client gets no request options, they are made of
// what the AWS SDK decoded.
type response struct {
	rows    []row
	next    *rowKey          // the row after which the next page of a Query begins
	decoded bool             // from the body
	parser  *fastjson.Parser // has the memory of the rows' items
}

// release gives the memory back that the rows' items are in.
func (p *response) release() {
	if p.parser != nil {
		responseParsers.Put(p.parser)
	}
	*p = response{}
}

// unmarshal is the request handler that decodes a body: that of a read into this
// response, and that of a write into the AWS SDK's output.
func (p *response) unmarshal(r *request.Request) {
	p.release() // what an earlier try may have left
	if r.Error != nil {
		return // the checksum was wrong
	}
	body, err := readBody(r)
	if err == nil {
		switch r.Data.(type) {
		case *dynamodb.GetItemOutput, *dynamodb.QueryOutput:
			err = p.decode(body, r.Data)
		default:
			err = decodeWritten(body, r.Data)
		}
	}
	if err != nil {
		p.release()
		r.Error = badResponse(r, err)
	}
}

func (p *response) decode(body []byte, output interface{}) error {
	p.parser = responseParsers.Get()
	value, err := p.parser.ParseBytes(body)
	if err != nil || value.Type() != fastjson.TypeObject {
		return errors.New("it isn't a JSON object") // the parser's text would quote the body
	}
	items, err := responseItems(value, output)
	if err != nil {
		return err
	}
	p.rows = make([]row, len(items))
	for i, item := range items {
		if p.rows[i], err = rowOfValue(item); err != nil {
			return err
		}
	}
	if last := value.Get("LastEvaluatedKey"); last != nil {
		next, err := rowOfValue(last)
		if err != nil {
			return err
		}
		p.next = &next.rowKey
	}
	p.decoded = true
	if consumed := value.Get("ConsumedCapacity"); consumed != nil { // an application's own handlers may count it
		if json.Unmarshal(fmt.Appendf(nil, `{"ConsumedCapacity":%s}`, consumed), output) != nil {
			return errors.New("its consumed capacity is of the wrong form")
		}
	}
	return nil
}

// readOutput reads what the AWS SDK decoded.
func (p *response) readOutput(output *dynamodb.QueryOutput) {
	p.rows = make([]row, len(output.Items))
	for i, attributes := range output.Items {
		p.rows[i] = rowOfAttributes(attributes)
	}
	if len(output.LastEvaluatedKey) > 0 {
		last := rowOfAttributes(output.LastEvaluatedKey)
		p.next = &last.rowKey
	}
}

// responseItems returns the items of a Query or the item, if any, of a GetItem.
func responseItems(response *fastjson.Value, output interface{}) ([]*fastjson.Value, error) {
	if _, ok := output.(*dynamodb.QueryOutput); ok {
		items := response.Get("Items")
		if items == nil || items.Type() != fastjson.TypeArray {
			return nil, errors.New("it has no list of items")
		}
		return items.GetArray(), nil
	}
	if item := response.Get("Item"); item != nil {
		return []*fastjson.Value{item}, nil
	}
	return nil, nil
}

// rowOfValue makes a row of DynamoDB's JSON: {"key":{"S":"..."},...}. The item
// stays in the parser's memory.
func rowOfValue(v *fastjson.Value) (row, error) {
	if v.Type() != fastjson.TypeObject {
		return row{}, errors.New("an item in it isn't an object")
	}
	return row{
		rowKey: rowKey{
			namespace: string(v.GetStringBytes(namespaceAttribute, "S")),
			key:       string(v.GetStringBytes(keyAttribute, "S")),
		},
		version: string(v.GetStringBytes(versionAttribute, "N")),
		item:    v.GetStringBytes(itemAttribute, "S"),
	}, nil
}

// rowOfAttributes makes a row of what the AWS SDK decoded, for clients that get
// no request options.
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

// decodeWritten decodes the response to a write. The AWS SDK would take a body that
// is empty or null for a success, which for a batch would mean that nothing of it is
// unprocessed, and mix what it reads into what an earlier try has left.
func decodeWritten(body []byte, output interface{}) error {
	if string(body) == "{}" {
		return nil // the most frequent one
	}
	reflect.ValueOf(output).Elem().SetZero()
	if err := json.Unmarshal(body, output); err != nil || bytes.TrimLeft(body, " \t\r\n")[0] != '{' {
		return errors.New("it isn't the JSON object that was expected") // the decoder's text would quote the body
	}
	return nil
}

// readBody reads a whole response, which is never empty.
func readBody(r *request.Request) ([]byte, error) {
	defer func() { _ = r.HTTPResponse.Body.Close() }()
	var body bytes.Buffer
	if size := r.HTTPResponse.ContentLength; size > 0 && size < maxBodyHint {
		body.Grow(int(size) + bytes.MinRead) // what ReadFrom wants free to see the end
	}
	if _, err := io.Copy(&body, r.HTTPResponse.Body); err != nil { // at once if the checksum was checked
		return nil, fmt.Errorf("read it: %w", err)
	}
	if body.Len() == 0 {
		return nil, errors.New("it is empty")
	}
	return body.Bytes(), nil
}

// badResponse is the AWS SDK's error for a response that can't be decoded. It is
// retried if the response is DynamoDB's: see foreignAnswer.
func badResponse(r *request.Request, err error) error {
	return awserr.NewRequestFailure(
		awserr.New(request.ErrCodeSerialization, "the response can't be used: "+err.Error(), err),
		r.HTTPResponse.StatusCode, r.RequestID)
}
