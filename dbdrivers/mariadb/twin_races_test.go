package mariadb_test

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// eachPlain runs a test once per version, on a server whose messages can be read
// on their way.
func eachPlain(t *testing.T, test func(t *testing.T, s *server)) {
	t.Parallel()
	for _, version := range dbservers.TestedMariaDBVersions() {
		t.Run("version "+version, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, dbservers.MariaDBOptions{Version: version, Plaintext: true}))
		})
	}
}

// before returns login for one connection. Before the first message with a text
// goes on to the server something happens, which says whether it goes on at all;
// else the connection is cut off.
func before(t *testing.T, login dbdrivers.Login, text string, happens func() bool) dbdrivers.Login {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := login.Address()
	var done sync.WaitGroup
	seen := false
	done.Go(func() {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = client.Close() }()
		upstream, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server)
		if err != nil {
			t.Error(err)
			return
		}
		done.Go(func() { copyAll(client, upstream) })
		defer func() { _ = upstream.Close() }()
		for {
			message, err := readMessage(client)
			if err != nil {
				return
			}
			if !seen && bytes.Contains(message, []byte(text)) {
				seen = true
				if !happens() {
					return
				}
			}
			if _, err := upstream.Write(message); err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		done.Wait()
		if !seen {
			t.Errorf("no message had %q in it", text)
		}
	})
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("no TCP address")
	}
	login.Host, login.Port, login.TLS.Plaintext = "127.0.0.1", address.Port, true
	return login
}

// copyAll passes on until one of the two ends.
func copyAll(to, from net.Conn) {
	defer func() { _ = to.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// siblingsTurn is the canonical account's new password on the word of its twin's.
func (p pair) siblingsTurn(as dbdrivers.Login, current, password string) error {
	p.t.Helper()
	return set(p.t, dbdrivers.SetPasswordRequest{
		As: as, Account: p.canonical, Twin: p.twin,
		Current: dbdrivers.NewPassword(current), Password: dbdrivers.NewPassword(password),
	})
}

// TestRequestsThatComeLate were proven by a password that has been changed since.
func TestRequestsThatComeLate(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "overtaken")
		old := p.request()
		old.Current = dbdrivers.NewPassword(siblingPassword)
		for range 2 {
			if _, err := openTwin(t, old); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			check(t, p.siblingsTurn(s.Admin, twinPassword, second), nil, "")
		}
		p.with("GRANT SELECT ON twin_shop.* TO %app")
		old.Password = dbdrivers.NewPassword(third)
		held := p.holds(p.twin)
		_, err := openTwin(t, old)
		check(t, err, dbdrivers.ErrBusy, "nothing was changed", siblingPassword, third)
		if diff := cmp.Diff(held, p.holds(p.twin)); diff != "" {
			t.Errorf("the twin was changed: %s", diff)
		}
		p.wantTwin(third, false)
		p.wantTwin(twinPassword, true)

		// That the twin has the new password says nothing of the one it opened by.
		for _, password := range []string{third, twinPassword} {
			check(t, p.siblingsTurn(s.Admin, clonePassword, password), dbdrivers.ErrBusy, "nothing was changed", clonePassword, password)
			s.wantOpen(t, p.login(p.canonical, second), []string{second}, password)
		}
	})
}

// TestTakingOverThatIsCutOff: the new row for the host of the function stands
// before the one whose password was proof.
func TestTakingOverThatIsCutOff(t *testing.T) {
	eachPlain(t, func(t *testing.T, s *server) {
		var here string
		s.ask(t, &here, "SELECT SUBSTRING_INDEX(USER(), '@', -1)")
		p := s.pair(t, "cut_proof", "%", here)
		p.make(p.twin, "%", clonePassword)
		req := p.request()
		req.Proven = true
		req.Admin = before(t, s.Admin, "SHOW GRANTS FOR `cut_proof`@", func() bool { return false })
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnreachable, "", twinPassword)
		p.wantTwin(clonePassword, false)

		if _, err := openTwin(t, p.request()); err != nil {
			t.Errorf("once more, without the proof that is gone: %v", err)
		}
		p.wantTwin(twinPassword, true)
	})
}

