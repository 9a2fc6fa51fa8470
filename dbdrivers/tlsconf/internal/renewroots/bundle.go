package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// parseBundle returns the certificates of a PEM file. Anything else in it, a
// key above all, is an error; no text at all is no certificates.
func parseBundle(text []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			if bytes.Contains(text, []byte("-----BEGIN")) {
				return nil, fmt.Errorf("after %d certificates: a PEM block that is cut off or malformed", len(certificates))
			}
			return certificates, nil
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("after %d certificates: a %s, where only certificates belong", len(certificates), block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("after %d certificates: %w", len(certificates), err)
		}
		certificates = append(certificates, c)
		text = rest
	}
}

// leftOut is a certificate that is offered but not to be embedded.
type leftOut struct {
	certificate *x509.Certificate
	reason      string
}

// selectRoots returns the certificates that deserve trust, each once, sorted by
// subject, and the others with the reason.
func selectRoots(offered []*x509.Certificate, now time.Time) (roots []*x509.Certificate, left []leftOut) {
	for _, c := range offered {
		if err := rootFault(c, now); err != nil {
			left = append(left, leftOut{c, err.Error()})
			continue
		}
		roots = append(roots, c)
	}
	slices.SortFunc(roots, func(a, b *x509.Certificate) int {
		return cmp.Or(
			cmp.Compare(a.Subject.CommonName, b.Subject.CommonName),
			bytes.Compare(a.Raw, b.Raw),
		)
	})
	return slices.CompactFunc(roots, (*x509.Certificate).Equal), left
}

// rootFault says why c is not a root to embed, if so.
func rootFault(c *x509.Certificate, now time.Time) error {
	switch name := c.Subject.CommonName; {
	case !strings.HasPrefix(name, "Amazon RDS "):
		return errors.New("not a root of Amazon RDS")
	case strings.Contains(name, "Beta"), strings.Contains(name, "Preview"):
		return errors.New("of a beta or preview, which no database of a customer uses")
	case now.After(c.NotAfter):
		return errors.New("expired")
	case !c.BasicConstraintsValid || !c.IsCA:
		return errors.New("not an authority's")
	}
	if err := c.CheckSignatureFrom(c); err != nil {
		return errors.New("not signed by itself")
	}
	return nil
}

// difference tells by fingerprint what next has that last has not, and the
// other way round.
func difference(last, next []*x509.Certificate) (added, removed []*x509.Certificate) {
	return missing(next, last), missing(last, next)
}

func missing(from, in []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range from {
		if !slices.ContainsFunc(in, c.Equal) {
			out = append(out, c)
		}
	}
	return out
}

// render makes the file: where the roots are from, then each below a line that
// describes it.
func render(roots []*x509.Certificate, url string, now time.Time) []byte {
	var b bytes.Buffer
	b.WriteString("# The root certificates of Amazon RDS for its commercial Regions. They also sign\n")
	b.WriteString("# those of Aurora and DocumentDB.\n")
	fmt.Fprintf(&b, "# Taken on %s from %s\n", now.UTC().Format(time.DateOnly), url)
	b.WriteString("# by `make roots`, without expired, beta and preview ones.\n")
	for _, c := range roots {
		fmt.Fprintf(&b, "\n# %s\n", describe(c))
		// Writing to a Buffer cannot fail.
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.Bytes()
}

// describe names a certificate so that it can be compared by eye.
func describe(c *x509.Certificate) string {
	return fmt.Sprintf("%s; valid until %s; SHA-256 %s",
		c.Subject.CommonName, c.NotAfter.UTC().Format(time.DateOnly), fingerprint(c))
}

// fingerprint is the form that browsers and openssl print.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}
