// Package ldserver is a local stand-in for LaunchDarkly's streaming service.
// SDKs connect to it as they would to the real one: it sends them all flags
// and segments, and then each change as it is made here.
package ldserver

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server serves one environment's flags and segments to any number of SDKs.
// Its methods may be called from several goroutines.
type Server struct {
	url  string
	http *http.Server

	mu      sync.Mutex
	data    dataSet
	streams map[*stream]struct{}
	total   int
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
		data:    data,
		streams: make(map[*stream]struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /all", s.serveStream)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.http.Serve(listener) }()
	return s, nil
}

// URL is what an SDK is given as its streaming base URI.
func (s *Server) URL() string { return s.url }

// Close ends every connection and stops listening.
func (s *Server) Close() error {
	if err := s.http.Close(); err != nil {
		return fmt.Errorf("closing the streaming server: %w", err)
	}
	return nil
}

// Connections tells how many SDKs are connected now, and how many connections
// there have been in all.
func (s *Server) Connections() (now, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams), s.total
}

// DropConnections ends every connection. SDKs connect again on their own.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for stream := range s.streams {
		s.drop(stream)
	}
}

// broadcast sends an event to every connected SDK. The caller holds the lock.
func (s *Server) broadcast(e event) {
	for stream := range s.streams {
		select {
		case stream.events <- e:
		default: // too slow: it gets everything anew when it reconnects
			s.drop(stream)
		}
	}
}

// drop ends one connection. The caller holds the lock.
func (s *Server) drop(stream *stream) {
	if _, connected := s.streams[stream]; connected {
		delete(s.streams, stream)
		close(stream.events)
	}
}
