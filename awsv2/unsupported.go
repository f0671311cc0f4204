package awsv2

import (
	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/client"
	"github.com/aws/aws-sdk-go/aws/request"
	v1 "github.com/aws/aws-sdk-go/service/dynamodb"
)

// unsupported is a client of the AWS SDK v1 that refuses every request before it is
// signed or sent. It has the methods that no feature store calls.
type unsupported struct{ *v1.DynamoDB }

func newUnsupported() unsupported {
	c := v1.New(noSession{})
	c.Handlers.Validate.PushBack(func(r *request.Request) { r.Error = refuse(r.Operation.Name) })
	return unsupported{c}
}

func refuse(operation string) error {
	return awserr.New("UnsupportedOperation", "the client of awsv2.New does not support "+operation+
		", only GetItemWithContext, QueryWithContext, PutItemWithContext and BatchWriteItemWithContext", nil)
}

// noSession takes the place of an AWS session, which would look for settings.
type noSession struct{}

func (noSession) ClientConfig(string, ...*aws.Config) client.Config {
	return client.Config{Config: aws.NewConfig()}
}

// A waiter of the AWS SDK v1 would take the refusal for a reason to wait and try again.

func (unsupported) WaitUntilTableExists(*v1.DescribeTableInput) error    { return refuse("waiters") }
func (unsupported) WaitUntilTableNotExists(*v1.DescribeTableInput) error { return refuse("waiters") }

func (unsupported) WaitUntilTableExistsWithContext(aws.Context, *v1.DescribeTableInput, ...request.WaiterOption) error {
	return refuse("waiters")
}

func (unsupported) WaitUntilTableNotExistsWithContext(aws.Context, *v1.DescribeTableInput, ...request.WaiterOption) error {
	return refuse("waiters")
}
