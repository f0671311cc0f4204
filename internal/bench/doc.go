// Package bench compares this repository's feature store with the one that the
// SDK comes with, in the same run and on the same work, and its cached reads with
// the SDK's in-memory store as well. All are called as black boxes.
//
// Each benchmark has a sub-benchmark for each store, named "store=ours",
// "store=original" or "store=memory"; package report puts these side by side. Some
// have "store=awsv2" too, which is ours with a client of the AWS SDK v2.
package bench
