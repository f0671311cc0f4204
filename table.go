package lddynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/aws-sdk-go/service/dynamodb"
	"github.com/aws/aws-sdk-go/service/dynamodb/dynamodbiface"
)

// DynamoDB's actions that this package uses, by the names that IAM policies have for them.
const (
	getItem        = "GetItem"
	query          = "Query"
	putItem        = "PutItem"
	batchWriteItem = "BatchWriteItem"
)

// maxConnectAttempts ends a call that finds no connection. With the AWS SDK's waits, that takes some 250 ms.
const maxConnectAttempts = 3

// A table makes requests to DynamoDB, one method for each of its actions. None of them knows what a row holds.
type table struct {
	client  dynamodbiface.DynamoDBAPI
	name    string
	timeout time.Duration // of a call, retries included; 0 is none
}

// get reads a row. The response has no rows if the table has none.
func (t *table) get(ctx context.Context, key rowKey, consistent bool) (*response, error) {
	return t.call(ctx, target{getItem, key}, func(a *attempt) error {
		output, err := t.client.GetItemWithContext(a.ctx, &dynamodb.GetItemInput{
			TableName:      &t.name,
			Key:            key.attributes(),
			ConsistentRead: aws.Bool(consistent),
		}, a.options()...)
		if err == nil && len(output.Item) > 0 {
			a.response.rows = []row{rowOfAttributes(output.Item)}
		}
		return err
	})
}

// query reads a page of a namespace's rows, after a key if there is one. A limit of zero is none.
func (t *table) query(
	ctx context.Context, namespace string, consistent bool, after string, limit int64,
) (*response, error) {
	return t.call(ctx, target{query, rowKey{namespace: namespace}}, func(a *attempt) error {
		input := &dynamodb.QueryInput{
			TableName:              &t.name,
			KeyConditionExpression: aws.String("#namespace = :namespace"),
			ProjectionExpression:   aws.String("#key, #version, #item"),
			// Some of the attributes are reserved words of DynamoDB's.
			ExpressionAttributeNames: aws.StringMap(map[string]string{
				"#namespace": namespaceAttribute, "#key": keyAttribute, "#version": versionAttribute, "#item": itemAttribute,
			}),
			ExpressionAttributeValues: map[string]*dynamodb.AttributeValue{":namespace": {S: aws.String(namespace)}},
			ConsistentRead:            aws.Bool(consistent),
		}
		if after != "" {
			input.ExclusiveStartKey = rowKey{namespace, after}.attributes()
		}
		if limit > 0 {
			input.Limit = aws.Int64(limit)
		}
		output, err := t.client.QueryWithContext(a.ctx, input, a.options()...)
		if err != nil {
			return err
		}
		for _, item := range output.Items {
			a.response.rows = append(a.response.rows, rowOfAttributes(item))
		}
		if output.LastEvaluatedKey != nil {
			a.response.next = rowOfAttributes(output.LastEvaluatedKey).key
		}
		return nil
	})
}

// putIfNewer writes a row unless the table has it at the same version or a newer one, as a number.
func (t *table) putIfNewer(ctx context.Context, r row) (stored bool, err error) {
	attributes := r.attributes()
	err = t.put(ctx, r.rowKey, dynamodb.PutItemInput{
		TableName:                 &t.name,
		Item:                      attributes,
		ConditionExpression:       aws.String("NOT version >= :version"),
		ExpressionAttributeValues: map[string]*dynamodb.AttributeValue{":version": attributes[versionAttribute]},
	})
	if code, _ := awsCode(err); code == dynamodb.ErrCodeConditionalCheckFailedException {
		return false, nil
	}
	return err == nil, err
}

// putInited writes the row that says that the table holds a full data set.
func (t *table) putInited(ctx context.Context, key rowKey) error {
	return t.put(ctx, key, dynamodb.PutItemInput{TableName: &t.name, Item: key.attributes()})
}

func (t *table) put(ctx context.Context, key rowKey, input dynamodb.PutItemInput) error {
	_, err := t.call(ctx, target{putItem, key}, func(a *attempt) error {
		_, err := t.client.PutItemWithContext(a.ctx, &input, a.options()...)
		return err
	})
	return err
}