// TestRevokedMeanwhile is not granted again for what the twin has made.
func TestRevokedMeanwhile(t *testing.T) {
	eachPlain(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "revoked")
		p.with("GRANT SELECT, CREATE ROUTINE ON twin_shop.* TO %app")
		p.open()
		if err := p.as(p.twin, twinPassword, "CREATE PROCEDURE twin_shop.of_revoked() SELECT 1"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.clean(t, "DROP PROCEDURE twin_shop.of_revoked") })
		as := before(t, s.Admin, "ON PROCEDURE", func() bool {
			p.with("REVOKE SELECT ON twin_shop.* FROM %app")
			return true
		})
		check(t, p.siblingsTurn(as, twinPassword, second), nil, "")
		if got := p.column(t.Context(), "SELECT Select_priv FROM mysql.db WHERE User = ?", p.canonical); !cmp.Equal(got, []string{"N"}) {
			t.Errorf("SELECT of the sibling: %q; want that it stays revoked", got)
		}
		if err := p.as(p.canonical, second, "CALL twin_shop.of_revoked()"); numberOf(err) == 1370 {
			t.Errorf("the sibling may not call what its twin made: %v", err)
		}
	})
}

// TestLockedMeanwhile is an operator who shuts both out while the twin is given
// its password.
func TestLockedMeanwhile(t *testing.T) {
	eachPlain(t, func(t *testing.T, s *server) {
		p := s.pair(t, "shut_out")
		p.open()
		req := p.request()
		req.Password = dbdrivers.NewPassword(second)
		req.Admin = before(t, s.Admin, "ALTER USER", func() bool {
			p.with("ALTER USER %app ACCOUNT LOCK", "ALTER USER %twin ACCOUNT LOCK")
			return true
		})
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		check(t, verify(t, p.login(p.twin, second)), dbdrivers.ErrBarred, "locked", second)
	})
}

// TestDroppedMeanwhile: the server has changed the other rows.
func TestDroppedMeanwhile(t *testing.T) {
	eachPlain(t, func(t *testing.T, s *server) {
		p := s.pair(t, "dropped", "%", "192.0.2.1")
		as := before(t, s.Admin, "ALTER USER", func() bool {
			p.with("DROP USER dropped@192.0.2.1")
			return true
		})
		req := dbdrivers.SetPasswordRequest{As: as, Account: p.canonical, Password: dbdrivers.NewPassword(second)}
		check(t, set(t, req), dbdrivers.ErrBusy, "may have the new password already", second)
		req.As = s.Admin
		check(t, set(t, req), nil, "")
	})
}

// TestSecondPasswordIsToldFirst: nobody would come to tell it after a change
// whose answer is lost.
func TestSecondPasswordIsToldFirst(t *testing.T) {
	eachPlain(t, func(t *testing.T, s *server) {
		login := s.user(t, "told_first", "IDENTIFIED BY 'first-password-1A'")
		check(t, s.retain(t, "told_first", first, second), nil, "")
		var notes []string
		req := dbdrivers.SetPasswordRequest{
			Account: "told_first", Password: dbdrivers.NewPassword(third),
			Note: func(text string) { notes = append(notes, text) },
		}
		req.As = before(t, withPassword(login, second), "SET PASSWORD", func() bool {
			if len(notes) != 1 || !strings.Contains(notes[0], "still opens") {
				t.Errorf("notes before the change: %q; want that a second password still opens", notes)
			}
			return true
		})
		check(t, set(t, req), nil, "")
	})
}

