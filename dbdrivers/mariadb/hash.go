package mariadb

import (
	"crypto/sha1" //nolint:gosec // the server's form, not a choice
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"filippo.io/edwards25519"
)

// The plugins by which an account is entered that a rotation may change.
//
// https://mariadb.com/docs/server/reference/plugins/authentication-plugins
const (
	pluginNative  = "mysql_native_password"
	pluginEd25519 = "ed25519"
	pluginSocket  = "unix_socket"
)

// hashers compute what the server keeps of a password, by plugin.
var hashers = map[string]func(password string) string{
	pluginNative:  nativeHash,
	pluginEd25519: ed25519Key,
}

// nativeHash is what the server keeps for mysql_native_password.
//
// https://mariadb.com/docs/server/reference/plugins/authentication-plugins/authentication-plugin-mysql_native_password
func nativeHash(password string) string {
	once := sha1.Sum([]byte(password)) //nolint:gosec // the server's form, not a choice
	twice := sha1.Sum(once[:])         //nolint:gosec // as above
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}

// ed25519Key is what the server keeps for ed25519: the public key, in base64,
// of a private key that the SHA-512 of the password expands to, where Ed25519
// proper expands a seed of 32 bytes.
//
// https://mariadb.com/docs/server/reference/plugins/authentication-plugins/authentication-plugin-ed25519
func ed25519Key(password string) string {
	expanded := sha512.Sum512([]byte(password))
	scalar, err := edwards25519.NewScalar().SetBytesWithClamping(expanded[:32])
	if err != nil {
		// It is about the length alone.
		panic(err)
	}
	public := new(edwards25519.Point).ScalarBaseMult(scalar).Bytes()
	return base64.RawStdEncoding.EncodeToString(public)
}

// isHash reports whether kept has the form of a plugin's hash.
func isHash(plugin, kept string) bool {
	switch plugin {
	case pluginNative:
		digits, ok := strings.CutPrefix(kept, "*")
		_, err := hex.DecodeString(digits)
		return ok && err == nil && len(digits) == hex.EncodedLen(sha1.Size)
	case pluginEd25519:
		key, err := base64.RawStdEncoding.DecodeString(kept)
		return err == nil && len(key) == 32
	}
	return false
}

// isHashOf reports whether kept, as the server keeps it for a plugin, is of
// password. Where nothing is kept the password is empty.
func isHashOf(plugin, kept, password string) bool {
	hash, known := hashers[plugin]
	if !known {
		return false
	}
	if kept == "" {
		return password == ""
	}
	if plugin == pluginNative {
		// The server reads digits of either case.
		kept = strings.ToUpper(kept)
	}
	return subtle.ConstantTimeCompare([]byte(kept), []byte(hash(password))) == 1
}
