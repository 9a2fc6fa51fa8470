package postgres_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestRoleSettingsDoNotStandInTheWay sets on the role what would break a
// change that took the session as it finds it.
func TestRoleSettingsDoNotStandInTheWay(t *testing.T) {
	tests := []struct {
		name    string
		arrange []string
		since   string
	}{
		{name: "read-only by default", arrange: []string{"ALTER ROLE settings SET default_transaction_read_only = on"}},
		{name: "serializable by default", arrange: []string{"ALTER ROLE settings SET default_transaction_isolation = 'serializable'", "ALTER ROLE settings SET default_transaction_deferrable = on"}},
		{name: "time-outs of a millisecond", arrange: []string{
			"ALTER ROLE settings SET statement_timeout = 1", "ALTER ROLE settings SET lock_timeout = 1",
			"ALTER ROLE settings SET idle_in_transaction_session_timeout = 1",
		}},
		{name: "a transaction's time-out shorter than the hashing", since: "18", arrange: []string{
			"ALTER ROLE settings SET transaction_timeout = 250", "ALTER ROLE settings SET scram_iterations = 2000000",
		}},
		{name: "backslashes in literals", arrange: []string{"ALTER ROLE settings SET standard_conforming_strings = off"}},
		{name: "another encoding", arrange: []string{"ALTER ROLE settings SET client_encoding = 'LATIN1'"}},
		{name: "another application's name", arrange: []string{"ALTER ROLE settings SET application_name = 'mine'"}},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			if test.since > s.options.Version {
				continue
			}
			t.Run(test.name, func(t *testing.T) {
				login := s.user(t, "settings", "old-password")
				s.exec(t, test.arrange...)
				if err := setOwn(t, login, "new-password"); err != nil {
					t.Fatalf("SetPassword: %v", err)
				}
				if err := verify(t, withPassword(login, "new-password")); err != nil {
					t.Errorf("Verify: %v", err)
				}
				check(t, verify(t, login), dbdrivers.ErrRefused, "")
			})
		}
	})
}

// TestAcknowledgedMeansOnDisk is a role whose commits are not waited for, on a
// server that writes them out only every ten seconds.
func TestAcknowledgedMeansOnDisk(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.PostgresOptions{Version: newest, Settings: map[string]string{"wal_writer_delay": "10s"}})
	login := s.user(t, "hasty", "old-password")
	s.exec(t, "ALTER ROLE hasty SET synchronous_commit = off")
	var before string
	s.ask(t, &before, "SELECT pg_current_wal_insert_lsn()::text")
	if err := setOwn(t, login, "new-password"); err != nil {
		t.Fatal(err)
	}
	var written bool
	s.ask(t, &written, "SELECT pg_current_wal_flush_lsn() > $1::text::pg_lsn", before)
	if !written {
		t.Error("the change was acknowledged before it was on disk")
	}
}

// TestActingAsAnotherChangesItsOwn is a role that signs in and acts as its
// sibling: "my own password" must not be the sibling's.
func TestActingAsAnotherChangesItsOwn(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		sibling, login := s.user(t, "acting", "sibling-password"), s.user(t, "acting_clone", "old-password")
		s.exec(t, "GRANT acting TO acting_clone", "ALTER ROLE acting_clone SET role = 'acting'")
		if err := setOwn(t, login, "new-password"); err != nil {
			t.Fatalf("SetPassword: %v", err)
		}
		if err := verify(t, withPassword(login, "new-password")); err != nil {
			t.Errorf("the account's new password: %v", err)
		}
		if err := verify(t, sibling); err != nil {
			t.Errorf("the sibling's password: %v", err)
		}
	})
}

// TestWhatVerifyWouldRefuseIsNotSet is an account that signs in and works, but
// not as the role it is set to act as. Were its password changed, no
// verification of the new one could succeed, and the old one would be gone.
func TestWhatVerifyWouldRefuseIsNotSet(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "misled", "old-password")
		t.Cleanup(func() { s.clean(t, "DROP ROLE misled_owner") })
		s.exec(t, "CREATE ROLE misled_owner", "ALTER ROLE misled SET role = 'misled_owner'")
		check(t, setOwn(t, login, "new-password"), dbdrivers.ErrPrivilege, `act as "misled_owner"`, "old-password", "new-password")
		if !s.opens(t, "misled", "old-password") {
			t.Error("the password was changed")
		}
		s.exec(t, "GRANT misled_owner TO misled")
		if err := setOwn(t, login, "new-password"); err != nil {
			t.Errorf("after the grant: %v", err)
		}
	})
}

