package mariadb_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestWhatCannotBeCopied is named before the password is set.
func TestWhatCannotBeCopied(t *testing.T) {
	tests := []struct {
		name          string
		arrange, says []string
	}{
		{name: "a privilege that the admin has not", arrange: []string{"GRANT FILE, SELECT ON *.* TO %app"}, says: []string{"FILE on *.* (Error 1045", "run: GRANT FILE ON *.* TO"}},
		{name: "all of a database", arrange: []string{"GRANT ALL ON twin_all.* TO %app"}, says: []string{"ALL PRIVILEGES on `twin_all`.* (Error 1044", "run: GRANT ALL PRIVILEGES ON `twin_all`.*"}},
		{name: "all of a table", arrange: []string{"GRANT ALL ON twin_shop.orders TO %app"}, says: []string{"ALL PRIVILEGES on `twin_shop`.`orders` (Error 1142", "DELETE HISTORY"}},
		{name: "a role that the admin may not grant", arrange: []string{"GRANT twin_foreign TO %app", "SET DEFAULT ROLE twin_foreign FOR %app"}, says: []string{"role `twin_foreign` (Error 1698", "default role `twin_foreign`"}},
		{name: "a proxy that the admin may not grant", arrange: []string{"GRANT PROXY ON twin_proxied TO %app"}, says: []string{"PROXY on `twin_proxied`@`%` (Error 1698"}},
		{name: "two of them", arrange: []string{"GRANT FILE, SHUTDOWN ON *.* TO %app", "GRANT PROXY ON twin_proxied TO %app"}, says: []string{"FILE on *.*", "SHUTDOWN on *.*", "PROXY on"}},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		s.exec(t, "CREATE ROLE twin_foreign")
		t.Cleanup(func() { s.clean(t, "DROP ROLE twin_foreign") })
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				for _, made := range []bool{false, true} {
					p := s.pair(t, "uncopied")
					if made {
						p.open()
					}
					p.with(test.arrange...)
					req := p.request()
					req.Password = dbdrivers.NewPassword("next-password")
					_, err := openTwin(t, req)
					for _, says := range test.says {
						check(t, err, dbdrivers.ErrPrivilege, says, "next-password")
					}
					p.wantTwin("next-password", false)
					locked := p.column(t.Context(), "SELECT JSON_VALUE(Priv, '$.account_locked') IS TRUE FROM mysql.global_priv WHERE User = ?", p.twin)
					if want := map[bool]string{false: "1", true: "0"}[made]; !slices.Equal(locked, []string{want}) {
						t.Errorf("the twin is locked: %q; want %s", locked, want)
					}
					if made {
						p.wantTwin(twinPassword, true)
					}
					// What it says is the remedy.
					_, remedies, _ := strings.Cut(err.Error(), "run: ")
					remedies, _, _ = strings.Cut(remedies, ", or take it")
					for sql := range strings.SplitSeq(remedies, "; ") {
						s.exec(t, sql)
					}
					p.open()
					p.drop(p.canonical, p.twin)
				}
			})
		}
	})
}

// TestWhatCannotBeTakenAway is what an administrator gave the twin alone: the
// admin takes what it may, and the rest is named.
func TestWhatCannotBeTakenAway(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "overgranted")
		p.with("GRANT SELECT ON twin_shop.* TO %app", "GRANT INSERT ON twin_shop.orders TO %app")
		p.open()
		p.with("GRANT ALL ON twin_shop.* TO %twin", "GRANT ALL ON twin_shop.orders TO %twin")
		req := p.request()
		req.Password = dbdrivers.NewPassword(second)
		_, err := openTwin(t, req)
		for _, says := range []string{"DELETE HISTORY on `twin_shop`.*, which is too much", "run: REVOKE DELETE HISTORY ON `twin_shop`"} {
			check(t, err, dbdrivers.ErrPrivilege, says, second)
		}
		if err != nil && strings.Contains(err.Error(), "DROP") {
			t.Errorf("error %v; want that only what the admin has not is left", err)
		}
		p.wantTwin(second, false)
		p.wantTwin(twinPassword, true)
		_, remedies, _ := strings.Cut(err.Error(), "run: ")
		remedies, _, _ = strings.Cut(remedies, ", or take it")
		for sql := range strings.SplitSeq(remedies, "; ") {
			s.exec(t, sql)
		}
		p.open()
	})
}

