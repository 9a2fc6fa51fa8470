package mariadb_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// clone makes the twin as AWS's function does: for any host, with its sibling's
// grants without their options.
//
// https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas
func (p pair) clone() {
	p.t.Helper()
	p.make(p.twin, "%", clonePassword)
	for _, host := range p.column(p.t.Context(), "SELECT Host FROM mysql.global_priv WHERE User = ? AND Host = '%'", p.canonical) {
		for _, grant := range p.column(p.t.Context(), "SHOW GRANTS FOR ?@?", p.canonical, host) {
			if before, _, is := strings.Cut(grant, " TO "); is {
				p.with(before + " TO %twin")
			}
		}
	}
}

// marks are the roles that mark the twin's rows, with their states alone.
func (p pair) marks() (found []string) {
	p.t.Helper()
	for _, row := range p.table(p.t.Context(), "SELECT Host, Role FROM mysql.roles_mapping WHERE User = ? AND Role LIKE 'dbrotation(%'", p.twin) {
		state, _, _ := strings.Cut(strings.TrimPrefix(row["role"], "dbrotation(twin of "+p.canonical+", "), ",")
		found = append(found, row["host"]+" "+state)
	}
	slices.Sort(found)
	return found
}

func (p pair) wantMarks(want ...string) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.marks()); diff != "" {
		p.t.Errorf("marks (-want +got):\n%s", diff)
	}
}

// TestTakingOver is an account of AWS's function, which somebody has also
// granted rights to.
func TestTakingOver(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "adopted")
		p.with("GRANT SELECT ON twin_shop.* TO %app WITH GRANT OPTION", "GRANT twin_read TO %app", "SET DEFAULT ROLE twin_read FOR %app", "ALTER USER %app WITH MAX_USER_CONNECTIONS 17")
		p.clone()
		p.with("GRANT INSERT ON twin_shop.orders TO %twin", "GRANT twin_write TO %twin", "SET DEFAULT ROLE twin_write FOR %twin")

		before := p.holds(p.twin)
		_, err := openTwin(t, p.request())
		check(t, err, dbdrivers.ErrUnsupported, "say so to the server: CREATE ROLE", twinPassword)
		if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
			t.Errorf("error %v; want that nothing proves the twin", err)
		}
		if diff := cmp.Diff(before, p.holds(p.twin)); diff != "" {
			t.Errorf("the unproven account was changed: %s", diff)
		}
		p.wantTwin(clonePassword, true)
		p.wantMarks()

		req := p.request()
		req.Proven = true
		report, err := openTwin(t, req)
		if err != nil {
			t.Fatal(err)
		}
		if !report.TakenOver || report.Created {
			t.Errorf("report %+v", report)
		}
		// There can be no second one.
		if diff := cmp.Diff([]string{"default role `twin_write`"}, report.Removed); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
		want := []string{"INSERT on `twin_shop`.`orders`", "role `twin_write`"}
		if diff := cmp.Diff(want, report.Kept); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
		for _, added := range []string{"GRANT OPTION on `twin_shop`.*", "default role `twin_read`", "setting MAX_USER_CONNECTIONS"} {
			if !slices.Contains(report.Added, added) {
				t.Errorf("added %q; want %s among them", report.Added, added)
			}
		}
		if err := p.as(p.twin, twinPassword, "INSERT INTO twin_shop.orders (id) VALUES (1)", "SET ROLE twin_write"); err != nil {
			t.Errorf("the twin has lost a right: %v", err)
		}
		p.wantMarks("% equal", "% taken")

		// From now on the mark is proof, and the two are made equal.
		report = p.open()
		if report.TakenOver || len(report.Kept) > 0 || !slices.Equal(report.Removed, want) {
			t.Errorf("the second time it reports %+v", report)
		}
	})
}

