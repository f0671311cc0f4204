package awsv2_test

import (
	"context"
	"log"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ld "gopkg.in/launchdarkly/go-server-sdk.v4"

	"github.com/launchdarkly/go-server-sdk/lddynamodb"
	"github.com/launchdarkly/go-server-sdk/lddynamodb/awsv2"
)

func Example() {
	awsConfig, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	client := awsv2.New(dynamodb.NewFromConfig(awsConfig))
	factory, err := lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags", lddynamodb.DynamoClient(client))
	if err != nil {
		log.Fatal(err)
	}

	ldConfig := ld.DefaultConfig
	ldConfig.FeatureStoreFactory = factory
	ldClient, err := ld.MakeCustomClient("my-sdk-key", ldConfig, 10*time.Second)
	if err != nil {
		log.Print(err) // the client evaluates what the table has, and goes on connecting
	}
	defer ldClient.Close()
}

// The role may be in the account of the table.
func ExampleNew_assumeRole() {
	awsConfig, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(awsConfig), "arn:aws:iam::210987654321:role/flags-reader")
	awsConfig.Credentials = aws.NewCredentialsCache(role)

	option := lddynamodb.DynamoClient(awsv2.New(dynamodb.NewFromConfig(awsConfig)))
	_, err = lddynamodb.NewDynamoDBFeatureStoreFactory("my-flags", option)
	if err != nil {
		log.Fatal(err)
	}
}
