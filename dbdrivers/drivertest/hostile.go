package drivertest

import (
	"encoding/hex"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// encoded is how a binary log would show text.
func encoded(text string) string { return hex.EncodeToString([]byte(text)) }

// hostilePasswords break what quotes, formats or parses a password by hand. An
// engine that forbids a character by its traits is not asked to take it.
var hostilePasswords = map[string]string{
	"quotes":                     `it's "quoted" 'twice''`,
	"backslashes":                `back\slash\'and\\more\`,
	"percent signs":              `100%s %d %% %2F%00`,
	"dollars":                    `$1 $2 ${HOME} $$x$$`,
	"line breaks":                "line\none\r\ntwo\ttab",
	"other alphabets":            "pässwörd-密码-пароль-1A",
	"an emoji":                   "Aa1-\U0001F511-key",
	"a statement":                `x'; DROP TABLE students; --Aa1`,
	"a condition":                `' OR '1'='1`,
	"a URL":                      "p@ss:w/ord?sslmode=disable&x#y1A",
	"a connection string":        "x password=y host=elsewhere.example1A",
	"spaces at both ends":        "  Aa1 spaces  ",
	"what looks like a hash":     "md5" + strings.Repeat("0a", 16),
	"what looks like a verifier": "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$" + strings.Repeat("A", 43) + "=:" + strings.Repeat("A", 43) + "=",
	"all of printable ASCII":     printableASCII(),
}

func printableASCII() string {
	var b strings.Builder
	for r := rune(33); r < 127; r++ {
		b.WriteRune(r)
	}
	return b.String()
}

// takes reports whether an engine's traits allow a password.
func takes(traits dbdrivers.PasswordTraits, password string) bool {
	length := utf8.RuneCountInString(password)
	return length >= traits.MinLength && (traits.MaxLength == 0 || length <= traits.MaxLength) &&
		!strings.ContainsAny(password, traits.Forbidden) &&
		(!traits.ASCII || !strings.ContainsFunc(password, func(r rune) bool { return r > unicode.MaxASCII })) &&
		(!traits.NeedsUpper || strings.ContainsFunc(password, unicode.IsUpper)) &&
		(!traits.NeedsLower || strings.ContainsFunc(password, unicode.IsLower)) &&
		(!traits.NeedsDigit || strings.ContainsFunc(password, unicode.IsDigit))
}

func (f Fixture) testHostilePasswords(t *testing.T) {
	for name, password := range hostilePasswords {
		if !takes(f.Driver.Traits().Password, password) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := f.account(t)
			if err := a.set(a.login, password); err != nil {
				WantSafe(t, err, password, a.old())
				t.Fatalf("SetPassword: %v", err)
			}
			a.mustOpen(password)
			a.mustRefuse(a.old())
			if f.Admin == nil {
				return
			}
			if err := a.set(f.Admin(t), password+"2"); err != nil {
				t.Fatalf("SetPassword by an admin: %v", err)
			}
			a.mustOpen(password + "2")
			a.mustRefuse(password)
		})
	}
}

// hostileUsernames break what quotes a name by hand, or folds its case. Each
// begins with a part that is its own.
var hostileUsernames = map[string]string{
	"capitals and spaces": "Capital Letters",
	"double quotes":       `say"twice""`,
	"single quotes":       `o'reilly''`,
	"a statement":         `x"; DROP ROLE postgres; --`,
	"backslashes":         `back\slash\`,
	"dollars":             "$user",
	"percent signs":       "100%s",
	"other alphabets":     "bjørn-用户",
	"a reserved word":     "select",
	"an address":          "me@example.com",
	"a twin's name":       "app_clone",
}

func (f Fixture) testHostileUsernames(t *testing.T) {
	limit := f.Driver.Traits().Username
	for name, username := range hostileUsernames {
		username += " " + newName()[len("acct_"):]
		if length(limit, username) > limit.Max {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, next := f.accountNamed(t, username, newPassword()), newPassword()
			if err := a.set(a.login, next); err != nil {
				t.Fatalf("SetPassword: %v", err)
			}
			a.mustOpen(next)
			a.mustRefuse(a.old())
			if f.Admin == nil {
				return
			}
			last := newPassword()
			if err := a.set(f.Admin(t), last); err != nil {
				t.Fatalf("SetPassword by an admin: %v", err)
			}
			a.mustOpen(last)
		})
	}
}

func length(limit dbdrivers.Limit, name string) int {
	if limit.Bytes {
		return len(name)
	}
	return utf8.RuneCountInString(name)
}

func (f Fixture) testLongUsername(t *testing.T) {
	longest := f.Driver.Traits().Username.Max
	name := newName()
	name += strings.Repeat("n", longest-len(name))
	a := f.accountNamed(t, name, newPassword())
	next := newPassword()
	if err := a.set(a.login, next); err != nil {
		t.Fatalf("SetPassword of an account with a name of %d: %v", longest, err)
	}
	a.mustOpen(next)

	longer := a.with(next)
	longer.Username += "x"
	if err := f.verify(t, longer); err == nil {
		t.Error("a name one longer than the limit opens the account of the name that it is cut off to")
	} else {
		WantSafe(t, err, next)
	}
	if f.Admin == nil {
		return
	}
	err := f.set(t, f.Admin(t), longer.Username, newPassword())
	if err == nil {
		t.Error("an admin's change of a name one longer than the limit reports success")
	}
	WantSafe(t, err)
	a.mustOpen(next)
}
