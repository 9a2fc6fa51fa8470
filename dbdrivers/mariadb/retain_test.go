package mariadb_test

import (
	"context"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
)

// native is a clause for an account with these passwords, the newest first.
func native(passwords ...string) (clause string, args []any) {
	clause = "IDENTIFIED VIA "
	for i, password := range passwords {
		if i > 0 {
			clause += " OR "
		}
		clause += "mysql_native_password USING PASSWORD(?)"
		args = append(args, password)
	}
	return clause, args
}

// TestAdminRetainsOnAllHostRows brings rows in different states to one.
func TestAdminRetainsOnAllHostRows(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, passwords := range map[string][]string{
			"has current alone":        {first},
			"has both already":         {second, first},
			"has both the other way":   {first, second},
			"has the new one alone":    {second},
			"has new and a third":      {second, third},
			"has current and a third":  {first, third},
			"has a third, and current": {third, first},
		} {
			t.Run(name, func(t *testing.T) {
				clause, args := native(passwords...)
				login := s.userAt(t, "many", "%", first, clause+" REQUIRE SSL WITH MAX_USER_CONNECTIONS 3", args...)
				s.userAt(t, "many", "192.0.2.1", first, "IDENTIFIED BY ? ACCOUNT LOCK", first)
				for range 2 {
					check(t, s.retain(t, "many", first, second), nil, "")
					s.wantOpen(t, login, []string{first, second}, third)
				}
				const both = "VIA mysql_native_password USING '<2>' OR mysql_native_password USING '<1>'"
				if got, want := s.created(t, "many"), both+" REQUIRE SSL WITH MAX_USER_CONNECTIONS 3"; got != want {
					t.Errorf("the account is IDENTIFIED %s; want %s", got, want)
				}
				if got, want := s.created(t, "many@'192.0.2.1'"), both+" ACCOUNT LOCK"; got != want {
					t.Errorf("the other row is IDENTIFIED %s; want %s", got, want)
				}
			})
		}
	})
}

// TestNextRotationDropsTheOlder, by either strategy.
func TestNextRotationDropsTheOlder(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "next", "IDENTIFIED BY 'first-password-1A'")
		check(t, s.retain(t, "next", first, second), nil, "")
		check(t, s.retain(t, "next", second, third), nil, "")
		s.wantOpen(t, login, []string{second, third}, first)
		check(t, s.setByAdmin(t, "next", first), nil, "")
		s.wantOpen(t, login, []string{first}, second, third)
	})
}

// TestAccountsThatCannotRetain are refused before any row is changed.
func TestAccountsThatCannotRetain(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		const usual = "mysql_native_password USING PASSWORD('first-password-1A')"
		for name, c := range map[string]struct{ clause, tells string }{
			"by ed25519":            {"IDENTIFIED VIA ed25519 USING PASSWORD('first-password-1A')", "signs in by ed25519"},
			"by ed25519 as well":    {"IDENTIFIED VIA " + usual + " OR ed25519 USING PASSWORD('first-password-1A')", "signs in by ed25519"},
			"by a socket as well":   {"IDENTIFIED VIA " + usual + " OR unix_socket", "signs in by unix_socket"},
			"with three passwords":  {"IDENTIFIED VIA " + usual + " OR " + usual + " OR " + usual, "has 3 passwords"},
			"with another password": {"IDENTIFIED BY 'third-password-3C'", "another password than the secret's current one"},
			"without any password":  {"IDENTIFIED BY ''", "another password than the secret's current one"},
			"with two others of it": {"IDENTIFIED VIA mysql_native_password USING PASSWORD('third-password-3C') OR mysql_native_password USING PASSWORD('fourth')", "another password"},
		} {
			t.Run(name, func(t *testing.T) {
				s.user(t, "kept", c.clause)
				s.userAt(t, "kept", "127.0.0.1", first, "IDENTIFIED BY ?", first)
				before := s.created(t, "kept")
				check(t, s.retain(t, "kept", first, second), dbdrivers.ErrUnsupported, c.tells, first, second)
				if after := s.created(t, "kept"); after != before {
					t.Errorf("the account is IDENTIFIED %s; it was %s", after, before)
				}
				if got := s.created(t, "kept@'127.0.0.1'"); got != "BY PASSWORD '<1>'" {
					t.Errorf("the other row is IDENTIFIED %s", got)
				}
			})
		}
	})
}

// TestCurrentIsNoMore on any row: somebody has set the new password alone, and the
// one that is said to be current may never have been one.
func TestCurrentIsNoMore(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "no_more", "IDENTIFIED BY 'first-password-1A'")
		check(t, s.setByAdmin(t, "no_more", second), nil, "")
		for _, current := range []string{first, third} {
			check(t, s.retain(t, "no_more", current, second), dbdrivers.ErrBusy, "the current one no more", first, second, third)
		}
		s.wantOpen(t, login, []string{second}, first, third)
	})
}

// TestOwnRetainIsRefused, as far as the account's rights go.
func TestOwnRetainIsRefused(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "alone", "IDENTIFIED BY 'first-password-1A'")
		check(t, retain(t, login, "alone", first, second), dbdrivers.ErrUnsupported, "no account keep its own former password", first, second)
		s.exec(t, "GRANT CREATE USER ON *.* TO alone")
		check(t, retain(t, login, "alone", first, second), dbdrivers.ErrUnsupported, "no account keep its own former password", first, second)
		s.wantOpen(t, login, []string{first}, second)
	})
}

// TestAbandonedRotation is one that was given up after it had set its password:
// the one that is current then is the older of two.
func TestAbandonedRotation(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		login := s.user(t, "given_up", "IDENTIFIED BY 'first-password-1A'")
		check(t, s.retain(t, "given_up", first, second), nil, "")
		for range 3 {
			check(t, s.retain(t, "given_up", first, third), nil, "")
			s.wantOpen(t, login, []string{first, third}, second)
		}
	})
}

func TestRequestsThatCannotRetain(t *testing.T) {
	t.Parallel()
	login := dbdrivers.Login{Host: "nowhere.invalid", Port: 3306, Username: "master", Password: dbdrivers.NewPassword(third)}
	for name, req := range map[string]dbdrivers.RetainPasswordRequest{
		"the same password":         {As: login, Account: "app", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(first)},
		"no current password":       {As: login, Account: "app", Password: dbdrivers.NewPassword(second)},
		"a hash":                    {As: login, Account: "app", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(second), Hash: "sha1"},
		"an account that cannot be": {As: login, Account: "", Current: dbdrivers.NewPassword(first), Password: dbdrivers.NewPassword(second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, mariadb.New().RetainPassword(context.Background(), req), dbdrivers.ErrUnsupported, "", first, second, third)
		})
	}
}