// TestOthersFunctionsAreNotCalled puts an attacker's functions before the
// server's own in an admin's search_path.
func TestOthersFunctionsAreNotCalled(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "shadowed", "old-password")
		admin := s.user(t, "shadowed_admin", "admin-password")
		t.Cleanup(func() { s.clean(t, "DROP SCHEMA evil CASCADE") })
		s.exec(t, "CREATE SCHEMA evil", "GRANT USAGE ON SCHEMA evil TO PUBLIC",
			"CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'called'; END$$",
			"CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE 'called'; END$$",
			"CREATE VIEW evil.pg_roles AS SELECT * FROM pg_catalog.pg_roles WHERE false",
			"ALTER ROLE shadowed_admin CREATEROLE", "GRANT shadowed TO shadowed_admin WITH ADMIN OPTION",
			"ALTER ROLE shadowed SET search_path = evil, pg_catalog", "ALTER ROLE shadowed_admin SET search_path = evil, pg_catalog")
		if err := verify(t, login); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if err := setOwn(t, login, "new-password"); err != nil {
			t.Errorf("SetPassword by itself: %v", err)
		}
		if err := set(t, dbdrivers.SetPasswordRequest{As: admin, Account: "shadowed", Password: dbdrivers.NewPassword("last-password")}); err != nil {
			t.Errorf("SetPassword by the admin: %v", err)
		}
		if err := verify(t, withPassword(login, "last-password")); err != nil {
			t.Errorf("Verify of the last: %v", err)
		}
	})
}

// TestForms is the form in which the server is to keep the password.
func TestForms(t *testing.T) {
	tests := []struct {
		name    string
		arrange []string
		since   string
		hash    string
		class   error // nil: the change is made
		want    string
	}{
		{name: "as the server is set to", want: `^SCRAM-SHA-256\$4096:`},
		{name: "never weaker than it was", arrange: []string{"ALTER ROLE forms SET password_encryption = 'md5'"}, want: `^SCRAM-SHA-256\$4096:`},
		{name: "not md5, although by request", hash: "md5", class: dbdrivers.ErrUnsupported, want: `^SCRAM-SHA-256\$4096:`},
		{name: "SCRAM by request", arrange: []string{"ALTER ROLE forms SET password_encryption = 'md5'"}, hash: "scram-sha-256", want: `^SCRAM-SHA-256\$4096:`},
		{name: "with the session's iterations", arrange: []string{"ALTER ROLE forms SET scram_iterations = 20000"}, since: "17", want: `^SCRAM-SHA-256\$20000:`},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			if test.since > s.options.Version {
				continue
			}
			t.Run(test.name, func(t *testing.T) {
				login := s.user(t, "forms", "old-password")
				s.exec(t, test.arrange...)
				err := set(t, dbdrivers.SetPasswordRequest{
					As: login, Account: "forms", Password: dbdrivers.NewPassword("new-password"), Hash: test.hash,
				})
				if !errors.Is(err, test.class) {
					t.Fatalf("error %v; want %v", err, test.class)
				}
				if opens := map[bool]string{true: "new-password", false: "old-password"}[err == nil]; verify(t, s.Login("forms", opens)) != nil {
					t.Errorf("%s does not open the database", opens)
				}
				if got := s.kept(t, "forms"); !regexp.MustCompile(test.want).MatchString(got) {
					t.Errorf("the server keeps %q; want %s", got, test.want)
				}
			})
		}
	})
}

// TestServerSetToMD5 is a server whose old clients know no other form.
func TestServerSetToMD5(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.PostgresOptions{Version: newest, Settings: map[string]string{"password_encryption": "md5"}})
	login := s.user(t, "old_client", "old-password")
	admin := s.Admin
	for _, req := range []dbdrivers.SetPasswordRequest{
		{As: login, Account: "old_client", Password: dbdrivers.NewPassword("second")},
		{As: admin, Account: "old_client", Password: dbdrivers.NewPassword("third")},
	} {
		if err := set(t, req); err != nil {
			t.Fatal(err)
		}
		if kept := s.kept(t, "old_client"); !strings.HasPrefix(kept, "md5") {
			t.Errorf("the server keeps %q; its old clients need md5", kept)
		}
		if err := verify(t, withPassword(login, req.Password.Reveal())); err != nil {
			t.Errorf("Verify: %v", err)
		}
	}
}

