package mysql_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// clone makes the twin as AWS's function does: for any host, with its sibling's
// grants without their options.
//
// https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas
func (p pair) clone() {
	p.t.Helper()
	p.exec(p.t, "CREATE USER ?@'%' IDENTIFIED BY ?", p.twin, clonePassword)
	for _, host := range p.column(p.t.Context(), "SELECT host FROM mysql.user WHERE user = ? AND host = '%'", p.canonical) {
		for _, grant := range p.column(p.t.Context(), "SHOW GRANTS FOR ?@?", p.canonical, host) {
			before, _, _ := strings.Cut(grant, " TO ")
			p.with(before + " TO %twin")
		}
	}
}

// TestTakingOver is an account of AWS's function, which somebody has also
// granted rights to.
func TestTakingOver(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "adopted")
		p.with("GRANT SELECT ON twin_shop.* TO %app WITH GRANT OPTION", "GRANT twin_read TO %app", "SET DEFAULT ROLE twin_read TO %app", "ALTER USER %app WITH MAX_USER_CONNECTIONS 17")
		p.clone()
		p.with("GRANT INSERT ON twin_shop.orders TO %twin", "GRANT twin_write TO %twin", "SET DEFAULT ROLE twin_write TO %twin", `ALTER USER %twin COMMENT 'ask Mary'`)

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

		req := p.request()
		req.Proven = true
		report, err := openTwin(t, req)
		if err != nil {
			t.Fatal(err)
		}
		if !report.TakenOver || report.Created || len(report.Removed) > 0 {
			t.Errorf("report %+v", report)
		}
		want := []string{"INSERT on `twin_shop`.`orders`", "role `twin_write`@`%`", "default role `twin_write`@`%`"}
		if diff := cmp.Diff(want, report.Kept); diff != "" {
			t.Errorf("kept (-want +got):\n%s", diff)
		}
		for _, added := range []string{"GRANT OPTION on `twin_shop`.*", "default role `twin_read`@`%`", "setting MAX_USER_CONNECTIONS"} {
			if !slices.Contains(report.Added, added) {
				t.Errorf("added %q; want %s among them", report.Added, added)
			}
		}
		if err := p.as(p.twin, twinPassword, "INSERT INTO twin_shop.orders (id) VALUES (1)", "SET ROLE twin_write"); err != nil {
			t.Errorf("the twin has lost a right: %v", err)
		}

		// From now on the mark is proof, and the two are made equal.
		report = p.open()
		if report.TakenOver || len(report.Kept) > 0 || len(report.Removed) != len(want) {
			t.Errorf("the second time it reports %+v", report)
		}
		comment := p.column(t.Context(), "SELECT User_attributes->>'$.metadata.comment' FROM mysql.user WHERE user = ?", p.twin)
		if diff := cmp.Diff([]string{"ask Mary"}, comment); diff != "" {
			t.Errorf("the comment of somebody else (-want +got):\n%s", diff)
		}
	})
}

