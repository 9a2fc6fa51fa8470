// Package tlsconf makes the TLS configuration that every driver uses, its
// roots included. Third-party drivers use it too.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

//go:embed rds-roots.pem
var rdsRoots []byte

// Settings say how a connection is secured. The zero value is a connection
// whose certificate is verified against the default roots and the host's name.
type Settings struct {
	// Plaintext turns TLS off. It is true only when the secret itself says
	// "ssl": false.
	Plaintext bool
	// ServerName is the name the certificate must carry, where it is not the
	// host's.
	ServerName string
	// Roots are trusted in place of [DefaultRoots].
	Roots *x509.CertPool
}

// Config returns the configuration for a connection to host, or nil for a
// plaintext one. The caller owns it.
func (s Settings) Config(host string) *tls.Config {
	if s.Plaintext {
		return nil
	}
	name := s.ServerName
	if name == "" {
		name = host
	}
	roots := s.Roots
	if roots == nil {
		roots = DefaultRoots()
	}
	return &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// DefaultRoots returns the system's roots and those of Amazon RDS for the
// commercial Regions that docs/operating.md lists, which also sign Aurora's and
// DocumentDB's certificates. RDS Proxy and Redshift chain to Amazon's public
// roots, which the system has.
//
// The pool is shared: do not add to it, use [RootsWith].
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
var DefaultRoots = sync.OnceValue(newDefaultRoots)

func newDefaultRoots() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(rdsRoots)
	return pool
}

// RootsWith returns the default roots and those in the PEM file at path: for
// Regions newer than this build, GovCloud, China, or an authority of one's own.
func RootsWith(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading roots: %w", err)
	}
	pool := newDefaultRoots()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading roots: %s holds no PEM certificate", path)
	}
	return pool, nil
}

// IsVerification reports whether err says that a server's certificate was not
// accepted, and what to do about it.
func IsVerification(err error) (remedy string, ok bool) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknown):
		return "its certificate is of an authority that is not trusted here; give the authority's certificate by path in the function's SSL_ROOTS", true
	case errors.As(err, &name):
		return "its certificate carries another name; correct \"host\", or name the certificate's in \"dbrotation\": {\"sslServerName\": \"...\"}", true
	case errors.As(err, &invalid):
		return "its certificate is not valid; renew it on the server", true
	case errors.As(err, &verification):
		return "its certificate was not accepted", true
	}
	return "", false
}

// HandshakeFault says what was wrong with a TLS handshake that ended in err, with
// the remedy where there is one. It returns nil where nothing was, and network says
// that it was the connection that failed.
func HandshakeFault(err error, network bool) error {
	if remedy, ok := IsVerification(err); ok {
		return fmt.Errorf("%s: %w", remedy, err)
	}
	var alert tls.AlertError
	var record tls.RecordHeaderError
	if errors.As(err, &alert) || errors.As(err, &record) {
		return fmt.Errorf("the server and this client agree on no TLS version or cipher: %w", err)
	}
	// What is left is the network's, or a fault that the tls package words
	// only ("remote error: tls: ...").
	var op *net.OpError
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return fmt.Errorf("the TLS handshake was broken off: %w", err)
	}
	if network {
		return nil
	}
	return err
}