// TestMarksThatHoldSomething: whoever may grant something on can grant it to the
// role that marks the twin.
func TestMarksThatHoldSomething(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		p := s.pair(t, "holding")
		p.with("GRANT SELECT ON twin_shop.* TO %app WITH GRANT OPTION")
		p.open()
		role := backquoted(p.column(t.Context(), "SELECT Role FROM mysql.roles_mapping WHERE User = ?", p.twin)[0])
		t.Cleanup(func() { s.clean(t, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+role) })

		// As a default role it is nothing that the two could differ in.
		if err := p.as(p.twin, twinPassword, "SET DEFAULT ROLE "+role); err != nil {
			t.Fatal(err)
		}
		report, err := openTwin(t, p.request())
		if diff := cmp.Diff(dbdrivers.TwinReport{}, report); diff != "" || err != nil {
			t.Errorf("with its mark as the default role: error %v, report (-want +got):\n%s", err, diff)
		}

		if err := p.as(p.canonical, siblingPassword, "GRANT SELECT ON twin_shop.* TO "+role); err != nil {
			t.Fatal(err)
		}
		p.with("REVOKE ALL PRIVILEGES, GRANT OPTION FROM %app")
		req := p.request()
		req.Password = dbdrivers.NewPassword(second)
		_, err = openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "is to hold nothing", second)
		p.wantTwin(twinPassword, true)
		p.drop(p.twin)
		_, err = openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "is to hold nothing", second)
		if len(p.holds(p.twin)["user"]) > 0 {
			t.Error("a twin was made whose mark holds something")
		}
		_, remedy, _ := strings.Cut(err.Error(), "run: ")
		p.with(remedy)
		p.open()
		if err := p.as(p.twin, twinPassword, "SET ROLE "+role, "SELECT * FROM twin_shop.orders"); numberOf(err) != 1142 {
			t.Errorf("error %v; want that the twin has what its sibling has, which is nothing", err)
		}
	})
}

// TestTwinOfAnotherPlugin is one whose password nobody can compare: it is no late
// request, and to try again would not help.
func TestTwinOfAnotherPlugin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "replugged")
		p.open()
		p.with("ALTER USER %twin IDENTIFIED VIA mysql_old_password USING '5d2e19393cc5ef67'")
		check(t, p.siblingsTurn(s.Admin, twinPassword, second), dbdrivers.ErrUnsupported, "mysql_old_password", second)
		s.wantOpen(t, p.login(p.canonical, siblingPassword), []string{siblingPassword}, second)
	})
}

// TestRolesOfTheirNames are none of the two.
func TestRolesOfTheirNames(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "named_alike")
		p.with("CREATE ROLE named_alike", "CREATE ROLE named_alike_clone")
		t.Cleanup(func() { s.clean(t, "DROP ROLE named_alike", "DROP ROLE named_alike_clone") })
		check(t, s.setByAdmin(t, p.canonical, siblingPassword), nil, "")
		p.make(p.twin, "%", clonePassword)
		req := p.request()
		req.Proven = true
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantTwin(twinPassword, true)
		check(t, p.siblingsTurn(s.Admin, twinPassword, second), nil, "")
		s.wantOpen(t, p.login(p.canonical, second), []string{second}, siblingPassword)
	})
}

// TestHostThatIsLockedForTheSibling is not left open for its twin.
func TestHostThatIsLockedForTheSibling(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "half_locked", "%", "192.0.2.1")
		p.open()
		p.with("ALTER USER half_locked@192.0.2.1 ACCOUNT LOCK")
		_, err := openTwin(t, p.request())
		check(t, err, dbdrivers.ErrUnsupported, "run: ALTER USER `half_locked_clone`@`192.0.2.1` ACCOUNT LOCK", twinPassword)
		_, remedy, _ := strings.Cut(err.Error(), "run: ")
		s.sayAll(t, s.Admin, remedy)
		if _, err := openTwin(t, p.request()); err != nil {
			t.Fatal(err)
		}
		locked := p.column(t.Context(), "SELECT Host FROM mysql.global_priv WHERE User = ? AND JSON_VALUE(Priv, '$.account_locked')", p.twin)
		if diff := cmp.Diff([]string{"192.0.2.1"}, locked); diff != "" {
			t.Errorf("locked rows of the twin (-want +got):\n%s", diff)
		}
	})
}

func TestOldestVersion(t *testing.T) {
	t.Parallel()
	for version, tooOld := range map[string]bool{
		"5.5.68-MariaDB": true, "10.4.34-MariaDB": true, "10.5.29-MariaDB-log": true,
		"10.6.0-MariaDB": false, "10.11.18-MariaDB-log": false, "11.4.2-MariaDB": false, "12.0.1-MariaDB": false,
	} {
		if got := mariadb.TooOld(version); got != tooOld {
			t.Errorf("%s is too old: %t; want %t", version, got, tooOld)
		}
	}
}
