package postgres_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// forms are the ways in which a password may stand in a text.
func forms(password string) map[string]string {
	return map[string]string{
		"plain":       password,
		"quoted":      strings.ReplaceAll(password, "'", "''"),
		"escaped":     strings.ReplaceAll(strings.ReplaceAll(password, `\`, `\\`), "'", "''"),
		"URL-encoded": url.QueryEscape(password),
		"as a path":   url.PathEscape(password),
		"base64":      strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(password)), "="),
		"base64 URL":  base64.RawURLEncoding.EncodeToString([]byte(password)),
		"hex":         hex.EncodeToString([]byte(password)),
	}
}

// showing names where the server shows a password, and in which form.
func (s *server) showing(t *testing.T, password string) (places []string) {
	t.Helper()
	var statements string
	s.ask(t, &statements, "SELECT coalesce(string_agg(query, E'\n'), '') FROM pg_stat_statements")
	for place, text := range map[string]string{"the log": s.log(t), "pg_stat_statements": statements} {
		for form, secret := range forms(password) {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				places = append(places, place+", "+form)
			}
		}
	}
	slices.Sort(places)
	return places
}

// TestServerNeverShowsAPassword logs every statement, and those that fail, and
// keeps the texts of all. Only the verifier is found there.
func TestServerNeverShowsAPassword(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			s := start(t, dbservers.PostgresOptions{Version: version, Settings: map[string]string{
				"shared_preload_libraries": "pg_stat_statements", "log_statement": "all", "log_min_error_statement": "error",
			}})
			s.exec(t, "CREATE EXTENSION pg_stat_statements")
			s.seesPlainPasswords(t)

			p := s.pair(t, "shown")
			secret := func(of string) string { return fmt.Sprintf(`planted-'%s'-\&%% pa55word`, of) }
			own, byAdmin, opened, late, lateTwin := secret("own"), secret("by admin"), secret("opened"), secret("late"), secret("late twin")
			login := p.Login(p.canonical, siblingPassword)
			if err := setOwn(t, login, own); err != nil {
				t.Fatal(err)
			}
			if err := set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: p.canonical, Password: dbdrivers.NewPassword(byAdmin)}); err != nil {
				t.Fatal(err)
			}
			req := p.request()
			req.Password = dbdrivers.NewPassword(opened)
			for range 2 {
				if _, err := openTwin(t, req); err != nil {
					t.Fatal(err)
				}
			}
			if err := verify(t, withPassword(login, late)); err == nil {
				t.Error("a wrong password opens")
			}

			// The last statement waits for another session, until it fails.
			for _, role := range []string{p.canonical, p.name} {
				pair{server: s, t: t, name: role}.obstruct()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := postgres.New().SetPassword(ctx, dbdrivers.SetPasswordRequest{As: withPassword(login, byAdmin), Account: p.canonical, Password: dbdrivers.NewPassword(late)})
			check(t, err, dbdrivers.ErrBusy, "", late, byAdmin)
			req.Password = dbdrivers.NewPassword(lateTwin)
			ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err = postgres.New().OpenTwin(ctx, req)
			check(t, err, dbdrivers.ErrBusy, "", lateTwin)
			drivertest.WantSafe(t, err, s.Admin.Password.Reveal())

			log := s.log(t)
			for _, told := range []string{
				"ALTER ROLE SESSION_USER PASSWORD 'SCRAM-SHA-256$", `ALTER ROLE "shown" PASSWORD 'SCRAM-SHA-256$`, `ALTER ROLE "shown_clone" LOGIN PASSWORD 'SCRAM-SHA-256$`,
			} {
				if !strings.Contains(log, told) {
					t.Errorf("the log does not tell of %s; it proves nothing", told)
				}
			}
			for _, failed := range []string{"STATEMENT:  ALTER ROLE SESSION_USER PASSWORD", `STATEMENT:  ALTER ROLE "shown_clone" LOGIN PASSWORD`} {
				if !strings.Contains(log, failed) {
					t.Errorf("the log has no %s; it proves nothing of a statement that fails", failed)
				}
			}
			var kept bool
			s.ask(t, &kept, `SELECT count(*) FILTER (WHERE query LIKE '%ALTER ROLE "shown_clone" LOGIN PASSWORD%') > 0 AND count(*) FILTER (WHERE query LIKE '%ALTER ROLE SESSION_USER PASSWORD%') > 0 FROM pg_stat_statements`)
			if !kept {
				t.Error("pg_stat_statements does not tell of the changes; it proves nothing")
			}
			for _, password := range []string{own, byAdmin, opened, late, lateTwin} {
				if places := s.showing(t, password); len(places) > 0 {
					t.Errorf("a password is shown: %q", places)
				}
			}
		})
	}
}

// seesPlainPasswords proves that this test would find a password, on an account
// that is thrown away: where it is sent in the clear, and in each form.
func (s *server) seesPlainPasswords(t *testing.T) {
	t.Helper()
	const plain, quoting = "a plain throw-away", `throw-away 'pa55word'\ of nobody`
	s.exec(t, "CREATE ROLE thrown_away", "ALTER ROLE thrown_away PASSWORD '"+plain+"'")
	if places := s.showing(t, plain); !slices.Contains(places, "the log, plain") || !slices.Contains(places, "pg_stat_statements, plain") {
		t.Errorf("a plain password is found in %q only; the test cannot fail", places)
	}
	n := 0
	for _, text := range forms(quoting) {
		// Of statements that differ in a comment alone, one text is kept.
		n++
		role := fmt.Sprintf("thrown_away_%d", n)
		s.exec(t, "CREATE ROLE "+role+" /* "+text+" */", "DROP ROLE "+role)
	}
	places := s.showing(t, quoting)
	for form := range forms(quoting) {
		if !slices.Contains(places, "the log, "+form) || !slices.Contains(places, "pg_stat_statements, "+form) {
			t.Errorf("a password in the form %q is found in %q only; the test cannot fail", form, places)
		}
	}
	s.exec(t, "DROP ROLE thrown_away")
}
