package dbservers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// certificateLife is how long an authority and its certificates are valid:
// longer than a demo is left running, too short to be of use to anyone else.
const certificateLife = 30 * 24 * time.Hour

// CA is a certificate authority that lives in memory. It may be used by
// several goroutines at once.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// NewCA makes an authority with a key of its own.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	template, err := certificateTemplate("dbrotation test authority")
	if err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	return &CA{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// Issue makes a server's certificate for hosts (names or IP addresses, at
// least one) and its private key, both in PEM.
func (ca *CA) Issue(hosts ...string) (certPEM, keyPEM []byte, err error) {
	if len(hosts) == 0 {
		return nil, nil, errors.New("issuing a certificate: name at least one host")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	template, err := certificateTemplate(hosts[0])
	if err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("issuing a certificate: %w", err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return certPEM, keyPEM, nil
}

// Roots returns a new pool that trusts this authority alone.
func (ca *CA) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// PEM returns the authority's certificate. The caller owns it.
func (ca *CA) PEM() []byte { return append([]byte(nil), ca.pem...) }

func certificateTemplate(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		// A container's clock may lag behind, on a desktop most of all.
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(certificateLife),
	}, nil
}

// The names of a server's certificate and its key in the server's own folder.
const (
	certificateFile    = "server.crt"
	certificateKeyFile = "server.key"
)

// certificateFiles are a certificate for the server of a site, and its key.
func certificateFiles(s site, ca *CA) ([]file, error) {
	cert, key, err := ca.Issue(serverNames(s.host)...)
	if err != nil {
		return nil, err
	}
	return []file{
		{name: certificateFile, mode: 0o600, content: cert},
		{name: certificateKeyFile, mode: 0o600, content: key},
	}, nil
}

// serverNames are the names that a server's certificate carries: those by which
// clients reach it, and its replicas.
func serverNames(host string) []string {
	names := []string{"127.0.0.1", "localhost", linkedName}
	if !slices.Contains(names, host) {
		names = append(names, host)
	}
	return names
}
