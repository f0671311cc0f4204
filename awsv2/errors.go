package awsv2

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsv1 "github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/request"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// errorOf returns what the AWS SDK v1 returns where the AWS SDK v2 has returned err.
func errorOf(ctx context.Context, err error, region string) error {
	var answer *answerError
	var credentials *credentialsError
	var unsent *smithyhttp.RequestSendError
	switch {
	case errors.As(err, &answer):
		return answer.error
	case ctx.Err() != nil:
		return awserr.New(request.CanceledErrorCode, "request context canceled", ctx.Err())
	case errors.As(err, &credentials):
		return credentials.v1()
	case errors.As(err, &unsent):
		err = unsent.Err
	case region == "":
		return awsv1.ErrMissingRegion
	}
	return awserr.New(request.ErrCodeRequestError, "send request failed", err)
}

// An answerError is the AWS SDK v1's error for an answer that is not a success.
type answerError struct {
	error
	v2 error // by which the AWS SDK v2 decides whether to try again
}

func (e *answerError) Unwrap() error { return e.v2 }

// errCorrupt is the AWS SDK v1's error for a body with a wrong checksum.
var errCorrupt = awserr.New("CRC32CheckFailed", "CRC32 integrity check failed", nil)

// A retryableError makes the AWS SDK v2 try again, as the AWS SDK v1 does.
type retryableError struct{ error }

func (retryableError) RetryableError() bool { return true }

// credentials marks the errors of a provider of credentials.
type credentials struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	retrieved, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		err = &credentialsError{err}
	}
	return retrieved, err
}

type credentialsError struct{ error }

func (e *credentialsError) Unwrap() error { return e.error }

// v1 returns the answer of the service that was asked for credentials, if any.
func (e *credentialsError) v1() error {
	var answer smithy.APIError
	var response *awshttp.ResponseError
	if errors.As(e.error, &answer) && errors.As(e.error, &response) {
		return awserr.NewRequestFailure(awserr.New(answer.ErrorCode(), "get credentials: "+answer.ErrorMessage(), nil),
			response.HTTPStatusCode(), response.ServiceRequestID())
	}
	return awserr.New("NoCredentialProviders", "get credentials", e.error)
}