// TestForgedMarks are roles, and other things, that are no mark of ours or name
// another account.
func TestForgedMarks(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "marked")
		s.exec(t, "CREATE USER ?@'%' IDENTIFIED BY ?", p.twin, clonePassword)
		role := mysql.MarkRole("equal", p.canonical)
		for _, forged := range []struct {
			grant, option string
			others        bool
		}{
			{grant: mysql.MarkRole("equal", "somebody else") + "`@`%", others: true},
			{grant: mysql.MarkRole("taken", "Marked") + "`@`%", others: true},
			{grant: strings.Replace(role, "equal", "kept", 1) + "`@`%", others: true},
			{grant: role[:len(role)-1] + "`@`%", others: true},
			{grant: role + ".`@`%", others: true},
			{grant: "dbrotation.`@`%", others: true},
			{grant: role + "`@`%", option: " WITH ADMIN OPTION"},
			{grant: role + "`@`localhost"},
			{grant: strings.ToUpper(role) + "`@`%"},
		} {
			s.exec(t, "CREATE ROLE `"+forged.grant+"`")
			p.with("GRANT `" + forged.grant + "` TO %twin" + forged.option)
			for _, proven := range []bool{false, true} {
				if proven && !forged.others {
					continue
				}
				before := p.holds(p.twin)
				req := p.request()
				req.Proven = proven
				_, err := openTwin(t, req)
				says := map[bool]string{false: "say so to the server", true: "is marked as another account's"}[forged.others]
				check(t, err, dbdrivers.ErrUnsupported, says, twinPassword)
				if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
					t.Errorf("%s: error %v", forged.grant, err)
				}
				if diff := cmp.Diff(before, p.holds(p.twin)); diff != "" {
					t.Errorf("%s: the account was changed: %s", forged.grant, diff)
				}
				p.wantTwin(clonePassword, true)
			}
			s.exec(t, "DROP ROLE `"+forged.grant+"`")
		}
		// What the error names is proof. It says nothing of what the account
		// holds: on the first turn that is kept.
		p.with("GRANT INSERT ON twin_marked.* TO %twin")
		_, err := openTwin(t, p.request())
		s.remedy(t, err, "to the server: ")
		report, err := openTwin(t, p.request())
		if err != nil || !slices.Equal(report.Kept, []string{"INSERT on `twin_marked`.*"}) || len(report.Removed) > 0 {
			t.Errorf("marked by hand: report %+v, error %v; want that its right is kept", report, err)
		}
		p.open()
		p.open()
	})
}

// TestMarksOfATwin are written before a row opens, and are never its default
// roles. Those of its sibling are not passed on.
func TestMarksOfATwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "annotated", "%", "10.%")
		s.mark(t, p.canonical, "equal", "another account")
		p.with("SET DEFAULT ROLE ALL TO %app", "GRANT FILE ON *.* TO %app", "ALTER USER `annotated`@`10.%` ACCOUNT LOCK")
		if _, err := openTwin(t, p.request()); err == nil {
			t.Fatal("the twin was opened without FILE")
		}
		for _, host := range []string{"%", "10.%"} {
			if diff := cmp.Diff([]string{"made"}, p.marks(host)); diff != "" {
				t.Errorf("marks of the row %s that was made (-want +got):\n%s", host, diff)
			}
		}
		p.with("REVOKE FILE ON *.* FROM %app")
		if _, err := openTwin(t, p.request()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"equal", "made"}, p.marks("%")); diff != "" {
			t.Errorf("marks of the row that was opened (-want +got):\n%s", diff)
		}
		if defaults := p.column(t.Context(), "SELECT default_role_user FROM mysql.default_roles WHERE user = ?", p.twin); len(defaults) > 0 {
			t.Errorf("default roles %q; want none", defaults)
		}
		p.unmark(p.twin)
		req := p.request()
		req.Proven = true
		report, err := openTwin(t, req)
		if err != nil || len(report.Kept) > 0 {
			t.Errorf("report %+v, error %v", report, err)
		}
		if diff := cmp.Diff([]string{"equal", "taken"}, p.marks("%")); diff != "" {
			t.Errorf("marks of the row that was taken over (-want +got):\n%s", diff)
		}
	})
}

// TestATakeOverThatIsCutKeepsItsProof: a row that was made for a more specific
// host, and is still locked, stands before the one whose password proved the
// twin; so the caller has no proof the second time.
func TestATakeOverThatIsCutKeepsItsProof(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MySQLOptions{Plaintext: true})
	for nth := 0; ; nth++ {
		p := s.pair(t, fmt.Sprintf("proof_%d", nth))
		from := p.column(t.Context(), "SELECT SUBSTRING_INDEX(USER(), '@', -1)")[0]
		p.clone()
		p.exec(t, "CREATE USER ?@? IDENTIFIED BY ?", p.canonical, from, siblingPassword)
		req := p.request()
		req.Proven = true
		var cut func() bool
		req.Admin, cut = s.gated(t, s.Admin, nth, true)
		_, err := openTwin(t, req)
		if !cut() {
			check(t, err, nil, "")
			return
		}
		req = p.request()
		req.Proven = verify(t, p.login(p.twin, clonePassword)) == nil
		if _, err := openTwin(t, req); err != nil {
			t.Errorf("cut off at message %d, then with the proof %t: %v", nth, req.Proven, err)
		}
	}
}

