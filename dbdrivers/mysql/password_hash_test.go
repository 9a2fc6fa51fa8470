package mysql_test

import (
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestSHA256Crypt takes the vectors of the algorithm's own description.
//
// https://www.akkadia.org/drepper/SHA-crypt.txt
func TestSHA256Crypt(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		password, salt string
		rounds         int
		want           string
	}{
		{"Hello world!", "saltstring", 5000, "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"Hello world!", "saltstringsaltst", 10000, "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{
			"a very much longer text to encrypt.  This one even stretches over morethan one line.",
			"anotherlongsalts", 1400, "Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1",
		},
	} {
		if got := mysql.SHA256Crypt(v.password, v.salt, v.rounds); got != v.want {
			t.Errorf("%q: %s; want %s", v.password, got, v.want)
		}
	}
}

// hashed are passwords whose length crosses the block of a SHA-256.
var hashed = map[string]string{
	"one character":       "x",
	"a usual one":         "Aa1-usual-password-of-32-letters",
	"as long as a digest": strings.Repeat("d", 64),
	"longer":              strings.Repeat("long", 50),
	"the longest":         strings.Repeat("m", 256),
	"other alphabets":     "pässwörd-密码-пароль",
}

// TestServerHashIsKnown compares with what the server has made itself.
func TestServerHashIsKnown(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for _, plugin := range []string{"caching_sha2_password", "sha256_password"} {
			for name, password := range hashed {
				user := "known_" + plugin[:6]
				t.Run(plugin+" of "+name, func(t *testing.T) {
					s.userAt(t, user, "%", password, "IDENTIFIED WITH "+plugin+" BY ?", password)
					kept := s.kept(t, user)
					for candidate, want := range map[string]bool{password: true, password + "x": false, "": false} {
						if is, err := mysql.IsHashOf(plugin, kept, candidate); err != nil || is != want {
							t.Errorf("is the hash of %q: %t, %v; want %t", candidate, is, err, want)
						}
					}
				})
			}
		}
	})
}

// TestHashOpens has the server take a hash that was made here.
func TestHashOpens(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for plugin, rounds := range map[string][]int{"caching_sha2_password": {5000, 12000}, "sha256_password": {5000}} {
			for name, password := range hashed {
				for _, n := range rounds {
					hash, err := mysql.NewHash(plugin, password, n)
					if err != nil {
						t.Fatal(err)
					}
					user := "opens_" + plugin[:6]
					t.Run(plugin+" of "+name, func(t *testing.T) {
						login := s.userAt(t, user, "%", password, "IDENTIFIED WITH "+plugin+" AS ?", hash)
						s.wantOpen(t, login, []string{password}, password[1:]+"x")
					})
				}
			}
		}
	})
}

// TestNativeHash takes the form of servers before 9.0, which cannot be had
// here: PASSWORD('password') of MySQL 5.7.
func TestNativeHash(t *testing.T) {
	t.Parallel()
	const want = "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
	if got, err := mysql.NewHash("mysql_native_password", "password", 0); err != nil || got != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if is, err := mysql.IsHashOf("mysql_native_password", want, "password"); err != nil || !is {
		t.Errorf("the password is not known again: %v", err)
	}
}

func TestUnknownHashIsNoPassword(t *testing.T) {
	t.Parallel()
	for _, kept := range []string{"", "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", "$A$005$short", "$A$000$" + strings.Repeat("x", 63), "$A$GGG$" + strings.Repeat("x", 63)} {
		if is, err := mysql.IsHashOf("caching_sha2_password", kept, ""); err == nil || is {
			t.Errorf("%q: %t, %v; want an error", kept, is, err)
		}
	}
	for _, rounds := range []int{0, 4000, 5500, 4096000} {
		if _, err := mysql.CachingSHA2("x", rounds); err == nil {
			t.Errorf("%d rounds are taken", rounds)
		}
	}
}

// TestAdminHashesAsTheServerIsSet keeps the cost of a guess that the server asks
// for.
func TestAdminHashesAsTheServerIsSet(t *testing.T) {
	t.Parallel()
	for rounds, prefix := range map[string]string{"5000": "$A$005$", "12000": "$A$00C$"} {
		s := start(t, dbservers.MySQLOptions{Settings: map[string]string{"caching_sha2_password_digest_rounds": rounds}})
		login := s.user(t, "costly", "first-1")
		if err := s.setByAdmin(t, "costly", "second-2"); err != nil {
			t.Fatal(err)
		}
		if kept := s.kept(t, "costly"); !strings.HasPrefix(kept, prefix) {
			t.Errorf("with %s rounds the hash begins with %q; want %q", rounds, kept[:7], prefix)
		}
		s.wantOpen(t, login, []string{"second-2"}, "first-1")
	}
}
