package lddynamodb

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/client"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
)

// DynamoDB's actions that this package uses, by the names that IAM policies have
// for them.
const (
	getItem        = "GetItem"
	query          = "Query"
	putItem        = "PutItem"
	batchWriteItem = "BatchWriteItem"
)

// A table makes requests to DynamoDB, one method for each of its actions. None
// of them knows what a row holds.
type table struct {
	client  dynamodbiface.DynamoDBAPI
	name    string
	timeout time.Duration // of a call, retries included; 0 is none
}

// get reads a row. The response has no rows if the table has none. Its user has
// to release it.
func (t *table) get(ctx context.Context, key rowKey, consistent bool, options ...request.Option) (*response, error) {
	input := &dynamodb.GetItemInput{
		TableName:      aws.String(t.name),
		Key:            key.attributes(),
		ConsistentRead: aws.Bool(consistent),
	}
	response := new(response)
	err := t.call(ctx, target{getItem, key}, func(ctx context.Context) error {
		output, err := t.client.GetItemWithContext(ctx, input, append(options, expireCredentials, response.decodeOption)...)
		if err == nil && !response.decoded && len(output.Item) > 0 {
			response.rows = []row{rowOfAttributes(output.Item)}
		}
		return err
	})
	if err != nil {
		response.release()
		return nil, err
	}
	for i := range response.rows {
		// The caller's key may be a small part of a large string.
		response.rows[i].rowKey = rowKey{key.namespace, strings.Clone(key.key)}
	}
	return response, nil
}

// query reads a page of a namespace's rows: the first one, or the one that begins
// after a row. A limit of zero is none. The response's user has to release it.
func (t *table) query(
	ctx context.Context, namespace string, consistent bool, after *rowKey, limit int64, options ...request.Option,
) (*response, error) {
	input := &dynamodb.QueryInput{
		TableName:              aws.String(t.name),
		KeyConditionExpression: aws.String("#namespace = :namespace"),
		ProjectionExpression:   aws.String("#key, #version, #item"),
		// Some of the attributes are reserved words of DynamoDB's.
		ExpressionAttributeNames: map[string]*string{
			"#namespace": aws.String(namespaceAttribute),
			"#key":       aws.String(keyAttribute),
			"#version":   aws.String(versionAttribute),
			"#item":      aws.String(itemAttribute),
		},
		ExpressionAttributeValues: map[string]*dynamodb.AttributeValue{":namespace": {S: aws.String(namespace)}},
		ConsistentRead:            aws.Bool(consistent),
	}
	if after != nil {
		input.ExclusiveStartKey = after.attributes()
	}
	if limit > 0 {
		input.Limit = aws.Int64(limit)
	}
	response := new(response)
	err := t.call(ctx, target{query, rowKey{namespace: namespace}}, func(ctx context.Context) error {
		output, err := t.client.QueryWithContext(ctx, input, append(options, expireCredentials, response.decodeOption)...)
		if err == nil && !response.decoded {
			response.readOutput(output)
		}
		return err
	})
	if err != nil {
		response.release()
		return nil, err
	}
	for i := range response.rows {
		response.rows[i].namespace = namespace
	}
	return response, nil
}

// probe reads as little as it can with the action of a target. For one that
// writes, it reads the row.
func (t *table) probe(ctx context.Context, of target) error {
	var response *response
	var err error
	if of.action == query {
		response, err = t.query(ctx, of.namespace, true, nil, 1, withoutRetries)
	} else {
		if of.key == "" {
			of.key = initedKey // of a batch: any key will do
		}
		response, err = t.get(ctx, of.rowKey, true, withoutRetries)
	}
	if err == nil {
		response.release()
	}
	return err
}

// putIfNewer writes a row unless the table has it at the same version or a
// newer one. It takes the place of a row whose version isn't a number.
func (t *table) putIfNewer(ctx context.Context, r row, options ...request.Option) (stored bool, err error) {
	return t.putIf(ctx, r, "NOT attribute_type(#version, :number) OR #version < :version",
		map[string]*dynamodb.AttributeValue{
			":number":  {S: aws.String(dynamodb.ScalarAttributeTypeN)},
			":version": {N: aws.String(r.version)},
		}, options)
}