// TestAnAdminWithoutRoleAdmin is told what it needs, and no twin is left that
// bears no mark.
func TestAnAdminWithoutRoleAdmin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "markless")
		req := p.request()
		req.Admin = s.userAt(t, "no_role_admin", "%", first, "IDENTIFIED BY ?", first)
		s.exec(t, "GRANT CREATE USER ON *.* TO no_role_admin")
		s.exec(t, "GRANT SELECT ON mysql.* TO no_role_admin")
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrPrivilege, "run: GRANT CREATE USER, ROLE_ADMIN ON *.* TO `no_role_admin`@`%`", first, twinPassword)
		if len(p.holds(p.twin)["user"]) > 0 {
			t.Error("a twin was made")
		}
		_, remedy, _ := strings.Cut(err.Error(), "run: ")
		s.exec(t, strings.Split(remedy, ":")[0])
		if _, err := openTwin(t, req); err != nil {
			t.Error(err)
		}
		p.wantEqual()
	})
}

// TestHostRows are accounts of several rows: the server lets a login in by the
// most specific one.
func TestHostRows(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "hosted", "%", "127.0.0.1", "10.%", "192.0.2.%")
		p.with("GRANT SELECT ON twin_hosts.* TO `hosted`@`127.0.0.1`", "GRANT INSERT ON twin_hosts.* TO `hosted`@`10.%`", "ALTER USER `hosted`@`10.%` WITH MAX_USER_CONNECTIONS 3",
			"ALTER USER `hosted`@`192.0.2.%` ACCOUNT LOCK")
		p.open()
		locked := p.column(t.Context(), "SELECT host FROM mysql.user WHERE user = ? AND account_locked = 'Y'", p.twin)
		if diff := cmp.Diff([]string{"192.0.2.%"}, locked); diff != "" {
			t.Errorf("locked rows of the twin (-want +got):\n%s", diff)
		}

		// A host that comes later.
		s.exec(t, "CREATE USER ?@'198.51.100.%' IDENTIFIED BY ?", p.canonical, siblingPassword)
		if report := p.open(); !contains(report.Added, "198.51.100.%") || report.Created {
			t.Errorf("report %+v", report)
		}

		// A host that goes: what the twin has left there is named, and how to end
		// it. A lock would not: it shuts the twin out from where its sibling comes
		// in by another row.
		s.exec(t, "DROP USER ?@'10.%'", p.canonical)
		for _, lock := range []string{"UNLOCK", "LOCK"} {
			s.exec(t, "ALTER USER ?@'10.%' ACCOUNT "+lock, p.twin)
			_, err := openTwin(t, p.request())
			check(t, err, dbdrivers.ErrUnsupported, "run: DROP USER `hosted_clone`@`10.%`", twinPassword)
			if !errors.Is(err, dbdrivers.ErrTwinOwns) {
				t.Errorf("error %v; want that the twin has what its sibling has not", err)
			}
			p.wantTwin(twinPassword, true)
		}
		_, err := openTwin(t, p.request())
		s.remedy(t, err, "run: ")
		if _, err := openTwin(t, p.request()); err != nil {
			t.Fatal(err)
		}
		p.wantTwin(twinPassword, true)

		// A host whose row is locked is no way in for the twin either.
		s.exec(t, "ALTER USER ?@'198.51.100.%' ACCOUNT LOCK", p.canonical)
		_, err = openTwin(t, p.request())
		check(t, err, dbdrivers.ErrUnsupported, "run: ALTER USER `hosted_clone`@`198.51.100.%` ACCOUNT LOCK", twinPassword)
		s.remedy(t, err, "run: ")
		if _, err := openTwin(t, p.request()); err != nil {
			t.Fatal(err)
		}
		p.wantTwin(twinPassword, true)
	})
}

