// Package e2e holds the tests of lddynamodb in real programs, with the
// real SDK. Its folders hold what they are made of:
//
//   - ldserver: the LaunchDarkly that SDKs connect to
//   - payload: the flags, segments and users
//   - ldconfig: the SDK's configurations for a local LaunchDarkly
//   - clientlog: what clients log, and what can be told from that
//   - tcpproxy: a network to DynamoDB Local that can be cut
//   - localtable: tables in DynamoDB Local
//   - fixture: a LaunchDarkly and a table for one test
//   - evaluation: the values, variations and reasons of many flags
//   - demo: what "make demo" shows
//
// Tests with LaunchDarkly's SDK for Node.js are in the folder node, those with its
// Go SDK v7 in the folder v7, and those of networks and tables that fail in the
// folder faults.
package e2e
