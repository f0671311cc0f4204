package awsv2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/request"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A deserializer decodes each response into an output or an error of the AWS SDK
// v1. The AWS SDK v2's own deserializer then gets the errors, by which it decides
// about retries, and the consumed capacity, which an application's middleware may
// count. It does not get the items, because decoding them twice would cost too much.
type deserializer[Output any] struct {
	middleware.DeserializeMiddleware // the AWS SDK v2's

	output    *Output
	v1        *v1.DynamoDB // decodes errors
	unchecked bool         // checksums
}

// replace puts the deserializer at the place of the AWS SDK v2's.
func (d *deserializer[Output]) replace(stack *middleware.Stack) (err error) {
	d.DeserializeMiddleware, err = stack.Deserialize.Swap("OperationDeserializer", d)
	return err
}

// HandleDeserialize implements middleware.DeserializeMiddleware.
func (d *deserializer[Output]) HandleDeserialize(
	ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
) (out middleware.DeserializeOutput, metadata middleware.Metadata, err error) {
	var answer error
	out, metadata, err = next.HandleDeserialize(ctx, in)
	if response, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil {
		answer, err = d.read(ctx, response.Response)
	}
	out, metadata, err = d.DeserializeMiddleware.HandleDeserialize(ctx, in, middleware.DeserializeHandlerFunc(
		func(context.Context, middleware.DeserializeInput) (middleware.DeserializeOutput, middleware.Metadata, error) {
			return out, metadata, err
		}))
	if answer != nil {
		err = &answerError{answer, err}
	}
	return out, metadata, err
}

// read reads a response, and replaces its body by what the AWS SDK v2 is to decode.
// For a response that is not a success, it returns the AWS SDK v1's error as answer.
// It returns err too if the AWS SDK v2 has nothing to decode and is to try again, and
// err alone if the context has ended before the body.
func (d *deserializer[Output]) read(ctx context.Context, response *http.Response) (answer, err error) {
	var body bytes.Buffer
	body.Grow(int(min(max(response.ContentLength, 0), 16<<20)) + bytes.MinRead) // no page of DynamoDB's is larger
	_, err = body.ReadFrom(response.Body)
	_ = response.Body.Close()
	rest := body.Bytes()
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
	case response.StatusCode >= http.StatusMultipleChoices:
		copied := *response
		copied.Body = io.NopCloser(bytes.NewReader(rest))
		r := request.Request{HTTPResponse: &copied}
		d.v1.Handlers.UnmarshalMeta.Run(&r)
		d.v1.Handlers.UnmarshalError.Run(&r)
		answer = r.Error
	case d.isCorrupt(response, rest):
		return errCorrupt, retryableError{errCorrupt}
	default:
		rest, err = d.decode(rest)
	}
	if err != nil {
		failure := awserr.New(request.ErrCodeSerialization, "the response can't be used: "+err.Error(), err)
		return awserr.NewRequestFailure(failure, response.StatusCode, response.Header.Get("X-Amzn-Requestid")), retryableError{err}
	}
	response.Body = io.NopCloser(bytes.NewReader(rest))
	return answer, nil
}

// isCorrupt reports whether the body has another checksum than it should. The AWS
// SDK v2 calculates it, but drops the result.
func (d *deserializer[Output]) isCorrupt(response *http.Response, body []byte) bool {
	sum, err := strconv.ParseUint(response.Header.Get("X-Amz-Crc32"), 10, 32)
	unpacked := response.Header.Get("Content-Encoding") != "" // the sum is that of the packed body
	return err == nil && !unpacked && !d.unchecked && uint32(sum) != crc32.ChecksumIEEE(body)
}

// decode decodes a success, and returns what the AWS SDK v2 is to decode. Unlike the
// AWS SDKs, it refuses an empty body: for a batch that would mean that all is written.
func (d *deserializer[Output]) decode(body []byte) ([]byte, error) {
	*d.output = *new(Output) // an earlier attempt may have left something
	if err := json.Unmarshal(body, d.output); err != nil || bytes.TrimLeft(body, " \t\r\n")[0] != '{' {
		return nil, errors.New("it isn't JSON of the right form") // the cause may quote the body
	}
	query, isQuery := any(d.output).(*v1.QueryOutput)
	batch, isBatch := any(d.output).(*v1.BatchWriteItemOutput)
	if (isQuery && query.Items == nil) || (isBatch && batch.UnprocessedItems == nil) {
		return nil, errors.New("it has no list of items")
	}
	const capacity = "ConsumedCapacity" // which all outputs have
	return json.Marshal(map[string]any{capacity: reflect.ValueOf(d.output).Elem().FieldByName(capacity).Interface()})
}