// TestALockedRowOfTheTwinAlone is refused, the first time too: from that host the
// twin could not sign in, and its sibling can. The remedies end it.
func TestALockedRowOfTheTwinAlone(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, remedy := range map[string]func(p pair, from string){
			"the sibling gets such a row": func(p pair, from string) {
				s.exec(t, "CREATE USER ?@? IDENTIFIED BY ?", p.canonical, from, siblingPassword)
			},
			"the row is dropped": func(p pair, from string) { s.exec(t, "DROP USER ?@?", p.twin, from) },
		} {
			t.Run(name, func(t *testing.T) {
				p := s.pair(t, "shut_out")
				from := p.column(t.Context(), "SELECT SUBSTRING_INDEX(USER(), '@', -1)")[0]
				p.clone()
				s.exec(t, "CREATE USER ?@? IDENTIFIED BY ? ACCOUNT LOCK", p.twin, from, clonePassword)
				req := p.request()
				req.Proven = true
				_, err := openTwin(t, req)
				check(t, err, dbdrivers.ErrUnsupported, "DROP USER `shut_out_clone`@`"+from+"`", twinPassword)
				if !errors.Is(err, dbdrivers.ErrTwinOwns) {
					t.Errorf("error %v; want that the twin has what its sibling has not", err)
				}
				remedy(p, from)
				if _, err := openTwin(t, req); err != nil {
					t.Fatal(err)
				}
				p.wantTwin(twinPassword, true)
			})
		}
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
		req.Proven = true
		for range 2 {
			report, err := openTwin(t, req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"host row `narrow_clone`@`%`"}, report.Kept); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			p.wantTwin(twinPassword, true)
			p.wantTwin(clonePassword, false)
		}
		p.with("DROP USER %twin")
		report, err := openTwin(t, req)
		if err != nil || len(report.Kept) > 0 {
			t.Errorf("after it was dropped: %+v, %v", report, err)
		}
		p.wantTwin(twinPassword, true)
	})
}

// TestVerifyTwinOfAReader is an application that may read the accounts.
func TestVerifyTwinOfAReader(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "reader")
		differences := func(user, password string) []string {
			t.Helper()
			found, err := mysql.New().VerifyTwin(inTime(t), dbdrivers.VerifyTwinRequest{Login: p.login(user, password), Canonical: p.canonical, Twin: p.twin})
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
		want := []string{"has INSERT on `twin_shop`.*", "has role `twin_read`@`%`", "setting MAX_USER_CONNECTIONS"}
		for user, password := range map[string]string{p.canonical: siblingPassword, p.twin: twinPassword} {
			if diff := cmp.Diff(want, differences(user, password)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", user, diff)
			}
		}
		s.exec(t, "CREATE USER ?@'10.%' IDENTIFIED BY ?", p.canonical, siblingPassword)
		if found := differences(p.canonical, siblingPassword); !slices.Contains(found, "no host row `reader_clone`@`10.%`") {
			t.Errorf("found %q; want the missing row among them", found)
		}
	})
}

// TestTwinsUnderOtherModes: the session reads and writes grants its own way,
// whatever the server is set to.
func TestTwinsUnderOtherModes(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{
		"ANSI quotes and no backslashes": {"sql_mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT"},
		"no quotes at all":               {"init_connect": "SET SESSION sql_quote_show_create = 0, autocommit = 0"},
		"no partial revokes":             {"partial_revokes": "OFF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, dbservers.MySQLOptions{Settings: settings})
			for _, name := range []string{"modest", `mo"d'e\d`} {
				p := s.pair(t, name)
				p.with("GRANT SELECT ON `m\"o'd\\_e`.* TO %app WITH GRANT OPTION", "GRANT SELECT ON *.* TO %app", "GRANT INSERT ON plain.* TO %app", "ALTER USER %app REQUIRE SSL")
				p.open()
				p.open()
			}
		})
	}
}
