// Package faults tests what the store promises for bad days: DynamoDB that
// can't be reached, is slow, answers with errors or with garbage, or loses
// everything. "make test-faults" runs it against DynamoDB Local, behind a TCP
// proxy and an HTTP transport that make the faults. RESULTS.md has what was
// measured; "go test ./faults -args -results=RESULTS.md" makes it anew.
//
// Most of the tests use stores directly, where they can see the outcome of each
// single update, and never send anything a second time. The rest of them use
// clients of the SDK: streaming ones, polling ones, and streaming ones that are not
// told the store's status.
//
// TestSoak works for a minute, or for as long as -soak says, with many stores
// in several processes and with faults that come and go.
package faults
