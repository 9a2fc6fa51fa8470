package tlsconf_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// authority issues certificates for the tests.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{key, certificate}
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

func (a authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// shake makes a handshake with a server that shows certificate.
func shake(t *testing.T, config *tls.Config, server *tls.Config) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = tls.Server(conn, server).HandshakeContext(t.Context())
		_ = conn.Close()
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return tls.Client(conn, config).HandshakeContext(ctx)
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	ours, strangers := newAuthority(t), newAuthority(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	tests := []struct {
		name        string
		settings    tlsconf.Settings
		host        string
		certificate tls.Certificate
		remedy      string // of the failure; empty where there is none
	}{
		{"the host's own name", tlsconf.Settings{Roots: ours.pool()}, "db.example", ours.issue(t, "db.example", later), ""},
		{"a name given in the secret", tlsconf.Settings{Roots: ours.pool(), ServerName: "real.example"}, "alias.example", ours.issue(t, "real.example", later), ""},
		{"another name", tlsconf.Settings{Roots: ours.pool()}, "alias.example", ours.issue(t, "real.example", later), "sslServerName"},
		{"a stranger's authority", tlsconf.Settings{Roots: ours.pool()}, "db.example", strangers.issue(t, "db.example", later), "SSL_ROOTS"},
		{"an authority that nobody gave", tlsconf.Settings{}, "db.example", ours.issue(t, "db.example", later), "SSL_ROOTS"},
		{"a certificate that has ended", tlsconf.Settings{Roots: ours.pool()}, "db.example", ours.issue(t, "db.example", past), "renew it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := shake(t, test.settings.Config(test.host), &tls.Config{Certificates: []tls.Certificate{test.certificate}})
			if test.remedy == "" {
				if err != nil {
					t.Errorf("the handshake failed: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("the certificate was accepted")
			}
			remedy, ok := tlsconf.IsVerification(fmt.Errorf("signing in: %w", err))
			if !ok || !strings.Contains(remedy, test.remedy) {
				t.Errorf("remedy %q, %t of %v; want one that says %q", remedy, ok, err, test.remedy)
			}
		})
	}
}

func TestOldTLSIsNotSpoken(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	err := shake(t, tlsconf.Settings{Roots: ours.pool()}.Config("db.example"), &tls.Config{
		Certificates: []tls.Certificate{ours.issue(t, "db.example", time.Now().Add(time.Hour))}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10,
	})
	if err == nil {
		t.Fatal("TLS 1.1 was spoken")
	}
	if _, ok := tlsconf.IsVerification(err); ok {
		t.Errorf("%v is taken for a fault of the certificate", err)
	}
}

func TestPlaintextIsNoConfiguration(t *testing.T) {
	if config := (tlsconf.Settings{Plaintext: true, ServerName: "db.example"}).Config("db.example"); config != nil {
		t.Error("a plaintext connection has a TLS configuration")
	}
}

func TestConfigurationsAreTheCallers(t *testing.T) {
	var settings tlsconf.Settings
	first := settings.Config("db.example")
	first.InsecureSkipVerify = true
	if settings.Config("db.example").InsecureSkipVerify {
		t.Error("one caller's change is in another's configuration")
	}
}

// TestEmbeddedRoots reads the roots as AWS publishes them, one by one: a bundle
// with a broken part would lose that part in silence.
func TestEmbeddedRoots(t *testing.T) {
	bundle, err := os.ReadFile("rds-roots.pem")
	if err != nil {
		t.Fatal(err)
	}
	var roots int
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Errorf("certificate %d: %v", roots, err)
			continue
		}
		roots++
		if !certificate.IsCA || !strings.Contains(certificate.Subject.String(), "Amazon") {
			t.Errorf("%s is no root of Amazon RDS", certificate.Subject)
		}
		if _, err := certificate.Verify(x509.VerifyOptions{Roots: tlsconf.DefaultRoots(), CurrentTime: certificate.NotBefore.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("%s is not among the default roots: %v", certificate.Subject, err)
		}
	}
	if roots < 30 {
		t.Errorf("%d roots; each commercial Region has its own", roots)
	}
}

func TestRootsWith(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	write := func(name string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Run("an authority of one's own is trusted beside the others", func(t *testing.T) {
		roots, err := tlsconf.RootsWith(write("roots.pem", ours.pem()))
		if err != nil {
			t.Fatal(err)
		}
		server := &tls.Config{Certificates: []tls.Certificate{ours.issue(t, "db.example", time.Now().Add(time.Hour))}}
		if err := shake(t, tlsconf.Settings{Roots: roots}.Config("db.example"), server); err != nil {
			t.Errorf("it is not trusted: %v", err)
		}
		if err := shake(t, tlsconf.Settings{}.Config("db.example"), server); err == nil {
			t.Error("it has got into the shared roots")
		}
	})
	t.Run("a file that is not there", func(t *testing.T) {
		if _, err := tlsconf.RootsWith(filepath.Join(t.TempDir(), "none.pem")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v; want that the file does not exist", err)
		}
	})
	t.Run("a file without a certificate", func(t *testing.T) {
		path := write("roots.pem", []byte("-----BEGIN NOTHING-----\n"))
		if _, err := tlsconf.RootsWith(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("error %v; want one that names the file", err)
		}
	})
}

func TestOtherErrorsAreNoVerification(t *testing.T) {
	for _, err := range []error{nil, io.EOF, errors.New("x509: certificate signed by unknown authority"), &net.OpError{Op: "dial", Err: errors.New("refused")}} {
		if remedy, ok := tlsconf.IsVerification(err); ok {
			t.Errorf("%v is taken for a certificate's fault: %s", err, remedy)
		}
	}
}
