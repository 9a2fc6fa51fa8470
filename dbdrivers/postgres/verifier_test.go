package postgres

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// TestMalformedVerifierIsNotSent holds the check before sending: the server
// would take a malformed verifier for a password in plain text.
func TestMalformedVerifierIsNotSent(t *testing.T) {
	const stored, server = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB="
	tests := map[string]bool{
		"SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$" + stored + ":" + server: true,
		"md5" + strings.Repeat("0a", 16):                                       true,
		"":                                                                     false,
		"SCRAM-SHA-256$4096:notbase64":                                         false,
		"SCRAM-SHA-256$0:AAAAAAAAAAAAAAAAAAAAAA==$" + stored + ":" + server:           false,
		"SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$" + stored:                       false,
		"SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$" + stored + ":" + server + "\n": false,
		"SCRAM-SHA-1$4096:AAAAAAAAAAAAAAAAAAAAAA==$" + stored + ":" + server:          false,
		"md5" + strings.Repeat("0A", 16):                                              false,
		"md5" + strings.Repeat("0a", 15):                                              false,
		"a password' --":                                                              false,
	}
	for verifier, want := range tests {
		if got := wellFormed.MatchString(verifier); got != want {
			t.Errorf("%q is well formed: %t; want %t", verifier, got, want)
		}
	}
}

func TestVerifiersAreSalted(t *testing.T) {
	seen := make(map[string]bool)
	for range 20 {
		verifier, err := newVerifier(hashSCRAM, "app", "password", 1)
		if err != nil {
			t.Fatal(err)
		}
		if seen[verifier] {
			t.Fatalf("%s was made twice", verifier)
		}
		seen[verifier] = true
	}
}

func TestWantedHash(t *testing.T) {
	type want struct {
		Hash   string
		Failed bool
	}
	tests := []struct {
		name, asked, encryption string
		want                    want
	}{
		{"as the server is set to", "", "scram-sha-256", want{Hash: hashSCRAM}},
		{"an old server", "", "on", want{Hash: hashMD5}},
		{"a server for old clients", "", "md5", want{Hash: hashMD5}},
		{"by request", hashSCRAM, "md5", want{Hash: hashSCRAM}},
		{"back, by request", hashMD5, "scram-sha-256", want{Hash: hashMD5}},
		{"a request for something unknown", "rot13", "md5", want{Failed: true}},
		{"a server set to something unknown", "", "argon2", want{Failed: true}},
		{"a server set to nothing", "", "off", want{Failed: true}},
	}
	for _, test := range tests {
		hash, err := wantedHash(test.asked, test.encryption)
		if diff := cmp.Diff(test.want, want{Hash: hash, Failed: err != nil}); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestIterations(t *testing.T) {
	tests := map[string]struct {
		setting pgwire.Value
		want    int
		failed  bool
	}{
		"a server without the setting":     {setting: pgwire.Value{Null: true}, want: 4096},
		"the default":                      {setting: pgwire.Value{Text: "4096"}, want: 4096},
		"one":                              {setting: pgwire.Value{Text: "1"}, want: 1},
		"more than a client would compute": {setting: pgwire.Value{Text: "2147483647"}, failed: true},
		"none":                             {setting: pgwire.Value{Text: "0"}, failed: true},
		"no number":                        {setting: pgwire.Value{Text: "many"}, failed: true},
	}
	for name, test := range tests {
		n, err := iterationsOf(test.setting)
		if n != test.want || (err != nil) != test.failed {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// BenchmarkVerifier is the most of the time that a change takes here.
func BenchmarkVerifier(b *testing.B) {
	for b.Loop() {
		if _, err := newVerifier(hashSCRAM, "app", "password", defaultIterations); err != nil {
			b.Fatal(err)
		}
	}
}
