// Package documents has tests of what stands beside the code: the README and
// the other documents, the table and the policies in deploy, and the list of the
// package's dependencies. It is a module of its own, because the libraries that
// read those files must not get into the root's go.mod.
package documents
