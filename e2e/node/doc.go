// Package node holds the tests of lddynamodb on a table that it shares with
// programs that use LaunchDarkly's SDK for Node.js, and its DynamoDB store. The
// README has the differences between the two stores.
package node
