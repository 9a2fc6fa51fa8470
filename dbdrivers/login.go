package dbdrivers

import (
	"net"
	"strconv"

	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// Login is all that a driver needs to sign in, and all that it may use.
type Login struct {
	Host     string
	Port     int
	Username string
	Password Password
	// Database may be empty where the engine needs none.
	Database string
	// TLS is verified unless it says otherwise; its zero value is verified.
	TLS tlsconf.Settings
	// Params are strings of the secret that the rotation does not interpret,
	// by their key in the secret.
	Params map[string]string
}

// Address is host:port, with an IPv6 host in brackets.
func (l Login) Address() string {
	return net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
}
