package dbservers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
)

// Ports are chosen below those that systems give to outgoing connections
// (32768 and up on Linux, 49152 and up elsewhere). So no client can be given
// the port of a server that is stopped, least of all the client that is
// knocking at it.
const (
	firstPort = 15000
	lastPort  = 31999
)

// freePort returns a port that nobody listens on now.
func freePort(addr netip.Addr) (int, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort(addr.String(), strconv.Itoa(port)))
		if err == nil {
			err = l.Close()
		}
		if err == nil {
			return port, nil
		}
		last = err
	}
	return 0, fmt.Errorf("finding a free port: %w", errors.Join(errors.New("a hundred were taken"), last))
}
