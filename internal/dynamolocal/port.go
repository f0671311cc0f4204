package dynamolocal

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports below those that Linux and macOS give to outgoing connections. A
// client's connection can't take such a port while its server is down, nor
// connect to itself there.
const (
	lowestPort  = 10_000
	highestPort = 32_000
)

// freePort returns a port that nobody listens on now. Somebody may before the
// caller does.
func freePort() (int, error) {
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("find a free port for DynamoDB Local: none of 1000 tried can be listened on")
}
