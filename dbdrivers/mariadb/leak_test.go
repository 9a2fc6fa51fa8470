package mariadb_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
)

// forms are the ways in which a password may stand in a text.
func forms(password string) map[string]string {
	return map[string]string{
		"plain":       password,
		"quoted":      strings.ReplaceAll(password, "'", "''"),
		"escaped":     strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`).Replace(password),
		"URL-encoded": url.QueryEscape(password),
		"base64":      strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(password)), "="),
		"hex":         hex.EncodeToString([]byte(password)),
	}
}

// showing names the logs that hold a password, and in which form.
func (s *server) showing(t *testing.T, password string) (places []string) {
	t.Helper()
	logs, err := s.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range logs {
		for form, secret := range forms(password) {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				places = append(places, name+", "+form)
			}
		}
	}
	slices.Sort(places)
	return places
}

// TestServerNeverShowsAPassword logs every statement, those that fail too, and
// finds no password in the general, the error, the slow and the binary log.
func TestServerNeverShowsAPassword(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		secret := func(of string) string { return fmt.Sprintf(`Planted-'%s'-\&%% pa55word`, of) }
		login := s.user(t, "logged", "IDENTIFIED BY 'first-password-1A'")
		key := s.user(t, "logged_key", "IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A')")

		check(t, setOwn(t, login, secret("own")), nil, "")
		check(t, setOwn(t, key, secret("own key")), nil, "")
		check(t, s.setByAdmin(t, "logged", secret("by admin")), nil, "")
		check(t, s.setByAdmin(t, "logged_key", secret("key by admin")), nil, "")
		check(t, s.retain(t, "logged", secret("by admin"), secret("kept")), nil, "")
		check(t, s.retain(t, "logged", secret("not its own"), secret("not kept")), dbdrivers.ErrUnsupported, "")
		check(t, setOwn(t, withPassword(login, secret("wrong")), secret("refused")), dbdrivers.ErrRefused, "")

		p := pair{server: s, t: t, root: s.superuser(t), canonical: "logged", twin: "logged_clone"}
		t.Cleanup(func() { p.drop(p.twin) })
		p.with("GRANT SELECT ON *.* TO %app")
		siblings := mariadb.NativeHash(secret("kept"))
		hashes := strings.Count(s.logs(t), siblings)
		open := func(class error, of string) {
			t.Helper()
			req := p.request()
			req.Password = dbdrivers.NewPassword(secret(of))
			_, err := openTwin(t, req)
			check(t, err, class, "", secret(of), secret("kept"), secret("by admin"))
		}
		open(nil, "twin made")
		p.with("GRANT PROCESS ON *.* TO %app", "GRANT FILE ON *.* TO %app")
		open(dbdrivers.ErrPrivilege, "twin not opened")
		p.with("REVOKE FILE ON *.* FROM %app")
		open(nil, "twin opened")
		if got := strings.Count(s.logs(t), siblings); got != hashes {
			t.Errorf("the sibling's hash stands in the logs %d times; before there was a twin %d times", got, hashes)
		}
		s.set(t, "read_only", 1)
		open(dbdrivers.ErrNotWritable, "twin not written")
		check(t, setOwn(t, withPassword(login, secret("kept")), secret("not written")), dbdrivers.ErrNotWritable, "")
		check(t, s.setByAdmin(t, "logged", secret("not written by admin")), dbdrivers.ErrNotWritable, "")
		s.set(t, "read_only", 0)

		log := s.logs(t)
		for _, told := range []string{
			"SET PASSWORD = '" + mariadb.NativeHash(secret("own")), "SET PASSWORD = '" + mariadb.Ed25519Key(secret("own key")),
			mariadb.NativeHash(secret("kept")) + "' OR mysql_native_password USING '" + mariadb.NativeHash(secret("by admin")),
			"ALTER USER 'logged_clone'@'%' IDENTIFIED VIA mysql_native_password USING '" + mariadb.NativeHash(secret("twin opened")) + "'",
			mariadb.NativeHash(secret("twin made")), "CREATE USER 'dbrotation(new row of logged_clone)'",
		} {
			if !strings.Contains(log, told) {
				t.Errorf("the logs do not tell of %s; they prove nothing", told)
			}
		}
		for _, of := range []string{
			"own", "own key", "by admin", "key by admin", "kept", "not its own", "not kept", "wrong", "refused", "not written", "not written by admin",
			"twin made", "twin not opened", "twin opened", "twin not written",
		} {
			if places := s.showing(t, secret(of)); len(places) > 0 {
				t.Errorf("the password %q is shown by %q", of, places)
			}
		}
		// The search itself finds what a statement shows.
		s.exec(t, "CREATE DATABASE shown")
		s.exec(t, "CREATE TABLE shown.t (c text) COMMENT = ?", secret("shown"))
		if places := s.showing(t, secret("shown")); len(places) == 0 {
			t.Error("a password in a statement is not found; the search proves nothing")
		}
		s.exec(t, "DROP DATABASE shown")
	})
}
