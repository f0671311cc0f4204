package lddynamodb

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestActionsOfDynamoDB(t *testing.T) {
	t.Parallel()
	for name, options := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			store := f.newStore(options...)

			f.writeEverything(store)
			f.readEverything(store)

			assert.Equal(t, readWriteActions, f.transport.actions())
		})
	}
}

// A process in daemon mode only reads, whatever it finds.
func TestReadsMakeNoWrites(t *testing.T) {
	t.Parallel()
	for name, options := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newMalformedFixture(t)
			f.transport.reset()
			store := f.newStore(options...)

			f.readEverything(store)

			assert.Equal(t, readActions, f.transport.actions())
		})
	}
}
