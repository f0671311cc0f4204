// Package lddynamodb provides a DynamoDB-backed feature store for the LaunchDarkly Go SDK.
package lddynamodb