// putIfAsNew writes a row even if the table has the same version of it.
func (t *table) putIfAsNew(ctx context.Context, r row, options ...request.Option) (stored bool, err error) {
	return t.putIf(ctx, r, "#version <= :version",
		map[string]*dynamodb.AttributeValue{":version": {N: aws.String(r.version)}}, options)
}

func (t *table) putIf(
	ctx context.Context, r row, condition string, values map[string]*dynamodb.AttributeValue, options []request.Option,
) (stored bool, err error) {
	err = t.put(ctx, r.rowKey, &dynamodb.PutItemInput{
		TableName:                 aws.String(t.name),
		Item:                      r.attributes(),
		ConditionExpression:       aws.String(condition),
		ExpressionAttributeNames:  map[string]*string{"#version": aws.String(versionAttribute)},
		ExpressionAttributeValues: values,
	}, options)
	if code, _ := awsCode(err); code == dynamodb.ErrCodeConditionalCheckFailedException {
		return false, nil
	}
	return err == nil, err
}

// putInited writes the row that says that the table holds a full data set.
func (t *table) putInited(ctx context.Context, key rowKey, options ...request.Option) error {
	return t.put(ctx, key, &dynamodb.PutItemInput{TableName: aws.String(t.name), Item: key.attributes()}, options)
}

func (t *table) put(ctx context.Context, key rowKey, input *dynamodb.PutItemInput, options []request.Option) error {
	return t.call(ctx, target{putItem, key}, func(ctx context.Context) error {
		_, err := t.client.PutItemWithContext(ctx, input, append(options, expireCredentials, refuseBadBody)...)
		return err
	})
}

// batchWrite makes one BatchWriteItem request for rows of a namespace. What it
// returns as unprocessed has to be sent again.
func (t *table) batchWrite(
	ctx context.Context, namespace string, requests []*dynamodb.WriteRequest, options ...request.Option,
) (unprocessed []*dynamodb.WriteRequest, err error) {
	input := &dynamodb.BatchWriteItemInput{RequestItems: map[string][]*dynamodb.WriteRequest{t.name: requests}}
	of := target{batchWriteItem, rowKey{namespace: namespace}}
	err = t.call(ctx, of, func(ctx context.Context) error {
		output, err := t.client.BatchWriteItemWithContext(ctx, input,
			append(options, expireCredentials, refuseBadBody, leaveThrottlingToUs)...)
		if err == nil {
			for _, requests := range output.UnprocessedItems { // of the only table, by its name or its ARN
				unprocessed = append(unprocessed, requests...)
			}
		}
		return err
	})
	return unprocessed, err
}

// call makes one call of the client's, bounded by the timeout.
func (t *table) call(ctx context.Context, of target, op func(context.Context) error) error {
	began := time.Now()
	if t.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.timeout)
		defer cancel()
	}
	err := op(ctx)
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = &timeoutError{after: time.Since(began), cause: err}
	}
	return &tableError{target: of, table: t.name, cause: err}
}

// expireCredentials is the option that has expired credentials forgotten. The AWS
// SDK does that only before it tries again, so a request without retries would use
// the same ones for ever.
func expireCredentials(r *request.Request) {
	r.Handlers.AfterRetry.PushBack(func(r *request.Request) {
		if r.IsErrorExpired() && r.Config.Credentials != nil {
			r.Config.Credentials.Expire()
		}
	})
}

// withoutRetries is the option for a request that is made again anyway.
func withoutRetries(r *request.Request) { r.Retryer = client.NoOpRetryer{} }

// leaveThrottlingToUs keeps the AWS SDK from retrying a request that was
// throttled as a whole: the batchWriter does, and it knows whether other
// batches get through.
func leaveThrottlingToUs(r *request.Request) {
	if r.Retryer != nil {
		r.Retryer = throttlePassingRetryer{r.Retryer}
	}
}

type throttlePassingRetryer struct{ request.Retryer }

func (r throttlePassingRetryer) ShouldRetry(failed *request.Request) bool {
	return !isThrottle(failed.Error) && r.Retryer.ShouldRetry(failed)
}
