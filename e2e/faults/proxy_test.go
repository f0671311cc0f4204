package faults_test

import (
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A proxy carries TCP connections to DynamoDB Local, well or badly. Existing
// proxies, such as Toxiproxy, bring a metrics server and some 15 modules along,
// and can't reset a connection in the middle of a response.
type proxy struct {
	address string
	target  string

	mu          sync.Mutex
	listener    net.Listener // nil while connections are refused
	connections map[net.Conn]bool
	conduct     conduct
	running     sync.WaitGroup
}

// conduct is what a proxy does with the bytes that pass. The zero value carries
// them as they are.
type conduct struct {
	swallow bool          // of either direction, for the rest of the connection
	reset   bool          // connections, when half of a response has been carried
	delay   time.Duration // of responses
}

func newProxy(t *testing.T, target string) *proxy {
	p := &proxy{target: target, connections: make(map[net.Conn]bool)}
	listener := listenOnAnyPort(t)
	p.address = listener.Addr().String()
	p.open(listener)
	t.Cleanup(p.close)
	return p
}

// listenOnAnyPort chooses a port that no outgoing connection gets, so that it
// is still free when the proxy accepts connections again.
func listenOnAnyPort(t *testing.T) net.Listener {
	var err error
	for range 100 {
		var listener net.Listener
		port := 10_000 + rand.IntN(20_000)
		if listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return listener
		}
	}
	require.NoError(t, err)
	return nil
}

// behave sets what the proxy does with bytes from now on.
func (p *proxy) behave(c conduct) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conduct = c
}

func (p *proxy) currentConduct() conduct {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conduct
}

// refuse ends all connections and lets new ones be refused.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for connection := range p.connections {
		_ = connection.Close()
	}
}

// mend makes the proxy work as it should.
func (p *proxy) mend(t *testing.T) {
	p.behave(conduct{})
	p.mu.Lock()
	refusing := p.listener == nil
	p.mu.Unlock()
	if refusing {
		listener, err := net.Listen("tcp", p.address)
		if assert.NoError(t, err) {
			p.open(listener)
		}
	}
}

func (p *proxy) close() {
	p.refuse()
	p.running.Wait()
}

func (p *proxy) open(listener net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = listener
	p.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			p.running.Go(func() { p.connect(client) })
		}
	})
}

func (p *proxy) connect(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.enter(client, server) {
		return
	}
	defer p.leave(client, server)
	var carrying sync.WaitGroup
	carrying.Go(func() { defer server.Close(); p.carryRequests(server, client) })
	carrying.Go(func() { defer client.Close(); p.carryResponses(client, server) })
	carrying.Wait()
}

func (p *proxy) enter(connections ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return false
	}
	for _, connection := range connections {
		p.connections[connection] = true
	}
	return true
}

func (p *proxy) leave(connections ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, connection := range connections {
		delete(p.connections, connection)
	}
}

func (p *proxy) carryRequests(server, client net.Conn) {
	buffer := make([]byte, bufferSize)
	for {
		n, err := client.Read(buffer)
		if p.currentConduct().swallow {
			_, _ = io.Copy(io.Discard, client)
			return
		}
		if _, writeErr := server.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// carryResponses reads on while what it has read waits to be late.
func (p *proxy) carryResponses(client, server net.Conn) {
	late := make(chan delayed, 1000)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(late)
	writing.Go(func() { writeLate(client, late) })
	for {
		buffer := make([]byte, bufferSize)
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		conduct := p.currentConduct()
		if conduct.swallow {
			_, _ = io.Copy(io.Discard, server)
			return
		}
		if conduct.reset {
			_, _ = client.Write(buffer[:n/2])
			_ = client.(*net.TCPConn).SetLinger(0)
			_ = client.Close()
			return
		}
		late <- delayed{time.Now().Add(conduct.delay), buffer[:n]}
	}
}

const bufferSize = 32 << 10

type delayed struct {
	due  time.Time
	data []byte
}

func writeLate(client net.Conn, late <-chan delayed) {
	for chunk := range late {
		time.Sleep(time.Until(chunk.due))
		_, _ = client.Write(chunk.data)
	}
}