// TestForgedMarks are roles that mark another account, or ours in part, and the
// right one in the hands of who could have made it.
func TestForgedMarks(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		const ours = "dbrotation(twin of marked, equal, 01234567)"
		for _, forged := range []struct {
			name, role string
			admin      bool
			others     bool
		}{
			{name: "another's", role: "dbrotation(twin of another, equal, 01234567)", others: true},
			{name: "in another case", role: "dbrotation(twin of Marked, equal, 01234567)", others: true},
			{name: "in an unknown state", role: "dbrotation(twin of marked, equally, 01234567)", others: true},
			{name: "of nobody's making", role: "dbrotation(twin of marked, equal, )", others: true},
			{name: "with more after it", role: ours + ")", others: true},
			{name: "of a longer name", role: "dbrotation(twin of marked, equal, 01234567), equal, 01234567)", others: true},
			{name: "with something before it", role: "my dbrotation(twin of marked, equal, 01234567)"},
			{name: "that the account may grant", role: ours, admin: true},
		} {
			t.Run(forged.name, func(t *testing.T) {
				p := s.pair(t, "marked")
				p.make(p.twin, "%", clonePassword)
				option := ""
				if forged.admin {
					option = " WITH ADMIN OPTION"
				}
				p.with("CREATE ROLE "+backquoted(forged.role), "GRANT "+backquoted(forged.role)+" TO %twin"+option)
				t.Cleanup(func() { s.clean(t, "DROP ROLE "+backquoted(forged.role)) })
				for _, proven := range []bool{false, true} {
					if proven && !forged.others {
						continue
					}
					before := p.holds(p.twin)
					req := p.request()
					req.Proven = proven
					_, err := openTwin(t, req)
					check(t, err, dbdrivers.ErrUnsupported, "nothing proves", twinPassword)
					if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
						t.Errorf("error %v", err)
					}
					if diff := cmp.Diff(before, p.holds(p.twin)); diff != "" {
						t.Errorf("the account was changed: %s", diff)
					}
					p.wantTwin(clonePassword, true)
				}
			})
		}
		t.Run("on one of two host rows", func(t *testing.T) {
			p := s.pair(t, "marked")
			p.open()
			p.make(p.twin, "10.%", clonePassword)
			req := p.request()
			req.Password = dbdrivers.NewPassword(second)
			_, err := openTwin(t, req)
			check(t, err, dbdrivers.ErrUnsupported, "`marked_clone`@`10.%`; where it is", second)
			p.wantTwin(twinPassword, true)
		})
		t.Run("by the words of the error", func(t *testing.T) {
			p := s.pair(t, "it's marked")
			p.make(p.twin, "%", clonePassword)
			_, err := openTwin(t, p.request())
			_, remedy, _ := strings.Cut(err.Error(), "to the server: ")
			s.sayAll(t, s.Admin, remedy)
			p.open()
			p.wantMarks("% equal", "% taken")
		})
	})
}

// TestAnotherAccountOfTheTwinsName: the mark goes with the account that bore it.
func TestAnotherAccountOfTheTwinsName(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "replaced")
		p.open()
		p.drop(p.twin)
		p.make(p.twin, "%", clonePassword)
		_, err := openTwin(t, p.request())
		check(t, err, dbdrivers.ErrUnsupported, "nothing proves", twinPassword)
		p.wantTwin(clonePassword, true)

		p.drop(p.twin)
		p.open()
		p.with("RENAME USER %twin TO `another_clone`@`%`", "RENAME USER %app TO `another`@`%`")
		renamed := p
		renamed.canonical, renamed.twin = "another", "another_clone"
		t.Cleanup(func() { p.drop(renamed.canonical, renamed.twin) })
		_, err = openTwin(t, renamed.request())
		check(t, err, dbdrivers.ErrUnsupported, "marked as another account's", twinPassword)
	})
}

// TestAnotherAdmin opens and extends a twin that somebody else has made, and who
// may have gone.
func TestAnotherAdmin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "inherited")
		for _, name := range []string{"admin_a", "admin_b"} {
			s.userAt(t, name, "%", first, "IDENTIFIED BY ?", first)
			s.exec(t, "GRANT SELECT, INSERT, UPDATE, CREATE USER, RELOAD ON *.* TO ?@'%' WITH GRANT OPTION", name)
		}
		as := func(admin string) dbdrivers.TwinReport {
			t.Helper()
			req := p.request()
			req.Admin = p.login(admin, first)
			report, err := openTwin(t, req)
			if err != nil {
				t.Fatal(err)
			}
			p.wantEqual()
			return report
		}
		as("admin_a")
		if report := as("admin_b"); report.TakenOver || len(report.Added) > 0 {
			t.Errorf("report %+v; want that the mark is proof", report)
		}
		p.wantMarks("% equal")
		p.make(p.canonical, "10.%", siblingPassword)
		as("admin_b")
		p.wantMarks("% equal", "10.% equal")

		// Its roles outlive an admin, and the next of that name may not grant
		// them: two more are at hand.
		anew := func() {
			s.exec(t, "DROP USER admin_b")
			s.exec(t, "CREATE USER admin_b IDENTIFIED BY ?", first)
			s.exec(t, "GRANT SELECT, CREATE USER, RELOAD ON *.* TO admin_b WITH GRANT OPTION")
		}
		for _, host := range []string{"192.0.2.1", "192.0.2.2"} {
			anew()
			p.make(p.canonical, host, siblingPassword)
			as("admin_b")
		}
		anew()
		p.make(p.canonical, "192.0.2.3", siblingPassword)
		req := p.request()
		req.Admin = p.login("admin_b", first)
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrPrivilege, "may not grant them", twinPassword)
		p.wantTwin(twinPassword, true)
		// What it says is the remedy, and no mark is lost by it.
		_, remedy, _ := strings.Cut(err.Error(), "run: ")
		s.sayAll(t, req.Admin, remedy)
		p.wantMarks("% equal", "10.% equal", "192.0.2.1 equal", "192.0.2.2 equal")
		as("admin_b")
		p.wantMarks("% equal", "10.% equal", "192.0.2.1 equal", "192.0.2.2 equal", "192.0.2.3 equal")
		if left := p.column(t.Context(), "SELECT Host FROM mysql.global_priv WHERE User LIKE 'dbrotation(new%'"); len(left) > 0 {
			// What the refused call has begun is locked, and the next one of
			// this pair that makes a row drops it.
			p.make(p.canonical, "198.51.100.%", siblingPassword)
			as("admin_a")
		}
		if left := p.column(t.Context(), "SELECT Host FROM mysql.global_priv WHERE User LIKE 'dbrotation(new%'"); len(left) > 0 {
			t.Errorf("rows for hosts %q were left", left)
		}
	})
}

