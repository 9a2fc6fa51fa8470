package mysql

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the server's form, not a choice
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The authentication plugins whose accounts have a password that the server
// itself keeps.
//
// https://dev.mysql.com/doc/refman/9.7/en/authentication-plugins.html
const (
	pluginCachingSHA2 = "caching_sha2_password"
	pluginSHA256      = "sha256_password"
	pluginNative      = "mysql_native_password"
)

const (
	// saltLength is the length of the salts that the server makes, in bytes.
	saltLength = 20
	// digestLength is that of a SHA-256 in crypt's alphabet, in characters.
	digestLength = 43
	// sha256Rounds is fixed for sha256_password, and the default of
	// caching_sha2_password until 9.x.
	sha256Rounds = 5000
	// roundsUnit is what caching_sha2_password counts its rounds in.
	roundsUnit = 1000
	maxRounds  = 0xFFF * roundsUnit
)

// cachingSHA2 computes what the server keeps of a password for
// caching_sha2_password, with a new salt: "$A$", the rounds in thousands as
// three hexadecimal digits, "$", the salt and the digest.
//
// https://dev.mysql.com/doc/refman/9.7/en/caching-sha2-pluggable-authentication.html
func cachingSHA2(password string, rounds int) (string, error) {
	if rounds < sha256Rounds || rounds > maxRounds || rounds%roundsUnit != 0 {
		return "", fmt.Errorf("the server's caching_sha2_password_digest_rounds is %d; thousands from %d to %d are known", rounds, sha256Rounds, maxRounds)
	}
	salt, err := newSalt()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$A$%03X$%s%s", rounds/roundsUnit, salt, sha256Crypt(password, salt, rounds)), nil
}

// sha256Password computes what the server keeps for sha256_password.
func sha256Password(password string) (string, error) {
	salt, err := newSalt()
	if err != nil {
		return "", err
	}
	return "$5$" + salt + "$" + sha256Crypt(password, salt, sha256Rounds), nil
}

// nativePassword computes what the server keeps for mysql_native_password.
func nativePassword(password string) string {
	once := sha1.Sum([]byte(password)) //nolint:gosec // the server's form, not a choice
	twice := sha1.Sum(once[:])         //nolint:gosec // as above
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}

// newHash computes what the server keeps of a password for a plugin.
func newHash(plugin, password string, rounds int) (string, error) {
	switch plugin {
	case pluginCachingSHA2:
		return cachingSHA2(password, rounds)
	case pluginSHA256:
		return sha256Password(password)
	case pluginNative:
		return nativePassword(password), nil
	}
	return "", fmt.Errorf("the form in which %s keeps a password is not known here", plugin)
}

// isHashOf reports whether kept, as the server keeps it for a plugin, is of
// password.
func isHashOf(plugin, kept, password string) (bool, error) {
	same := func(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
	switch plugin {
	case pluginCachingSHA2:
		rest, ok := strings.CutPrefix(kept, "$A$")
		if !ok || len(rest) != len("005$")+saltLength+digestLength || rest[3] != '$' {
			break
		}
		thousands, err := strconv.ParseUint(rest[:3], 16, 16)
		if err != nil || thousands == 0 {
			break
		}
		salt, digest := rest[4:4+saltLength], rest[4+saltLength:]
		return same(digest, sha256Crypt(password, salt, int(thousands)*roundsUnit)), nil
	case pluginSHA256:
		rest, ok := strings.CutPrefix(kept, "$5$")
		if !ok || len(rest) != saltLength+1+digestLength || rest[saltLength] != '$' {
			break
		}
		return same(rest[saltLength+1:], sha256Crypt(password, rest[:saltLength], sha256Rounds)), nil
	case pluginNative:
		return same(kept, nativePassword(password)), nil
	}
	return false, fmt.Errorf("what the server keeps for %s is not in a form that is known here", plugin)
}

// newSalt makes a salt of crypt's own characters: the server takes a "$" for
// the salt's end, and some bytes for no text.
func newSalt() (string, error) {
	random := make([]byte, saltLength)
	if _, err := rand.Read(random); err != nil {
		return "", errors.New("no random bytes for a salt")
	}
	for i, b := range random {
		random[i] = cryptAlphabet[b&0x3f]
	}
	return string(random), nil
}

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// sha256Crypt is the digest of Ulrich Drepper's SHA-crypt with SHA-256, in its
// alphabet. MySQL gives it salts of 20 bytes; crypt(3), and so most libraries,
// cut them off after 16.
//
// https://www.akkadia.org/drepper/SHA-crypt.txt
func sha256Crypt(password, salt string, rounds int) string {
	key := []byte(password)

	alternate := sha256.New()
	alternate.Write(key)
	alternate.Write([]byte(salt))
	alternate.Write(key)
	b := alternate.Sum(nil)

	first := sha256.New()
	first.Write(key)
	first.Write([]byte(salt))
	first.Write(repeated(b, len(key)))
	for n := len(key); n > 0; n >>= 1 {
		if n&1 == 1 {
			first.Write(b)
		} else {
			first.Write(key)
		}
	}
	a := first.Sum(nil)

	keys := sha256.New()
	for range len(key) {
		keys.Write(key)
	}
	p := repeated(keys.Sum(nil), len(key))

	salts := sha256.New()
	for range 16 + int(a[0]) {
		salts.Write([]byte(salt))
	}
	s := repeated(salts.Sum(nil), len(salt))

	round := sha256.New()
	for i := range rounds {
		round.Reset()
		if i%2 == 1 {
			round.Write(p)
		} else {
			round.Write(a)
		}
		if i%3 != 0 {
			round.Write(s)
		}
		if i%7 != 0 {
			round.Write(p)
		}
		if i%2 == 1 {
			round.Write(a)
		} else {
			round.Write(p)
		}
		a = round.Sum(a[:0])
	}
	return cryptBase64(a)
}

// repeated is sum, over and over, length bytes of it.
func repeated(sum []byte, length int) []byte {
	out := make([]byte, 0, length+len(sum))
	for len(out) < length {
		out = append(out, sum...)
	}
	return out[:length]
}

// cryptBase64 writes a SHA-256 in the order and alphabet of SHA-crypt.
func cryptBase64(sum []byte) string {
	out := make([]byte, 0, digestLength)
	write := func(high, middle, low byte, n int) {
		bits := uint32(high)<<16 | uint32(middle)<<8 | uint32(low)
		for range n {
			out = append(out, cryptAlphabet[bits&0x3f])
			bits >>= 6
		}
	}
	i, j, k := 0, 10, 20
	for range 10 {
		write(sum[i], sum[j], sum[k], 4)
		i, j, k = k+1, i+1, j+1
	}
	write(0, sum[31], sum[30], 3)
	return string(out)
}