func TestWhatHasNoTwin(t *testing.T) {
	tests := []struct {
		name, says string
		arrange    []string
		change     func(*dbdrivers.OpenTwinRequest)
		want       error
	}{
		{name: "a superuser", says: "SUPER", arrange: []string{"GRANT SUPER ON *.* TO %app"}},
		{name: "an account that makes accounts", says: "CREATE USER", arrange: []string{"GRANT CREATE USER ON *.* TO %app"}},
		{name: "an admin by a role", says: `CREATE USER by the role "lonely_power"`, arrange: []string{"CREATE ROLE lonely_power", "GRANT CREATE USER ON *.* TO lonely_power", "GRANT lonely_power TO %app"}},
		{name: "a locked account", says: "is locked", arrange: []string{"ALTER USER %app ACCOUNT LOCK"}},
		{name: "an account with a socket alone", says: "unix_socket alone", arrange: []string{"ALTER USER %app IDENTIFIED VIA unix_socket"}},
		{name: "an account of another plugin", says: "mysql_old_password", arrange: []string{"ALTER USER %app IDENTIFIED VIA mysql_old_password USING '5d2e19393cc5ef67'"}},
		{name: "the admin", says: "the admin itself", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = r.Admin.Username }},
		{name: "the admin as the twin", says: "the admin itself", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = r.Admin.Username; r.Proven = true }},
		{name: "itself", says: "one of its own", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = r.Canonical }},
		{name: "root", says: "reserved", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "root" }},
		{name: "RDS's own account as the twin", says: "reserved", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = "rdsadmin"; r.Proven = true }},
		{name: "the server's own account", says: "reserved", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "mariadb.sys" }},
		{name: "everybody", says: "reserved", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "PUBLIC" }},
		{name: "a role", says: "is a role", arrange: []string{"CREATE ROLE lonely_role"}, change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "lonely_role" }},
		{name: "a role as the twin", says: "is a role", arrange: []string{"CREATE ROLE lonely_role"}, change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = "lonely_role"; r.Proven = true }},
		{name: "nobody", says: "does not exist", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "lonely_nobody" }},
		{name: "an owner role", says: "ownerRole", change: func(r *dbdrivers.OpenTwinRequest) { r.OwnerRole = "owner" }},
		{name: "not to be created", says: "CREATE USER", change: func(r *dbdrivers.OpenTwinRequest) { r.MayCreate = false }},
		{name: "a hash", says: "rot13", change: func(r *dbdrivers.OpenTwinRequest) { r.Hash = "rot13" }},
		{name: "an empty password", says: "empty", want: dbdrivers.ErrPasswordRules, change: func(r *dbdrivers.OpenTwinRequest) { r.Password = dbdrivers.NewPassword("") }},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				p := s.pair(t, "lonely")
				t.Cleanup(func() { s.clean(t, "DROP ROLE IF EXISTS lonely_role", "DROP ROLE IF EXISTS lonely_power") })
				p.with(test.arrange...)
				req := p.request()
				if test.change != nil {
					test.change(&req)
				}
				if test.want == nil {
					test.want = dbdrivers.ErrUnsupported
				}
				_, err := openTwin(t, req)
				check(t, err, test.want, test.says, twinPassword, p.Admin.Password.Reveal())
				if len(p.holds(p.twin)["user"]) > 0 {
					t.Error("a twin was made")
				}
			})
		}
	})
}

// TestNoTwinWhereATextIsDemanded: the server takes no hash, and an account that
// cannot be given one is not begun.
func TestNoTwinWhereATextIsDemanded(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.MariaDBOptions{Settings: map[string]string{"plugin_load_add": "simple_password_check"}})
	s.user(t, "judged", "IDENTIFIED BY 'first-password-1A'")
	p := pair{server: s, t: t, root: s.superuser(t), canonical: "judged", twin: "judged_clone"}
	_, err := openTwin(t, p.request())
	check(t, err, dbdrivers.ErrUnsupported, "strict_password_validation", twinPassword)
	if len(p.holds(p.twin)["user"]) > 0 {
		t.Error("a twin was made")
	}
}

// TestTwinMadeByHand runs what the error names where accounts are not to be
// created.
func TestTwinMadeByHand(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "by'hand", "%", "10.%", "192.0.2.%")
		p.with("ALTER USER `by'hand`@`192.0.2.%` ACCOUNT LOCK")
		req := p.request()
		req.MayCreate = false
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "as the admin run: ", twinPassword)
		if !errors.Is(err, dbdrivers.ErrTwinMissing) {
			t.Errorf("error %v; want that the twin is missing", err)
		}
		_, remedy, _ := strings.Cut(err.Error(), "as the admin run: ")
		s.sayAll(t, s.Admin, remedy)
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantEqual()
	})
}

