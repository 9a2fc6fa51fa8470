package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// authority makes a root as AWS's are: self-signed, valid for some years.
func authority(t *testing.T, name string, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             today.AddDate(-1, 0, 0),
		NotAfter:              today.AddDate(40, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	for _, c := range change {
		c(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bundle(certificates ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certificates {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

// aws stands for AWS's trust store: it answers every request alike.
func aws(t *testing.T, status int, body []byte) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s
}

// rootsFile is a file that holds text.
func rootsFile(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func names(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := parseBundle(text)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range certificates {
		out = append(out, c.Subject.CommonName)
	}
	return out
}

func TestRenewalFollowsWhatAWSOffersAndTellsTheDifference(t *testing.T) {
	t.Parallel()
	kept := authority(t, "Amazon RDS eu-west-1 Root CA ECC384 G1")
	gone := authority(t, "Amazon RDS us-east-1 Root CA RSA2048 G1")
	fresh := authority(t, "Amazon RDS ap-east-2 Root CA ECC384 G1")
	server := aws(t, http.StatusOK, bundle(kept, fresh, fresh))
	path := rootsFile(t, bundle(kept, gone))

	var out strings.Builder
	if err := renew(t.Context(), server.Client(), server.URL, path, today, &out); err != nil {
		t.Fatal(err)
	}
	want := []string{"Amazon RDS ap-east-2 Root CA ECC384 G1", "Amazon RDS eu-west-1 Root CA ECC384 G1"}
	if diff := cmp.Diff(want, names(t, path)); diff != "" {
		t.Errorf("roots in the file (-want +got):\n%s", diff)
	}
	wantOut := "added     " + describe(fresh) + "\nremoved   " + describe(gone) + "\n2 roots: 1 added, 1 removed\n"
	if diff := cmp.Diff(wantOut, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	text, _ := os.ReadFile(path)
	for _, part := range []string{"# Taken on 2026-11-22 from " + server.URL, "# " + describe(kept)} {
		if !bytes.Contains(text, []byte(part)) {
			t.Errorf("the file does not say %q", part)
		}
	}
}

func TestNothingNewLeavesTheFileAsItIs(t *testing.T) {
	t.Parallel()
	root := authority(t, "Amazon RDS eu-west-1 Root CA ECC384 G1")
	server := aws(t, http.StatusOK, bundle(root))
	before := append([]byte("# taken long ago\n"), bundle(root)...)
	path := rootsFile(t, before)

	var out strings.Builder
	if err := renew(t.Context(), server.Client(), server.URL, path, today, &out); err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadFile(path)
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("the file changed (-before +after):\n%s", diff)
	}
	if want := "1 roots, unchanged\n"; out.String() != want {
		t.Errorf("output %q, want %q", out.String(), want)
	}
}

func TestOnlyRootsOfRDSThatAreValidAreTaken(t *testing.T) {
	t.Parallel()
	good := authority(t, "Amazon RDS eu-west-1 Root CA ECC384 G1")
	forged := authority(t, "Amazon RDS eu-west-1 Root CA RSA2048 G1")
	forged.Signature[4] ^= 1
	for _, tt := range []struct {
		name    string
		offered *x509.Certificate
		reason  string
	}{
		{"expired", authority(t, "Amazon RDS Root 2019 CA", func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) }), "expired"},
		{"beta", authority(t, "Amazon RDS Beta Root 2019 CA"), "beta or preview"},
		{"preview", authority(t, "Amazon RDS Preview Root 2019 CA"), "beta or preview"},
		{"somebody else's", authority(t, "Example Root"), "not a root of Amazon RDS"},
		{"a server's", authority(t, "Amazon RDS eu-west-1 server", func(c *x509.Certificate) { c.IsCA = false }), "not an authority's"},
		{"signature does not fit", forged, "not signed by itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			roots, left := selectRoots([]*x509.Certificate{tt.offered, good}, today)
			if len(roots) != 1 || !roots[0].Equal(good) {
				t.Errorf("%d roots taken, want the good one alone", len(roots))
			}
			if len(left) != 1 || !strings.Contains(left[0].reason, tt.reason) {
				t.Errorf("left out %v, want it for %q", left, tt.reason)
			}
		})
	}
}

func TestAFailedRenewalLeavesTheFileAsItIs(t *testing.T) {
	t.Parallel()
	good := bundle(authority(t, "Amazon RDS eu-west-1 Root CA ECC384 G1"))
	for _, tt := range []struct {
		name   string
		status int
		body   []byte
		want   string
	}{
		{"the address is gone", http.StatusNotFound, nil, "404"},
		{"a page instead of a bundle", http.StatusOK, []byte("<html>sign in</html>"), "holds no root"},
		{"only expired ones", http.StatusOK, bundle(authority(t, "Amazon RDS Root 2019 CA", func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, -1) })), "holds no root"},
		{"cut off", http.StatusOK, good[:len(good)-40], "cut off"},
		{"garbled", http.StatusOK, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "after 0 certificates"},
		{"a private key", http.StatusOK, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), "PRIVATE KEY"},
		{"endless", http.StatusOK, make([]byte, maxBundle+1), "larger"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := aws(t, tt.status, tt.body)
			path := rootsFile(t, good)
			var out strings.Builder
			err := renew(t.Context(), server.Client(), server.URL, path, today, &out)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
			after, _ := os.ReadFile(path)
			if !bytes.Equal(after, good) {
				t.Error("the file changed")
			}
		})
	}
}

func TestRootsAreTakenOverHTTPSAlone(t *testing.T) {
	t.Parallel()
	path := rootsFile(t, nil)
	var out strings.Builder
	err := renew(t.Context(), http.DefaultClient, "http://127.0.0.1:1/bundle.pem", path, today, &out)
	if err == nil || !strings.Contains(err.Error(), "not an https address") {
		t.Errorf("error %v, want a refusal of the address", err)
	}
}

func TestAServerThatCannotProveItselfIsNotBelieved(t *testing.T) {
	t.Parallel()
	server := aws(t, http.StatusOK, bundle(authority(t, "Amazon RDS eu-west-1 Root CA ECC384 G1")))
	path := rootsFile(t, nil)
	var out strings.Builder
	// The client does not know the test server's authority.
	if err := renew(t.Context(), &http.Client{Transport: &http.Transport{}}, server.URL, path, today, &out); err == nil {
		t.Error("no error, want the certificate refused")
	}
}

// The embedded file must stay in the form that renewal reads, and hold nothing
// that renewal would leave out.
func TestTheEmbeddedRootsAreInOrder(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../rds-roots.pem")
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := parseBundle(text)
	if err != nil {
		t.Fatal(err)
	}
	roots, left := selectRoots(certificates, time.Now())
	for _, l := range left {
		t.Errorf("%s: %s", describe(l.certificate), l.reason)
	}
	if len(roots) < 81 {
		t.Errorf("%d roots, want three for each of 27 Regions at least", len(roots))
	}
	for _, c := range roots {
		if !bytes.Contains(text, []byte("# "+describe(c)+"\n")) {
			t.Errorf("no line describes %s", describe(c))
		}
	}
}
