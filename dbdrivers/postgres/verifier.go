package postgres

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // the server's form, not a choice
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

const (
	hashSCRAM = "scram-sha-256"
	hashMD5   = "md5"
)

// saltLength is the length of the salts that the server makes, in bytes.
const saltLength = 16

// defaultIterations is what servers before 16 use, which have no setting for
// it; maxIterations is what pgx, and so this driver, would still sign in with.
const (
	defaultIterations = 4096
	maxIterations     = 10_000_000
)

// wellFormed is what the server takes for a verifier. Anything else it would
// keep as a password in plain text and hash itself.
//
// https://www.postgresql.org/docs/current/catalog-pg-authid.html
var wellFormed = regexp.MustCompile(`^(md5[0-9a-f]{32}|SCRAM-SHA-256\$[1-9][0-9]*:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=)$`)

// newVerifier computes what the server keeps in place of a password, so that
// the password is in no statement, and in no log of statements.
func newVerifier(hash, username, password string, iterations int) (string, error) {
	var verifier string
	switch hash {
	case hashSCRAM:
		salt := make([]byte, saltLength)
		if _, err := rand.Read(salt); err != nil {
			return "", fmt.Errorf("making a salt: %w", err)
		}
		var err error
		if verifier, err = scramVerifier(password, salt, iterations); err != nil {
			return "", err
		}
	case hashMD5:
		verifier = md5Verifier(username, password)
	default:
		return "", fmt.Errorf("no hash %q; one of %q and %q can be had", hash, hashSCRAM, hashMD5)
	}
	if !wellFormed.MatchString(verifier) {
		return "", errors.New("the verifier is malformed; it was not sent, because the server would take it for the password itself")
	}
	return verifier, nil
}

// scramVerifier follows RFC 5802, section 3, with RFC 7677's hash.
func scramVerifier(password string, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, pgwire.Prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("computing the verifier: %w", err)
	}
	clientKey := keyed(salted, "Client Key")
	storedKey := sha256.Sum256(clientKey)
	serverKey := keyed(salted, "Server Key")
	encode := base64.StdEncoding.EncodeToString
	return "SCRAM-SHA-256$" + strconv.Itoa(iterations) + ":" + encode(salt) + "$" + encode(storedKey[:]) + ":" + encode(serverKey), nil
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// md5Verifier is the old form, salted with the name, for servers whose clients
// know no other.
func md5Verifier(username, password string) string {
	sum := md5.Sum([]byte(password + username)) //nolint:gosec // the server's form, not a choice
	return "md5" + hex.EncodeToString(sum[:])
}

// wantedHash settles which verifier to make: as asked, or as the session's
// password_encryption says. Servers before 14 report "on" for md5.
func wantedHash(asked, encryption string) (string, error) {
	switch {
	case asked == hashSCRAM || asked == hashMD5:
		return asked, nil
	case asked != "":
		return "", fmt.Errorf("no hash %q; one of %q and %q can be had", asked, hashSCRAM, hashMD5)
	case encryption == hashSCRAM || encryption == hashMD5:
		return encryption, nil
	case encryption == "on":
		return hashMD5, nil
	}
	return "", fmt.Errorf("the server's password_encryption is %q; set it to %q, or name a \"hash\" in the secret", encryption, hashSCRAM)
}

// iterationsOf reads the session's scram_iterations, null before 16.
func iterationsOf(setting pgwire.Value) (int, error) {
	if setting.Null {
		return defaultIterations, nil
	}
	n, err := strconv.Atoi(setting.Text)
	if err != nil || n < 1 || n > maxIterations {
		return 0, fmt.Errorf("the session's scram_iterations is %q; at most %d can be signed in with", setting.Text, maxIterations)
	}
	return n, nil
}
