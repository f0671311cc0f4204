// Package v7 holds the tests of lddynamodb on a table that it shares with
// programs that use LaunchDarkly's Go SDK v7 and its DynamoDB store.
package v7