// TestHostRows are accounts of several rows: the server lets a login in by the
// most specific one.
func TestHostRows(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "hosted", "%", "127.0.0.1", "10.%", "192.0.2.0/255.255.255.0", "UPPER.example")
		p.with("GRANT SELECT ON twin_hosts.* TO `hosted`@`127.0.0.1`", "GRANT INSERT ON twin_hosts.* TO `hosted`@`10.%`", "ALTER USER `hosted`@`10.%` WITH MAX_USER_CONNECTIONS 3",
			"ALTER USER `hosted`@`192.0.2.0/255.255.255.0` ACCOUNT LOCK", "ALTER USER `hosted`@`upper.example` IDENTIFIED VIA ed25519 USING PASSWORD('x')")
		p.open()
		locked := func() []string {
			return p.column(t.Context(), "SELECT Host FROM mysql.global_priv WHERE User = ? AND JSON_VALUE(Priv, '$.account_locked')", p.twin)
		}
		if diff := cmp.Diff([]string{"192.0.2.0/255.255.255.0"}, locked()); diff != "" {
			t.Errorf("locked rows of the twin (-want +got):\n%s", diff)
		}

		// A host that comes later, and one that is let in.
		p.make(p.canonical, "198.51.100.%", siblingPassword)
		p.with("ALTER USER `hosted`@`192.0.2.0/255.255.255.0` ACCOUNT UNLOCK")
		if report := p.open(); !contains(report.Added, "198.51.100.%") || report.Created {
			t.Errorf("report %+v", report)
		}
		if len(locked()) > 0 {
			t.Errorf("locked rows of the twin: %q; want none", locked())
		}

		// A host that goes: what the twin has left there is named, and how to end it.
		s.exec(t, "DROP USER ?@'10.%'", p.canonical)
		_, err := openTwin(t, p.request())
		check(t, err, dbdrivers.ErrUnsupported, "run: DROP USER `hosted_clone`@`10.%`", twinPassword)
		if !errors.Is(err, dbdrivers.ErrTwinOwns) {
			t.Errorf("error %v; want that the twin has what its sibling has not", err)
		}
		p.wantTwin(twinPassword, true)
		// A lock would keep the twin out of that host.
		p.with("ALTER USER `hosted_clone`@`10.%` ACCOUNT LOCK")
		_, err = openTwin(t, p.request())
		check(t, err, dbdrivers.ErrUnsupported, "run: DROP USER `hosted_clone`@`10.%`", twinPassword)
		_, remedy, _ := strings.Cut(err.Error(), "run: ")
		s.sayAll(t, s.Admin, remedy)
		if _, err := openTwin(t, p.request()); err != nil {
			t.Fatal(err)
		}
		p.wantTwin(twinPassword, true)
	})
}

// TestCloneOfANarrowerSibling is AWS's account for any host, whose sibling may
// come from some only.
func TestCloneOfANarrowerSibling(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		// From where the tests come, as a process or through a container's bridge.
		p := s.pair(t, "narrow", "127.%", "172.%", "192.168.%", "10.%")
		p.clone()
		req := p.request()
		req.Proven, req.Password = true, dbdrivers.NewPassword(second)
		for range 2 {
			report, err := openTwin(t, req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"host row `narrow_clone`@`%`"}, report.Kept); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			p.wantTwin(second, true)
			p.wantTwin(clonePassword, false)
			// The row that nobody here signs in by has it too.
			if got := s.created(t, p.twin); got != "BY PASSWORD '<2>'" {
				t.Errorf("the row for any host is IDENTIFIED %s; want the new password", got)
			}
			p.wantMarks("% taken", "10.% equal", "127.% equal", "172.% equal", "192.168.% equal")
			// The mark is proof for it as well.
			req.Proven = false
		}
		p.with("ALTER USER %twin ACCOUNT LOCK")
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "run: DROP USER `narrow_clone`@`%`", second)
		_, remedy, _ := strings.Cut(err.Error(), "run: ")
		s.sayAll(t, s.Admin, remedy)
		report, err := openTwin(t, req)
		if err != nil || len(report.Kept) > 0 {
			t.Errorf("after it was dropped: %+v, %v", report, err)
		}
		p.wantTwin(second, true)
	})
}