// TestRules is a server that checks passwords. The module can only see that the
// password is the username, because it is given a verifier.
func TestRules(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "rules_account", "old-password")
		s.exec(t, "ALTER ROLE rules_account SET session_preload_libraries = 'passwordcheck'")
		check(t, setOwn(t, login, "rules_account"), dbdrivers.ErrPasswordRules, "password must not equal user name")
		if err := verify(t, login); err != nil {
			t.Errorf("the refused change has changed the password: %v", err)
		}
		if err := setOwn(t, login, "another-password"); err != nil {
			t.Errorf("a password that the rules accept: %v", err)
		}
	})
}

// TestHeldBack is an account that another session is changing for longer than
// the caller can wait.
func TestHeldBack(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "held", "old-password")
		conn, err := s.ConnectSuperuser(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if _, err := conn.Exec(t.Context(), "BEGIN; ALTER ROLE held CONNECTION LIMIT 7"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err = postgres.New().SetPassword(ctx, dbdrivers.SetPasswordRequest{As: login, Account: "held", Password: dbdrivers.NewPassword("new-password")})
		check(t, err, dbdrivers.ErrBusy, "another session is changing the account", "old-password", "new-password")
		if ctx.Err() != nil {
			t.Error("the caller's time was up before the server's")
		}
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if err := verify(t, login); err != nil {
			t.Errorf("the old password: %v", err)
		}
	})
}

// TestLogHoldsNoPassword searches the log of a server that logs every
// statement, after changes that went well and changes that failed.
func TestLogHoldsNoPassword(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		const planted = "planted-pa55word-in-a-log"
		login := s.user(t, "planted_log", "old-password")
		other := s.user(t, planted, "other-password")
		s.exec(t, "ALTER ROLE "+quoted(planted)+" SET session_preload_libraries = 'passwordcheck'")

		// The name of this account is the planted password, so its own lines
		// are known and left out below.
		check(t, setOwn(t, other, planted), dbdrivers.ErrPasswordRules, "")
		login = withPassword(login, planted)
		for _, hash := range []string{"scram-sha-256", "md5"} {
			// The admin first: an account that signs in by SCRAM does not
			// change itself to md5.
			for _, as := range []dbdrivers.Login{s.Admin, login} {
				err := set(t, dbdrivers.SetPasswordRequest{As: as, Account: "planted_log", Password: dbdrivers.NewPassword(planted), Hash: hash})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := verify(t, login); err != nil {
			t.Fatal(err)
		}
		check(t, set(t, dbdrivers.SetPasswordRequest{As: login, Account: "postgres", Password: dbdrivers.NewPassword(planted)}), dbdrivers.ErrUnsupported, "", planted)

		log := s.log(t)
		for _, needed := range []string{"ALTER ROLE SESSION_USER PASSWORD 'SCRAM-SHA-256$", "ALTER ROLE SESSION_USER PASSWORD 'md5", `ALTER ROLE "planted_log" PASSWORD 'md5`, "STATEMENT:"} {
			if !strings.Contains(log, needed) {
				t.Errorf("the log has no %q; it proves nothing", needed)
			}
		}
		for line := range strings.Lines(log) {
			if strings.Contains(line, planted) && !strings.Contains(line, "user="+planted) && !strings.Contains(line, quoted(planted)) {
				t.Errorf("the log holds the password: %s", line)
			}
			if strings.Contains(line, "planted_log") && strings.Contains(line, planted) {
				t.Errorf("the log holds the password: %s", line)
			}
		}
	})
}

// TestStopped is a server that is not there.
func TestStopped(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.PostgresOptions{Version: newest, Settings: map[string]string{"log_min_messages": "warning"}})
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	login := s.Login("anybody", "any-password")
	check(t, verify(t, login), dbdrivers.ErrUnreachable, "security groups", "any-password")
	check(t, setOwn(t, login, "new-password"), dbdrivers.ErrUnreachable, "no connection to", "any-password", "new-password")
}

// TestEndedWhileChanging is a session that an administrator ends while its
// change waits. Then only the server knows what became of it.
func TestEndedWhileChanging(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "ended", "old-password")
		conn, err := s.ConnectSuperuser(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
		if _, err := conn.Exec(t.Context(), "BEGIN; ALTER ROLE ended CONNECTION LIMIT 7"); err != nil {
			t.Fatal(err)
		}
		changed := make(chan error, 1)
		go func() { changed <- setOwn(t, login, "new-password") }()
		ended := 0
		for deadline := time.Now().Add(20 * time.Second); ended == 0; {
			if time.Now().After(deadline) {
				t.Fatal("the change never waited for the lock")
			}
			s.ask(t, &ended, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'ended' AND wait_event_type = 'Lock'")
		}
		check(t, <-changed, dbdrivers.ErrUnreachable, "not known", "old-password", "new-password")
	})
}
