// Package localtable makes tables in DynamoDB Local for the demo and the tests.
package localtable

import (
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/dynamodb"
)

// Table is a table for feature flags. Its client is for looking at the table
// and deleting it; stores get clients of their own.
type Table struct {
	Name     string
	Endpoint string
	client   *dynamodb.DynamoDB
}

// Create makes a table with a name that is free, at the DynamoDB Local with
// that base URL.
func Create(endpoint string) (*Table, error) {
	client, err := Connect(endpoint, nil)
	if err != nil {
		return nil, err
	}
	t := &Table{Name: "flags-" + rand.Text()[:8], Endpoint: endpoint, client: client}
	return t, t.Recreate()
}

// Recreate makes the table, or makes it anew after its loss.
func (t *Table) Recreate() error {
	_, err := t.client.CreateTable(&dynamodb.CreateTableInput{
		TableName:   aws.String(t.Name),
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
		return fmt.Errorf("creating table %s: %w", t.Name, err)
	}
	return nil
}

// Delete deletes the table with all its rows.
func (t *Table) Delete() error {
	_, err := t.client.DeleteTable(&dynamodb.DeleteTableInput{TableName: aws.String(t.Name)})
	if err != nil {
		return fmt.Errorf("deleting table %s: %w", t.Name, err)
	}
	return nil
}

// Connect makes a DynamoDB client for a DynamoDB Local. Its requests go through
// the HTTP client, or through the AWS SDK's own where that is nil.
func Connect(endpoint string, httpClient *http.Client) (*dynamodb.DynamoDB, error) {
	awsSession, err := session.NewSession(Config(endpoint).WithHTTPClient(httpClient))
	if err != nil {
		return nil, fmt.Errorf("making an AWS session: %w", err)
	}
	return dynamodb.New(awsSession), nil
}

// Config is the AWS configuration for a DynamoDB Local, which takes any
// credentials.
func Config(endpoint string) *aws.Config {
	return aws.NewConfig().
		WithEndpoint(endpoint).
		WithRegion("us-east-1").
		WithCredentials(credentials.NewStaticCredentials("local", "local", ""))
}
