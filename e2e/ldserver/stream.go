package ldserver

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// queueLength is how many events may wait for a slow connection. It is far more
// than a test sends while an SDK is busy with its flag store.
const queueLength = 10_000

// event is one server-sent event. Its data is JSON on a single line.
type event struct {
	name string
	data []byte
}

// stream is one SDK's connection. Whoever takes it out of Server.streams closes
// its channel, which ends the connection.
type stream struct {
	events chan event
}

func (s *Server) serveStream(w http.ResponseWriter, r *http.Request) {
	stream := s.connect()
	defer s.disconnect(stream)

	w.Header().Set("Content-Type", "text/event-stream")
	for {
		select {
		case e, ok := <-stream.events:
			if !ok || send(w, e) != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// connect registers a connection, with everything there is as its first event.
// Both happen under one lock, so that no change falls between them.
func (s *Server) connect() *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	stream := &stream{events: make(chan event, queueLength)}
	stream.events <- newEvent("put", putData{Path: "/", Data: s.data})
	s.streams[stream] = struct{}{}
	s.total++
	return stream
}

func (s *Server) disconnect(stream *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(stream)
}

func send(w http.ResponseWriter, e event) error {
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.name, e.data); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// The data of the three events, in the protocol's own shapes.
type (
	putData struct {
		Path string  `json:"path"`
		Data dataSet `json:"data"`
	}
	patchData struct {
		Path string          `json:"path"`
		Data json.RawMessage `json:"data"`
	}
	deleteData struct {
		Path    string `json:"path"`
		Version int    `json:"version"`
	}
)

func newEvent(name string, data any) event {
	encoded, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("encoding a %s event: %v", name, err)) // all of it was valid JSON when it came in
	}
	return event{name: name, data: encoded}
}
