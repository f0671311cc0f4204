// Package tcpproxy carries TCP connections to DynamoDB Local, well or badly.
// Existing proxies, such as Toxiproxy, bring a metrics server and some 15 modules
// along, and can't reset a connection in the middle of a response.
package tcpproxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"
)

// A Proxy carries connections to one server.
type Proxy struct {
	address string
	target  string

	mu          sync.Mutex
	listener    net.Listener // nil while connections are refused
	connections map[net.Conn]bool
	conduct     Conduct
	running     sync.WaitGroup
}

// Conduct is what a proxy does with the bytes that pass. The zero value carries
// them as they are.
type Conduct struct {
	Swallow bool          // of either direction, for the rest of the connection
	Reset   bool          // connections, when half of a response has been carried
	Delay   time.Duration // of responses
}

// Start starts a proxy for the server at an address. Close it when done.
func Start(target string) (*Proxy, error) {
	listener, err := listenOnAnyPort()
	if err != nil {
		return nil, fmt.Errorf("listening for connections to %s: %w", target, err)
	}
	p := &Proxy{address: listener.Addr().String(), target: target, connections: make(map[net.Conn]bool)}
	p.open(listener)
	return p, nil
}

// listenOnAnyPort chooses a port that no outgoing connection gets, so that it
// is still free when the proxy accepts connections again.
func listenOnAnyPort() (listener net.Listener, err error) {
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		if listener, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return listener, nil
		}
	}
	return nil, err
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.address }

// Behave sets what the proxy does with bytes from now on.
func (p *Proxy) Behave(c Conduct) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conduct = c
}

func (p *Proxy) currentConduct() Conduct {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conduct
}

// Refuse ends all connections and lets new ones be refused.
func (p *Proxy) Refuse() {
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

// Mend makes the proxy work as it should.
func (p *Proxy) Mend() error {
	p.Behave(Conduct{})
	p.mu.Lock()
	refusing := p.listener == nil
	p.mu.Unlock()
	if !refusing {
		return nil
	}
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		return fmt.Errorf("accepting connections to %s again: %w", p.target, err)
	}
	p.open(listener)
	return nil
}

// Close ends all connections and stops listening.
func (p *Proxy) Close() {
	p.Refuse()
	p.running.Wait()
}

func (p *Proxy) open(listener net.Listener) {
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

func (p *Proxy) connect(client net.Conn) {
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

func (p *Proxy) enter(connections ...net.Conn) bool {
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

func (p *Proxy) leave(connections ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, connection := range connections {
		delete(p.connections, connection)
	}
}

func (p *Proxy) carryRequests(server, client net.Conn) {
	buffer := make([]byte, bufferSize)
	for {
		n, err := client.Read(buffer)
		if p.currentConduct().Swallow {
			_, _ = io.Copy(io.Discard, client)
			return
		}
		if _, writeErr := server.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// carryResponses reads on while what it has read waits to be late.
func (p *Proxy) carryResponses(client, server net.Conn) {
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
		if conduct.Swallow {
			_, _ = io.Copy(io.Discard, server)
			return
		}
		if conduct.Reset {
			_, _ = client.Write(buffer[:n/2])
			_ = client.(*net.TCPConn).SetLinger(0)
			_ = client.Close()
			return
		}
		late <- delayed{time.Now().Add(conduct.Delay), buffer[:n]}
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
