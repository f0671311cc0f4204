//go:build !linux && !darwin

package dynamolocal

import (
	"context"
	"errors"
)

func lock(context.Context, string) (unlock func(), err error) {
	return nil, errors.New("only Linux and macOS are supported: set " + EndpointVariable + " to a DynamoDB Local that runs")
}
