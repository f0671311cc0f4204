package dynamolocal

import (
	"bytes"
	"sync"
)

// outputLimit is enough for the stack trace of a start that failed.
const outputLimit = 16 << 10

// output keeps the last of what DynamoDB Local prints, and tells what its first
// lines say.
type output struct {
	listening chan struct{}
	portTaken chan struct{}

	mu   sync.Mutex
	text []byte
	told bool
}

func newOutput() *output {
	return &output{listening: make(chan struct{}), portTaken: make(chan struct{})}
}

// Write never fails.
func (o *output) Write(printed []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, printed...)
	o.tell()
	if excess := len(o.text) - outputLimit; excess > 0 {
		o.text = append([]byte(nil), o.text[excess:]...)
	}
	return len(printed), nil
}

func (o *output) tell() {
	if o.told {
		return
	}
	switch {
	case bytes.Contains(o.text, []byte("Started ServerConnector")):
		o.told = true
		close(o.listening)
	case bytes.Contains(o.text, []byte("Failed to bind")):
		o.told = true
		close(o.portTaken)
	}
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(bytes.TrimSpace(o.text))
}
