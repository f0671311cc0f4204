// Package ldserver is a local LaunchDarkly service for tests. SDKs connect to it
// as they would to the real one. A stream sends them all flags and segments, and
// then each change as it is made here; an SDK that polls gets all of them.
package ldserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/launchdarkly/eventsource"
)

const (
	// channel is the only one: a server has one environment.
	channel = "all"
	// queueLength is how many events may wait for a slow connection, before the
	// server ends it. It is far more than a test sends while an SDK is busy with
	// its flag store.
	queueLength = 10_000
)

// Server serves one environment's flags and segments to any number of SDKs.
// Its methods may be called from several goroutines.
type Server struct {
	url     string
	http    *http.Server
	events  *eventsource.Server
	serving sync.WaitGroup // of streams

	// changing is held while data changes and while that is published, so that
	// changes are sent in their order.
	changing sync.Mutex

	mu      sync.Mutex // for what follows; events are published without it
	data    dataSet
	refusal int // the HTTP status for streams; 0 where they are served
	streams map[*http.Request]context.CancelFunc
	total   int
	polls   int
}

// Start listens on a free port of this machine and serves the payload, which
// is a JSON object with the members "flags" and "segments", each an object of
// items by key. Call Close when done.
func Start(payload []byte) (*Server, error) {
	data, err := parseDataSet(payload)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for SDKs: %w", err)
	}
	s := &Server{
		url:     "http://" + listener.Addr().String(),
		events:  eventsource.NewServer(),
		data:    data,
		streams: make(map[*http.Request]context.CancelFunc),
	}
	s.events.BufferSize = queueLength
	s.events.ReplayAll = true
	s.events.Register(channel, everything{s})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /all", s.serveStream)
	mux.HandleFunc("GET /sdk/latest-all", s.servePoll)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }()
	return s, nil
}

// URL is what an SDK is given as its base URI, for streaming and for polling.
func (s *Server) URL() string { return s.url }

// Close ends every connection and stops listening.
func (s *Server) Close() error {
	s.RefuseStreams(http.StatusServiceUnavailable)
	s.DropConnections()
	err := s.http.Close()
	s.serving.Wait()
	s.events.Close()
	if err != nil {
		return fmt.Errorf("closing the LaunchDarkly service: %w", err)
	}
	return nil
}

// Connections tells how many SDKs are connected to the stream now, and how many
// connections there have been in all.
func (s *Server) Connections() (now, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams), s.total
}

// Polls tells how often SDKs have asked for everything.
func (s *Server) Polls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.polls
}

// DropConnections ends every stream. SDKs connect again on their own.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for stream, end := range s.streams {
		end()
		delete(s.streams, stream)
	}
}

// RefuseStreams answers every new stream with an HTTP status, such as 401, which
// the SDK takes for a wrong key and for good. 0 serves streams again.
func (s *Server) RefuseStreams(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = status
}

func (s *Server) serveStream(w http.ResponseWriter, r *http.Request) {
	ctx, end := context.WithCancel(r.Context())
	defer end()
	r = r.WithContext(ctx)
	if status := s.connect(r, end); status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	defer s.disconnect(r)
	s.events.Handler(channel)(w, r)
}

func (s *Server) connect(stream *http.Request, end context.CancelFunc) (refusal int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal == 0 {
		s.serving.Add(1)
		s.streams[stream] = end
		s.total++
	}
	return s.refusal
}

func (s *Server) disconnect(stream *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, stream)
	s.serving.Done()
}

// servePoll answers 304 where the SDK has it all already.
func (s *Server) servePoll(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.polls++
	s.mu.Unlock()
	payload := s.Payload()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(payload)))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(payload))
}
