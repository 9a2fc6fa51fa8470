package redshift

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// TestKept has the example of the manual's page on CREATE USER.
func TestKept(t *testing.T) {
	t.Parallel()
	if got, want := kept("user1", "ez"), "md5153c434b4b77c89e6b94f12c5393af5b"; got != want {
		t.Errorf("kept as %q; want %q", got, want)
	}
}

func TestStoredTellsWhatItShows(t *testing.T) {
	t.Parallel()
	salt := []byte("0123456789abcdef0123456789abcdef")
	sum := sha256.Sum256(append([]byte("Right-1pw"), salt...))
	salted := stored("sha256|" + hex.EncodeToString(sum[:]) + "|" + hex.EncodeToString(salt))
	tests := []struct {
		name                      string
		stored                    stored
		password                  string
		shown, sha256, same, told bool
	}{
		{name: "md5 of it", stored: stored(kept("app", "Right-1pw")), password: "Right-1pw", shown: true, same: true, told: true},
		{name: "md5 of another", stored: stored(kept("app", "Right-1pw")), password: "Wrong-1pw", shown: true, told: true},
		{name: "md5 of another account", stored: stored(kept("other", "Right-1pw")), password: "Right-1pw", shown: true, told: true},
		{name: "sha256 of it", stored: salted, password: "Right-1pw", shown: true, sha256: true, same: true, told: true},
		{name: "sha256 of another", stored: salted, password: "Wrong-1pw", shown: true, sha256: true, told: true},
		{name: "sha256 in a form that is not known", stored: "sha256:something", password: "Right-1pw", shown: true, sha256: true},
		{name: "a disabled password", stored: "", password: "Right-1pw", shown: true, told: true},
		{name: "masked", stored: masked, password: "Right-1pw"},
		{name: "what only begins as md5 does", stored: "md5 is what it is", password: "Right-1pw"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			same, told := test.stored.is("app", test.password)
			if same != test.same || told != test.told || test.stored.shown() != test.shown || test.stored.isSHA256() != test.sha256 {
				t.Errorf("same %t, told %t, shown %t, sha256 %t; want %t, %t, %t, %t",
					same, told, test.stored.shown(), test.stored.isSHA256(), test.same, test.told, test.shown, test.sha256)
			}
		})
	}
}