// TestVerifyTwinOfAReader is an application that may read the accounts.
func TestVerifyTwinOfAReader(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "reader")
		differences := func(user, password string) []string {
			t.Helper()
			found, err := mariadb.New().VerifyTwin(inTime(t), dbdrivers.VerifyTwinRequest{Login: p.login(user, password), Canonical: p.canonical, Twin: p.twin})
			if err != nil {
				t.Fatal(err)
			}
			return found
		}
		p.open()
		change := []string{"GRANT INSERT ON twin_shop.* TO %twin", "GRANT twin_read TO %app", "ALTER USER %twin WITH MAX_USER_CONNECTIONS 9"}
		p.with(change...)
		if found := differences(p.canonical, siblingPassword); len(found) > 0 {
			t.Errorf("who may read nothing is told of %q", found)
		}
		p.open()
		p.with("GRANT SELECT ON mysql.* TO %app")
		p.open()
		p.with(change[0], change[2], "REVOKE twin_read FROM %app")
		want := []string{"has INSERT on `twin_shop`.*", "has role `twin_read`", "setting MAX_USER_CONNECTIONS"}
		for user, password := range map[string]string{p.canonical: siblingPassword, p.twin: twinPassword} {
			if diff := cmp.Diff(want, differences(user, password)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", user, diff)
			}
		}
		p.make(p.canonical, "10.%", siblingPassword)
		if found := differences(p.canonical, siblingPassword); !slices.Contains(found, "no host row `reader_clone`@`10.%`") {
			t.Errorf("found %q; want the missing row among them", found)
		}
	})
}

// TestTwinsUnderOtherModes: the session reads and writes grants its own way,
// whatever the server is set to.
func TestTwinsUnderOtherModes(t *testing.T) {
	eachAlone(t, func(t *testing.T, s *server) {
		for _, mode := range []string{"", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT", "ORACLE", "MSSQL"} {
			t.Run(mode, func(t *testing.T) {
				var made []pair
				for _, name := range []string{"modest", `mo"d'e\d[]`} {
					p := s.pair(t, name)
					p.with("GRANT SELECT ON `m\"o'd\\_e`.* TO %app WITH GRANT OPTION", "GRANT SELECT ON *.* TO %app", "GRANT INSERT ON plain.* TO %app", `ALTER USER %app REQUIRE SUBJECT '/CN=a''b\\c'`)
					made = append(made, p)
				}
				s.set(t, "init_connect", "SET SESSION sql_quote_show_create = 0, autocommit = 0")
				s.set(t, "sql_mode", mode)
				for _, p := range made {
					for range 2 {
						if _, err := openTwin(t, p.request()); err != nil {
							t.Fatal(err)
						}
						if diff := cmp.Diff(p.holds(p.canonical), p.holds(p.twin)); diff != "" {
							t.Errorf("the twin is not as its sibling is (-sibling +twin):\n%s", diff)
						}
					}
				}
			})
		}
	})
}

// TestSameMomentAsTheSiblingsTurn: what one call reads, the other does not change
// before it has written.
func TestSameMomentAsTheSiblingsTurn(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "contended")
		p.open()
		for name, lock := range map[string]string{"the sibling": p.canonical, "the twin": p.twin} {
			t.Run(name, func(t *testing.T) {
				conn, err := dbservers.ConnectMySQL(t.Context(), s.Admin)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				var got int
				if err := conn.QueryRowContext(t.Context(), "SELECT GET_LOCK(CONCAT('dbrotation ', LEFT(SHA2(?, 256), 32)), 0)", lock).Scan(&got); err != nil || got != 1 {
					t.Fatalf("lock %d, %v", got, err)
				}
				req := dbdrivers.SetPasswordRequest{As: s.Admin, Account: p.canonical, Twin: p.twin, Password: dbdrivers.NewPassword(second)}
				check(t, within(t, 2, req), dbdrivers.ErrBusy, "another rotation", second)
			})
		}
		p.wantTwin(twinPassword, true)
		s.wantOpen(t, p.login(p.canonical, siblingPassword), []string{siblingPassword}, second)
	})
}
