package lddynamodb

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/client"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
)

// A table makes requests to DynamoDB, one method for each of its actions. None
// of them knows what a row holds.
type table struct {
	client  dynamodbiface.DynamoDBAPI
	name    string
	timeout time.Duration // of a call, retries included; 0 is none
}

// get reads a row; found is false where the table has none.
func (t *table) get(
	ctx context.Context, key rowKey, consistent bool, options ...request.Option,
) (r row, found bool, err error) {
	input := &dynamodb.GetItemInput{
		TableName:      aws.String(t.name),
		Key:            key.attributes(),
		ConsistentRead: aws.Bool(consistent),
	}
	var reader rowReader
	err = t.call(ctx, "GetItem "+key.String(), func(ctx context.Context, lastAttempt request.Option) error {
		output, err := t.client.GetItemWithContext(ctx, input, append(options, lastAttempt, reader.option)...)
		if err == nil && !reader.decoded && len(output.Item) > 0 {
			reader.rows = []row{rowOfAttributes(output.Item)}
		}
		return err
	})
	if err != nil || len(reader.rows) == 0 {
		return row{}, false, err
	}
	r = reader.rows[0]
	r.rowKey = key
	return r, true, nil
}

// query reads all rows of a namespace and hands each page of them to a
// function, before it asks for the next page.
func (t *table) query(ctx context.Context, namespace string, consistent bool, page func([]row)) error {
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
	for {
		rows, next, err := t.queryPage(ctx, namespace, input)
		if err != nil {
			return err
		}
		page(rows)
		if len(next) == 0 {
			return nil
		}
		input.ExclusiveStartKey = next
	}
}

func (t *table) queryPage(ctx context.Context, namespace string, input *dynamodb.QueryInput) (
	rows []row, next map[string]*dynamodb.AttributeValue, err error,
) {
	var reader rowReader
	err = t.call(ctx, "Query "+namespace, func(ctx context.Context, lastAttempt request.Option) error {
		output, err := t.client.QueryWithContext(ctx, input, lastAttempt, reader.option)
		if err != nil || reader.decoded {
			return err
		}
		reader.rows = make([]row, len(output.Items))
		for i, attributes := range output.Items {
			reader.rows[i] = rowOfAttributes(attributes)
		}
		next = output.LastEvaluatedKey
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for i := range reader.rows {
		reader.rows[i].namespace = namespace
	}
	if reader.next != nil {
		next = reader.next.attributes()
	}
	return reader.rows, next, nil
}

// putIfNewer writes a row unless the table has it at the same version or a
// newer one. It takes the place of a row whose version is no number.
func (t *table) putIfNewer(ctx context.Context, r row) (stored bool, err error) {
	input := &dynamodb.PutItemInput{
		TableName:                aws.String(t.name),
		Item:                     r.attributes(),
		ConditionExpression:      aws.String("NOT attribute_type(#version, :number) OR #version < :version"),
		ExpressionAttributeNames: map[string]*string{"#version": aws.String(versionAttribute)},
		ExpressionAttributeValues: map[string]*dynamodb.AttributeValue{
			":number":  {S: aws.String(dynamodb.ScalarAttributeTypeN)},
			":version": {N: aws.String(r.version)},
		},
	}
	err = t.putItem(ctx, r.rowKey, input)
	if code, _ := awsCode(err); code == dynamodb.ErrCodeConditionalCheckFailedException {
		return false, nil
	}
	return err == nil, err
}

// putInited writes the row that says that the table holds a full data set.
func (t *table) putInited(ctx context.Context, key rowKey) error {
	return t.putItem(ctx, key, &dynamodb.PutItemInput{TableName: aws.String(t.name), Item: key.attributes()})
}

func (t *table) putItem(ctx context.Context, key rowKey, input *dynamodb.PutItemInput) error {
	return t.call(ctx, "PutItem "+key.String(), func(ctx context.Context, lastAttempt request.Option) error {
		_, err := t.client.PutItemWithContext(ctx, input, lastAttempt, refuseBadBody)
		return err
	})
}

// call makes one call of the client's, bounded by the timeout. It has it
// remember the last attempt's error: what the AWS SDK returns when the time is
// up says nothing of what it had been trying against.
func (t *table) call(
	ctx context.Context, action string, op func(ctx context.Context, lastAttempt request.Option) error,
) error {
	if t.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t.timeout)
		defer cancel()
	}
	var lastErr error
	err := op(ctx, func(r *request.Request) {
		r.Handlers.Retry.PushFront(func(r *request.Request) {
			if ctx.Err() == nil {
				lastErr = r.Error
			}
		})
		// The AWS SDK forgets expired credentials only where it tries again, so
		// an availability check would use the same ones for ever.
		r.Handlers.AfterRetry.PushBack(func(r *request.Request) {
			if r.IsErrorExpired() && r.Config.Credentials != nil {
				r.Config.Credentials.Expire()
			}
		})
	})
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = &timeoutError{timeout: t.timeout, lastAttempt: lastErr, cause: err}
	}
	return &tableError{action: action, table: t.name, cause: err}
}

// batchWrite makes one BatchWriteItem request. What it returns as unprocessed
// has to be sent again.
func (t *table) batchWrite(ctx context.Context, requests []*dynamodb.WriteRequest) (
	unprocessed []*dynamodb.WriteRequest, err error,
) {
	input := &dynamodb.BatchWriteItemInput{RequestItems: map[string][]*dynamodb.WriteRequest{t.name: requests}}
	err = t.call(ctx, "BatchWriteItem", func(ctx context.Context, lastAttempt request.Option) error {
		output, err := t.client.BatchWriteItemWithContext(ctx, input, lastAttempt, refuseBadBody, leaveThrottlingToUs)
		if err == nil {
			for _, requests := range output.UnprocessedItems { // of the only table, by its name or its ARN
				unprocessed = append(unprocessed, requests...)
			}
		}
		return err
	})
	return unprocessed, err
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