// TestCutOffTwins breaks off a call that makes a twin of several rows and many
// rights, and one that takes a twin over, after each of its messages.
func TestCutOffTwins(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedMariaDBVersions() {
		for name, cloned := range map[string]bool{"made": false, "taken over": true} {
			t.Run("version "+version+" "+name, func(t *testing.T) {
				t.Parallel()
				s := start(t, dbservers.MariaDBOptions{Version: version, Plaintext: true})
				s.shop(t)
				root := s.superuser(t)
				for _, answerLost := range []bool{false, true} {
					nth := 0
					for s.cutOffAt(t, root, "cut_off_"+strings.ReplaceAll(name, " ", "_"), nth, cloned, answerLost) {
						nth++
					}
					if nth < 20 {
						t.Errorf("a call of %d messages was cut off; it is shorter than any can be", nth)
					}
				}
			})
		}
	}
}

// cutOffAt reports whether the call came as far as the nth message.
func (s *server) cutOffAt(t *testing.T, root *dbservers.MySQLConn, name string, nth int, cloned, answerLost bool) bool {
	t.Helper()
	p := pair{server: s, t: t, root: root, canonical: name, twin: name + "_clone"}
	defer p.drop(p.canonical, p.twin)
	for _, host := range []string{"%", "10.%"} {
		p.make(p.canonical, host, siblingPassword)
	}
	p.with("GRANT SELECT ON twin_shop.* TO %app WITH GRANT OPTION", "GRANT PROCESS ON *.* TO %app", "GRANT twin_admin TO %app", "SET DEFAULT ROLE twin_admin FOR %app",
		"ALTER USER %app WITH MAX_USER_CONNECTIONS 17", "GRANT SELECT ON twin_shop.orders TO "+backquoted(p.canonical)+"@`10.%`")
	req := p.request()
	if cloned {
		p.clone()
		p.with("GRANT twin_read TO %twin")
		req.Proven = true
	}
	var cut func() bool
	req.Admin, cut = s.gated(t, s.Admin, nth, answerLost)
	_, err := openTwin(t, req)
	if !cut() {
		if err != nil {
			t.Errorf("nothing was cut off: %v", err)
		}
		return false
	}
	check(t, err, dbdrivers.ErrUnreachable, "", twinPassword)
	keptAll := func() {
		t.Helper()
		if cloned && !slices.Contains(p.column(t.Context(), "SELECT Role FROM mysql.roles_mapping WHERE User = ?", p.twin), "twin_read") {
			t.Errorf("cut off at message %d: the first time has revoked a role", nth)
		}
	}
	opened := verify(t, p.login(p.twin, twinPassword)) == nil
	if opened {
		keptAll()
		p.wantMarked(nth)
		p.wantComplete(cloned)
	} else if cloned {
		p.wantTwin(clonePassword, true)
	}
	// The same rotation once more is still the first.
	req.Admin, req.Password = s.Admin, dbdrivers.NewPassword(twinPassword)
	if _, err := openTwin(t, req); err != nil {
		t.Fatalf("cut off at message %d, then: %v", nth, err)
	}
	if !opened {
		keptAll()
	}
	p.wantComplete(cloned)
	if left := p.column(t.Context(), "SELECT Host FROM mysql.global_priv WHERE User = ?", "dbrotation(new row of "+p.twin+")"); len(left) > 0 {
		t.Errorf("cut off at message %d: rows for hosts %q were left", nth, left)
	}
	return true
}

// wantMarked asserts that the rows of a twin that opens are all marked.
func (p pair) wantMarked(nth int) {
	p.t.Helper()
	marks := p.marks()
	for _, host := range p.column(p.t.Context(), "SELECT Host FROM mysql.global_priv WHERE User = ?", p.twin) {
		if !slices.Contains(marks, host+" taken") && !slices.Contains(marks, host+" equal") {
			p.t.Errorf("cut off at message %d: the twin opens, and its row for %s has no mark", nth, host)
		}
	}
}

// wantComplete asserts that the twin is as its sibling is, but for what it was
// taken over with.
func (p pair) wantComplete(cloned bool) {
	p.t.Helper()
	if cloned && slices.Contains(p.column(p.t.Context(), "SELECT Role FROM mysql.roles_mapping WHERE User = ?", p.twin), "twin_read") {
		p.sayAll(p.t, p.Admin, "REVOKE twin_read FROM "+backquoted(p.twin)+"@`%`")
	}
	p.wantEqual()
}