// batchWrite makes one BatchWriteItem request. What is throttled it returns, to be sent again, with the error.
func (t *table) batchWrite(
	ctx context.Context, namespace string, requests []*dynamodb.WriteRequest,
) (unprocessed []*dynamodb.WriteRequest, err error) {
	of := target{batchWriteItem, rowKey{namespace: namespace}}
	_, err = t.call(ctx, of, func(a *attempt) error {
		output, err := t.client.BatchWriteItemWithContext(a.ctx, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]*dynamodb.WriteRequest{t.name: requests},
		}, a.options()...)
		if err != nil {
			unprocessed = requests
			return err
		}
		for _, requests := range output.UnprocessedItems { // of the only table, by its name or its ARN
			unprocessed, err = append(unprocessed, requests...), errUnprocessed
		}
		return err
	})
	return unprocessed, err
}

// call makes one call of the client's, bounded by the timeout. What a response lacks of a row's key the target has.
func (t *table) call(ctx context.Context, of target, send func(*attempt) error) (*response, error) {
	began := time.Now()
	if deadline, ok := ctx.Deadline(); t.timeout > 0 && (!ok || deadline.Sub(began) > t.timeout) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, began.Add(t.timeout))
		defer cancel()
	}
	a := &attempt{ctx: ctx, table: t, of: of}
	err := recovered(func() error { return send(a) })
	if err == nil {
		for i := range a.response.rows {
			r := &a.response.rows[i]
			r.rowKey = rowKey{of.namespace, cmp.Or(of.key, r.key)}
		}
		return &a.response, nil
	}
	failure := &tableError{target: of, table: t.name, cause: err, ofCredentials: a.unsigned}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		failure.after = time.Since(began)
		if a.lastErr != nil {
			failure.cause, failure.ofCredentials = a.lastErr, false // the AWS SDK says only that the call was canceled
		}
	}
	if client, isOwn := t.client.(*dynamodb.DynamoDB); isOwn {
		renew(client, err, failure.after > 0)
	}
	return nil, failure
}

// renew has a client get anew what may be why a call failed, or had no answer in time.
func renew(client *dynamodb.DynamoDB, err error, wasLate bool) {
	if wasLate && client.Config.HTTPClient != nil {
		client.Config.HTTPClient.CloseIdleConnections() // if this one was dead, others may be
	}
	// The AWS SDK does this only if they have expired, and only before a retry.
	if code, _ := awsCode(err); client.Config.Credentials != nil && slices.Contains(refusedCredentials, code) {
		client.Config.Credentials.Expire()
	}
}

// recovered does work of the application's client or kinds, whose panic is an error.
func recovered(work func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panic: %v\n%s", value, debug.Stack())
		}
	}()
	return work()
}

// An attempt is one call of a method of the client's. It is also the AWS SDK's request.Retryer for that call.
type attempt struct {
	ctx      context.Context
	table    *table
	of       target
	response response

	request.Retryer       // the client's own
	unsigned        bool  // it was never signed, for want of credentials
	lastErr         error // of the latest request that failed, before a retry
}

// options returns the request options of the attempt. Only the AWS SDK's own client gets any: a DAX client refuses
// them, and others ignore them or break on them. So everything has to work without them.
func (a *attempt) options() []request.Option {
	if _, isOwn := a.table.client.(*dynamodb.DynamoDB); !isOwn {
		return nil
	}
	return []request.Option{func(r *request.Request) {
		a.Retryer, r.Retryer = r.Retryer, a
		// In the place of the AWS SDK's, so that it comes after the user's own handlers.
		const name = "awssdk.jsonrpc.Unmarshal"
		r.Handlers.Unmarshal.Swap(name, request.NamedHandler{Name: name, Fn: a.response.unmarshal})
		r.Handlers.Sign.PushBack(func(r *request.Request) { a.unsigned = r.Error != nil && r.SignedHeaderVals == nil })
	}}
}

// ShouldRetry implements request.Retryer.
func (a *attempt) ShouldRetry(failed *request.Request) bool {
	// The batchWriter retries what is throttled, and knows whether other batches get through.
	isLeft := a.of.action == batchWriteItem && isThrottle(failed.Error)
	isLast := failed.RetryCount >= maxConnectAttempts-1 && isUnconnected(failed.Error)
	return !isLeft && !isLast && foreignAnswer(failed.Error) == "" && a.Retryer.ShouldRetry(failed)
}

// RetryRules implements request.Retryer. It is called before each retry.
func (a *attempt) RetryRules(failed *request.Request) time.Duration {
	a.lastErr = failed.Error
	return a.Retryer.RetryRules(failed)
}
