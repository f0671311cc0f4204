package dynamolocal

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports below those that Linux and macOS give to outgoing connections. A
// client's connection can't take such a port while its server is down, nor
// connect to itself there.
const (
	lowestPort  = 10_000
	highestPort = 32_000
)

var errPortTaken = errors.New("the port is in use")

func randomPort() int {
	return lowestPort + rand.IntN(highestPort-lowestPort)
}

// checkPort returns an error where nothing can listen on the port now. Somebody
// may take it a moment later all the same.
func checkPort(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return errPortTaken
	}
	if err != nil {
		return err
	}
	return listener.Close()
}
