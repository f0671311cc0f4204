package lddynamodb_test

import (
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"

	"github.com/launchdarkly/go-server-sdk/lddynamodb/internal/dynamolocal"
)

// newLocalTable makes a table in DynamoDB Local for an example.
func newLocalTable() (name string, client *dynamodb.DynamoDB) {
	endpoint, err := dynamolocal.Endpoint()
	if err != nil {
		log.Fatal(err)
	}
	client = dynamodb.New(session.Must(session.NewSession(&aws.Config{
		Endpoint:    aws.String(endpoint),
		Region:      aws.String("us-east-1"),
		Credentials: credentials.NewStaticCredentials("id", "secret", ""),
	})))
	name = fmt.Sprintf("example-%08x", rand.Uint32())
	_, err = client.CreateTable(&dynamodb.CreateTableInput{
		TableName:   aws.String(name),
		BillingMode: aws.String(dynamodb.BillingModePayPerRequest),
		AttributeDefinitions: []*dynamodb.AttributeDefinition{
			{AttributeName: aws.String("namespace"), AttributeType: aws.String(dynamodb.ScalarAttributeTypeS)},
			{AttributeName: aws.String("key"), AttributeType: aws.String(dynamodb.ScalarAttributeTypeS)},
		},
		KeySchema: []*dynamodb.KeySchemaElement{
			{AttributeName: aws.String("namespace"), KeyType: aws.String(dynamodb.KeyTypeHash)},
			{AttributeName: aws.String("key"), KeyType: aws.String(dynamodb.KeyTypeRange)},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	return name, client
}
