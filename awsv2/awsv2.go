// Package awsv2 makes a DynamoDB client of the AWS SDK for Go v2 usable with the
// DynamoClient option of package lddynamodb, whose API has types of the AWS SDK v1.
// The AWS SDK v2 then gets the credentials, and signs, sends and retries the
// requests. Nothing of the AWS SDK v1 opens a connection.
package awsv2

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
)

// New makes a client of the AWS SDK for Go v2 usable with lddynamodb.DynamoClient.
// The result has the methods that a feature store calls: GetItemWithContext,
// QueryWithContext, PutItemWithContext and BatchWriteItemWithContext. They return
// the errors of a client of the AWS SDK v1, and ignore request options, which are
// for the handlers of such a client. All other methods return an error with the code
// "UnsupportedOperation". If the client is nil, so is the result, which
// lddynamodb.DynamoClient refuses.
func New(client *dynamodb.Client) dynamodbiface.DynamoDBAPI {
	if client == nil {
		return nil
	}
	return &adapter{newUnsupported(), client, client.Options()}
}

// An adapter has the interface of a client of the AWS SDK v1, and uses one of the
// AWS SDK v2.
type adapter struct {
	unsupported
	client  *dynamodb.Client
	options dynamodb.Options // the client's
}

// GetItemWithContext reads an item.
func (a *adapter) GetItemWithContext(ctx aws.Context, input *v1.GetItemInput, _ ...request.Option) (*v1.GetItemOutput, error) {
	return call[v1.GetItemOutput](ctx, a, input, a.client.GetItem)
}

// QueryWithContext reads a page of items.
func (a *adapter) QueryWithContext(ctx aws.Context, input *v1.QueryInput, _ ...request.Option) (*v1.QueryOutput, error) {
	return call[v1.QueryOutput](ctx, a, input, a.client.Query)
}

// PutItemWithContext writes an item.
func (a *adapter) PutItemWithContext(ctx aws.Context, input *v1.PutItemInput, _ ...request.Option) (*v1.PutItemOutput, error) {
	return call[v1.PutItemOutput](ctx, a, input, a.client.PutItem)
}

// BatchWriteItemWithContext writes and deletes items.
func (a *adapter) BatchWriteItemWithContext(
	ctx aws.Context, input *v1.BatchWriteItemInput, _ ...request.Option,
) (*v1.BatchWriteItemOutput, error) {
	return call[v1.BatchWriteItemOutput](ctx, a, input, a.client.BatchWriteItem)
}

// call makes a request. The output is not nil if it fails, as in the AWS SDK v1.
func call[Output, V2Input, V2Output any](
	ctx context.Context, a *adapter, input interface{ Validate() error },
	send func(context.Context, *V2Input, ...func(*dynamodb.Options)) (*V2Output, error),
) (*Output, error) {
	output := new(Output)
	if err := input.Validate(); err != nil {
		return output, err
	}
	converted := new(V2Input)
	convert(converted, input)
	_, err := send(ctx, converted, func(options *dynamodb.Options) {
		if options.Credentials != nil {
			options.Credentials = credentials{options.Credentials}
		}
		d := &deserializer[Output]{output: output, v1: a.DynamoDB, unchecked: options.DisableValidateResponseChecksum}
		options.APIOptions = append(options.APIOptions, d.replace)
	})
	if err == nil {
		return output, nil
	}
	err = errorOf(ctx, err, a.options.Region)
	if cache, ok := a.options.Credentials.(interface{ Invalidate() }); ok && request.IsErrorExpiredCreds(err) {
		cache.Invalidate() // or it would keep them until they expire by its own clock
	}
	return output, err
}
