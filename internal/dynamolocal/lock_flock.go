//go:build linux || darwin

package dynamolocal

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lockPoll is short beside the seconds that the lock's holder needs.
const lockPoll = 50 * time.Millisecond

// lock waits until no other process holds the lock on the file. The system
// takes the lock from a holder that is killed.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(err, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), file.Close())
		case <-time.After(lockPoll):
		}
	}
}
