package lddynamodb

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/valyala/fastjson"
)

// responseParsers keep their memory from one response to the next.
var responseParsers fastjson.ParserPool

// errBadForm doesn't quote the body, as the decoders' errors do.
var errBadForm = errors.New("it isn't the JSON object that was expected")

// A response is what a GetItem or Query answered. Its rows are decoded straight from the body, at a fraction of what
// the AWS SDK's reflection costs. If the client gets no request options, they are made of what the AWS SDK decoded.
type response struct {
	rows []row
	next string // the key after which the next page of a Query begins, if any
}

// unmarshal is the request handler that decodes a body, of a read into this response, of a write into the SDK's output.
func (p *response) unmarshal(r *request.Request) {
	*p = response{} // what an earlier try may have left
	if r.Error != nil {
		return // the checksum was wrong
	}
	defer func() { _ = r.HTTPResponse.Body.Close() }()
	var body bytes.Buffer
	body.Grow(int(min(max(r.HTTPResponse.ContentLength, 0), 16<<20)) + bytes.MinRead) // no page of DynamoDB's is larger
	_, err := body.ReadFrom(r.HTTPResponse.Body)
	if err == nil {
		err = p.decode(body.Bytes(), r.Data)
	}
	if err != nil {
		// The AWS SDK's code for this. It tries again if the response is DynamoDB's: see foreignAnswer.
		failure := awserr.New(request.ErrCodeSerialization, "the response can't be used: "+err.Error(), err)
		r.Error = awserr.NewRequestFailure(failure, r.HTTPResponse.StatusCode, r.RequestID)
	}
}

func (p *response) decode(body []byte, output any) error {
	_, isGet := output.(*dynamodb.GetItemOutput)
	_, isQuery := output.(*dynamodb.QueryOutput)
	if !isGet && !isQuery {
		return decodeWritten(body, output)
	}
	parser := responseParsers.Get()
	defer responseParsers.Put(parser)
	value, err := parser.ParseBytes(body)
	if err != nil || value.Type() != fastjson.TypeObject {
		return errBadForm
	}
	var items []*fastjson.Value
	if list := value.Get("Items"); isQuery {
		if list == nil || list.Type() != fastjson.TypeArray {
			return errBadForm
		}
		items = list.GetArray()
	} else if item := value.Get("Item"); item != nil {
		items = []*fastjson.Value{item}
	}
	p.rows = make([]row, len(items))
	for i, item := range items {
		if item.Type() != fastjson.TypeObject {
			return errBadForm
		}
		p.rows[i] = rowOfValue(item)
	}
	if last := value.Get("LastEvaluatedKey"); last != nil {
		if p.next = rowOfValue(last).key; p.next == "" {
			return errBadForm
		}
	}
	consumed := value.Get("ConsumedCapacity") // an application's own handlers may count it
	if consumed != nil && json.Unmarshal(fmt.Appendf(nil, `{"ConsumedCapacity":%s}`, consumed), output) != nil {
		return errBadForm
	}
	return nil
}

// rowOfValue makes a row of DynamoDB's JSON: {"key":{"S":"..."},...}.
func rowOfValue(v *fastjson.Value) row {
	return row{
		rowKey:  rowKey{key: string(v.GetStringBytes(keyAttribute, "S"))},
		version: string(v.GetStringBytes(versionAttribute, "N")),
		item:    string(v.GetStringBytes(itemAttribute, "S")),
	}
}

// rowOfAttributes makes a row of what the AWS SDK decoded.
func rowOfAttributes(attributes map[string]*dynamodb.AttributeValue) row {
	value := func(name string) *dynamodb.AttributeValue {
		return cmp.Or(attributes[name], &dynamodb.AttributeValue{})
	}
	return row{
		rowKey:  rowKey{key: aws.StringValue(value(keyAttribute).S)},
		version: aws.StringValue(value(versionAttribute).N),
		item:    aws.StringValue(value(itemAttribute).S),
	}
}

// decodeWritten decodes the response to a write. The AWS SDK would take a body that is empty or null for a success,
// which for a batch would mean that nothing is unprocessed, and mix what it reads with what an earlier try has left.
func decodeWritten(body []byte, output any) error {
	reflect.ValueOf(output).Elem().SetZero()
	if string(body) == "{}" { // all of DynamoDB's answers to puts
		return nil
	}
	if json.Unmarshal(body, output) != nil || bytes.TrimSpace(body)[0] != '{' {
		return errBadForm
	}
	return nil
}
