package documentdb

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// What DocumentDB documents for its primary user.
//
// https://docs.aws.amazon.com/documentdb/latest/developerguide/db-cluster-parameters.html
const (
	maxName     = 63
	minPassword = 8
	maxPassword = 100
	// A blank is taken for one that is not printable.
	forbidden = `/"@ `
)

// MongoDB documents no limit of either. These are far beyond what its clients
// take in a connection string.
const (
	maxMongoName     = 256
	maxMongoPassword = 1024
)

// controls are the characters that no password may have: DocumentDB's is of
// printable ones, and SASLprep prohibits them.
//
// https://www.rfc-editor.org/rfc/rfc4013#section-2.3
const controls = "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f" +
	"\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"

// checkPassword refuses what the server's documentation does, and what no client
// could sign in with.
func (d Driver) checkPassword(password dbdrivers.Password) error {
	text, traits := password.Reveal(), d.Traits().Password
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		return errors.New("it is empty")
	case !utf8.ValidString(text):
		return errors.New("it is not UTF-8")
	case n < traits.MinLength || n > traits.MaxLength:
		return fmt.Errorf("it has %d characters; %d to %d are taken", n, traits.MinLength, traits.MaxLength)
	case strings.ContainsAny(text, controls):
		return errors.New("it has a control character")
	case strings.ContainsAny(text, traits.Forbidden):
		return errors.New(`it has one of the characters / " @ or a blank, which are not taken`)
	case !d.mongo && strings.ContainsFunc(text, func(r rune) bool { return r > '~' }):
		return errors.New("it has characters beyond ASCII, which are not taken")
	}
	if _, err := stringprep.SASLprep.Prepare(text); err != nil {
		// The library's error shows the character.
		return errors.New("it has characters that SASLprep prohibits, so no client could sign in with it")
	}
	return nil
}

// checkName refuses what is no name of a user, or longer than one can be.
func (d Driver) checkName(name string) error {
	longest := d.Traits().Username.Max
	switch {
	case name == "" || strings.IndexByte(name, 0) >= 0 || !utf8.ValidString(name):
		return errors.New("that is no name of a user")
	case utf8.RuneCountInString(name) > longest:
		return fmt.Errorf("the name is longer than %d characters, the most that is taken", longest)
	}
	return nil
}

const (
	databaseAdmin = "admin"
	// paramAuthSource is the member of a secret that names the database in which
	// its user lives, by the name that connection strings have for it.
	//
	// https://www.mongodb.com/docs/manual/reference/connection-string-options/
	paramAuthSource = "authSource"
)

// source is the database in which a login's user lives.
func (d Driver) source(login dbdrivers.Login) string {
	if !d.mongo {
		return databaseAdmin
	}
	if named := login.Params[paramAuthSource]; named != "" {
		return named
	}
	if login.Database != "" {
		return login.Database
	}
	return databaseAdmin
}

// homeOf is a login as far as it says where its user lives: the account's own, or
// where nothing is said of that the one that changes it.
func homeOf(database string, params map[string]string, as dbdrivers.Login) dbdrivers.Login {
	if database == "" && params[paramAuthSource] == "" {
		database, params = as.Database, as.Params
	}
	return dbdrivers.Login{Database: database, Params: params}
}

// maxDatabase is the longest name of a database, in bytes.
//
// https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
const maxDatabase = 63

// checkSource refuses databases in which no user with a password lives. DocumentDB
// is asked for none but admin: where a server took another for it, the secret would
// prove one user and name a second.
func (d Driver) checkSource(login dbdrivers.Login) error {
	database := d.source(login)
	named := login.Params[paramAuthSource]
	switch {
	case !d.mongo && named != "" && named != databaseAdmin:
		return fmt.Errorf("\"authSource\" is %q, but all users of DocumentDB live in the database admin; take \"authSource\" out of the secret", named)
	case database == "$external":
		return errors.New("users of $external sign in by IAM, a certificate or another service, not by a password that can be rotated; correct \"authSource\"")
	case len(database) > maxDatabase || strings.ContainsAny(database, "\x00/\\. \"$") || !utf8.ValidString(database):
		return fmt.Errorf("%q is no name of a database; correct \"authSource\" or \"dbname\"", database)
	}
	return nil
}

// checkLogin refuses what would be taken for something else: no host is this
// machine to a dialer.
func (d Driver) checkLogin(login dbdrivers.Login) error {
	if login.Host == "" {
		return errors.New("the host is empty")
	}
	if login.Port < 1 || login.Port > 65535 {
		return fmt.Errorf("%d is no port", login.Port)
	}
	if err := d.checkName(login.Username); err != nil {
		return err
	}
	if login.Password.IsEmpty() {
		return errors.New("the password is empty")
	}
	if !utf8.ValidString(login.Password.Reveal()) {
		return errors.New("the password is not UTF-8")
	}
	if _, err := stringprep.SASLprep.Prepare(login.Password.Reveal()); err != nil {
		return errors.New("the password has characters that SASLprep prohibits, so no client can sign in with it; set another by hand")
	}
	return d.checkSource(login)
}
