package lddynamodb

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go/aws/session"
)

// sessionMaker returns a function that makes AWS sessions with the same options,
// as many as there are stores. A session reads the readers in its options to
// their end and adds to the handlers, so each gets its own.
func sessionMaker(given session.Options) func() (*session.Session, error) {
	readAll := sync.OnceValues(func() ([][]byte, error) {
		readers := readersOf(&given)
		contents := make([][]byte, len(readers))
		for i, reader := range readers {
			if *reader == nil {
				continue
			}
			var err error
			if contents[i], err = io.ReadAll(*reader); err != nil {
				return nil, fmt.Errorf("read the certificates in the session options: %w", err)
			}
		}
		return contents, nil
	})
	return func() (*session.Session, error) {
		contents, err := readAll()
		if err != nil {
			return nil, err
		}
		fresh := given
		fresh.Handlers = given.Handlers.Copy()
		for i, reader := range readersOf(&fresh) {
			if *reader != nil {
				*reader = bytes.NewReader(contents[i])
			}
		}
		return session.NewSessionWithOptions(fresh)
	}
}

func readersOf(o *session.Options) []*io.Reader {
	return []*io.Reader{&o.CustomCABundle, &o.ClientTLSCert, &o.ClientTLSKey}
}
