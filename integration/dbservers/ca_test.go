package dbservers

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
)

func TestACertificateIsForItsHostsAlone(t *testing.T) {
	t.Parallel()
	ca, err := NewCA()
	check(t, err)
	other, err := NewCA()
	check(t, err)
	certPEM, keyPEM, err := ca.Issue("db.example.com", "127.0.0.1")
	check(t, err)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	check(t, err)
	fromPEM := x509.NewCertPool()
	if !fromPEM.AppendCertsFromPEM(ca.PEM()) {
		t.Fatal("PEM holds no certificate")
	}
	for _, row := range []struct {
		what  string
		roots *x509.CertPool
		name  string
		want  bool
	}{
		{"its name", ca.Roots(), "db.example.com", true},
		{"its address", ca.Roots(), "127.0.0.1", true},
		{"its authority's PEM", fromPEM, "db.example.com", true},
		{"another name", ca.Roots(), "other.example.com", false},
		{"another authority", other.Roots(), "db.example.com", false},
	} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: row.roots, DNSName: row.name})
		if (err == nil) != row.want {
			t.Errorf("%s: %v", row.what, err)
		}
	}
	if _, _, err := ca.Issue(); err == nil {
		t.Error("a certificate for nobody: no error")
	}
}
