package mysql_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
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

// written are the server's logs by name, without capital letters.
func (s *server) written(t *testing.T) map[string]string {
	t.Helper()
	logs, err := s.Logs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range logs {
		logs[name] = strings.ToLower(text)
	}
	return logs
}

// showing names the logs that hold a password, and in which form.
func showing(logs map[string]string, password string) (places []string) {
	for name, text := range logs {
		for form, secret := range forms(password) {
			if strings.Contains(text, strings.ToLower(secret)) {
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
	t.Parallel()
	for _, version := range dbservers.TestedMySQLVersions() {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			s := start(t, dbservers.MySQLOptions{Version: version, Settings: map[string]string{
				"log_error_verbosity": "3",
			}})
			secret := func(of string) string { return fmt.Sprintf(`Planted-'%s'-\&%% pa55word`, of) }
			login := s.user(t, "logged", first)
			s.allowRetain(t, "logged")
			change := func(class error, call func(t *testing.T, password string) error, of string) {
				check(t, call(t, secret(of)), class, "", secret(of))
			}
			current := first
			own := func(t *testing.T, password string) error {
				err := setOwn(t, withPassword(login, current), password)
				if err == nil {
					current = password
				}
				return err
			}
			keep := func(t *testing.T, password string) error {
				err := retain(t, withPassword(login, current), "logged", current, password)
				if err == nil {
					current = password
				}
				return err
			}
			admin := func(t *testing.T, password string) error {
				err := s.setByAdmin(t, "logged", password)
				if err == nil {
					current = password
				}
				return err
			}
			keepByAdmin := func(t *testing.T, password string) error {
				err := retain(t, s.Admin, "logged", current, password)
				if err == nil {
					current = password
				}
				return err
			}
			change(nil, own, "own")
			change(nil, keep, "kept")
			change(nil, admin, "by admin")
			change(nil, keepByAdmin, "kept by admin")

			// The older of two fails, and is then set plainly.
			older := withPassword(login, secret("by admin"))
			check(t, setOwn(t, older, secret("stale")), dbdrivers.ErrBusy, "")
			check(t, retain(t, older, "logged", secret("by admin"), secret("afterwards")), nil, "")
			s.exec(t, "REVOKE APPLICATION_PASSWORD_ADMIN ON *.* FROM logged")
			current = secret("afterwards")
			change(dbdrivers.ErrPrivilege, keep, "without the right")
			s.exec(t, "ALTER USER logged PASSWORD HISTORY 2")
			change(nil, own, "history one")
			change(nil, own, "history two")
			change(dbdrivers.ErrPasswordRules, own, "history one")
			p := s.pair(t, "logged_pair")
			twin := func(t *testing.T, password string) error {
				req := p.request()
				req.Password = dbdrivers.NewPassword(password)
				_, err := openTwin(t, req)
				return err
			}
			sibling := func(t *testing.T, password string) error {
				return set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: p.canonical, Twin: p.twin, Password: dbdrivers.NewPassword(password)})
			}
			change(nil, twin, "of a new twin")
			p.with("ALTER USER %twin IDENTIFIED BY 'newer' RETAIN CURRENT PASSWORD", "GRANT SELECT ON shown.* TO %app")
			change(nil, twin, "of the twin again")
			change(nil, sibling, "of its sibling")
			p.with("GRANT FILE ON *.* TO %app")
			change(dbdrivers.ErrPrivilege, twin, "of a twin that is not equal")
			p.with("REVOKE FILE ON *.* FROM %app")

			s.exec(t, "SET GLOBAL super_read_only = ON")
			change(dbdrivers.ErrNotWritable, own, "not written")
			change(dbdrivers.ErrNotWritable, twin, "of a twin that is not written")
			change(dbdrivers.ErrNotWritable, admin, "not written by admin")
			s.exec(t, "SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF")
			check(t, setOwn(t, withPassword(login, secret("wrong")), secret("refused")), dbdrivers.ErrRefused, "")

			log := s.logs(t)
			for _, told := range []string{
				"ALTER USER 'logged'@'%' IDENTIFIED BY <secret> REPLACE <secret>", "ALTER USER 'logged'@'%' IDENTIFIED WITH 'caching_sha2_password' AS ",
				"RETAIN CURRENT PASSWORD", "DISCARD OLD PASSWORD", "CREATE USER 'logged_pair_clone'@'%' IDENTIFIED WITH ",
				"ALTER USER 'logged_pair_clone'@'%' IDENTIFIED WITH 'caching_sha2_password' AS ", "ALTER USER 'logged_pair'@'%' IDENTIFIED WITH 'caching_sha2_password' AS ",
			} {
				if !strings.Contains(log, told) {
					t.Errorf("the logs do not tell of %s; they prove nothing", told)
				}
			}
			written := s.written(t)
			for _, of := range []string{
				"own", "kept", "by admin", "kept by admin", "stale", "afterwards", "without the right", "history one", "history two",
				"not written", "not written by admin", "wrong", "refused",
				"of a new twin", "of the twin again", "of its sibling", "of a twin that is not equal", "of a twin that is not written",
			} {
				if places := showing(written, secret(of)); len(places) > 0 {
					t.Errorf("the password %q is shown by %q", of, places)
				}
			}
			// The search itself finds what a statement shows.
			s.exec(t, "CREATE DATABASE shown")
			s.exec(t, "CREATE TABLE shown.t (c text) COMMENT = ?", secret("shown"))
			if places := showing(s.written(t), secret("shown")); len(places) == 0 {
				t.Error("a password in a statement is not found; the search proves nothing")
			}
			s.exec(t, "DROP DATABASE shown")
		})
	}
}
