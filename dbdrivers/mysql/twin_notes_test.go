package mysql_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// noted opens the twin and returns the notes.
func (p pair) noted() (notes []string) {
	p.t.Helper()
	req := p.request()
	req.Note = func(text string) { notes = append(notes, text) }
	if _, err := openTwin(p.t, req); err != nil {
		p.t.Fatal(err)
	}
	p.wantTwin(twinPassword, true)
	for _, note := range notes {
		for _, secret := range []string{twinPassword, siblingPassword, clonePassword, "$A$"} {
			if strings.Contains(note, secret) {
				p.t.Errorf("a note shows a password or a hash: %s", note)
			}
		}
	}
	return notes
}

// TestNotesOfWhatNobodyCanHave end with what they name as the remedy.
func TestNotesOfWhatNobodyCanHave(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.exec(t, "CREATE DATABASE twin_noted")
		s.exec(t, "CREATE ROLE twin_lapsed, `twin lapsed`, twin_lasting")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_noted", "DROP ROLE twin_lapsed, `twin lapsed`, twin_lasting") })
		for _, table := range []string{"shrunk", "gone"} {
			s.exec(t, "CREATE TABLE twin_noted."+table+" (id int, note text)")
		}
		p := s.pair(t, "noted")
		p.with(
			"GRANT SELECT (id, note), INSERT (note) ON twin_noted.shrunk TO %app", "GRANT SELECT (note), DELETE ON twin_noted.gone TO %app",
			"GRANT twin_lasting TO %app",
		)
		s.lapsed(t, p, "twin_lapsed", "`twin lapsed`")
		s.exec(t, "ALTER TABLE twin_noted.shrunk DROP COLUMN note")
		s.exec(t, "DROP TABLE twin_noted.gone")

		notes := p.noted()
		for _, about := range []string{
			"SELECT (`note`) on `twin_noted`.`shrunk`", "INSERT (`note`) on `twin_noted`.`shrunk`", "SELECT (`note`) on `twin_noted`.`gone`",
			"default role `twin_lapsed`@`%`", "default role `twin lapsed`@`%`",
		} {
			of := slices.DeleteFunc(slices.Clone(notes), func(note string) bool {
				return !strings.HasPrefix(note, about+" could not be given to `noted_clone`@`%`")
			})
			if len(of) != 1 {
				t.Errorf("%d notes of %s; want one of %q", len(of), about, notes)
			}
		}
		if len(notes) != 5 {
			t.Errorf("notes %q; want five", notes)
		}
		defaults := p.column(t.Context(), "SELECT default_role_user FROM mysql.default_roles WHERE user = ?", p.twin)
		if diff := cmp.Diff([]string{"twin_lasting"}, defaults); diff != "" {
			t.Errorf("default roles of the twin (-want +got):\n%s", diff)
		}
		if again := p.noted(); len(again) != 5 {
			t.Errorf("the second time: notes %q; want the same five", again)
		}
		for _, note := range notes {
			_, remedy, _ := strings.Cut(note, "as an admin run: ")
			p.with(remedy)
		}
		if notes := p.noted(); len(notes) > 0 {
			t.Errorf("after the remedies: notes %q", notes)
		}
		p.wantEqual()
		if diff := cmp.Diff(defaults, p.column(t.Context(), "SELECT default_role_user FROM mysql.default_roles WHERE user = ?", p.canonical)); diff != "" {
			t.Errorf("default roles of the sibling after the remedies (-want +got):\n%s", diff)
		}
	})
}

// TestANoteOfARoutineThatTheServerDoesNotKnow is of one that was dropped while the
// server did not take its rights along, and of one whose name MySQL 9.7 keeps in
// another character set in mysql.procs_priv, and so shows wrongly once it has read
// that table anew. Nobody can be granted a right on either.
func TestANoteOfARoutineThatTheServerDoesNotKnow(t *testing.T) {
	eachVersionSet(t, map[string]string{"automatic_sp_privileges": "OFF"}, func(t *testing.T, s *server) {
		s.exec(t, "CREATE DATABASE twin_lost")
		t.Cleanup(func() { s.clean(t, "DROP DATABASE twin_lost") })
		for _, routine := range []string{"dropped", "größe", "kept"} {
			s.exec(t, "CREATE PROCEDURE twin_lost."+backquoted(routine)+"() SELECT 1")
		}
		p := s.pair(t, "lost")
		p.with(
			"GRANT EXECUTE ON PROCEDURE twin_lost.dropped TO %app", "GRANT EXECUTE, ALTER ROUTINE ON PROCEDURE twin_lost.`größe` TO %app WITH GRANT OPTION",
			"GRANT EXECUTE ON PROCEDURE twin_lost.kept TO %app",
		)
		s.exec(t, "DROP PROCEDURE twin_lost.dropped")
		s.exec(t, "FLUSH PRIVILEGES")

		const about = "EXECUTE on PROCEDURE `twin_lost`.`dropped` could not be given to `lost_clone`@`%`, because the server knows no such routine"
		ofDropped := func(note string) bool { return strings.HasPrefix(note, about) }
		notes := p.noted()
		i := slices.IndexFunc(notes, ofDropped)
		if i < 0 {
			t.Fatalf("notes %q; want one of the routine that was dropped", notes)
		}
		for _, routine := range []string{"kept", "größe"} {
			call := "CALL twin_lost." + backquoted(routine) + "()"
			sibling, twin := s.may(t, p.login(p.canonical, siblingPassword), call), s.may(t, p.login(p.twin, twinPassword), call)
			if sibling != twin || !sibling && routine == "kept" {
				t.Errorf("%s: the sibling may: %t; the twin may: %t", call, sibling, twin)
			}
		}
		_, remedy, _ := strings.Cut(notes[i], "as an admin run: ")
		p.with(remedy)
		// MySQL 9.7 takes no statement on the name that it shows of the other one.
		if again := p.noted(); len(again) != len(notes)-1 || slices.ContainsFunc(again, ofDropped) {
			t.Errorf("after the remedy: notes %q; before it %q", again, notes)
		}
	})
}

// TestNoNoteOfARoleThatTheAdminCannotGrant: that is an error, and no reason to
// take the default role from its sibling.
func TestNoNoteOfARoleThatTheAdminCannotGrant(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		s.shop(t)
		for _, option := range []string{"", " WITH ADMIN OPTION"} {
			p := s.pair(t, "ungranted")
			p.with("GRANT twin_read TO %app"+option, "SET DEFAULT ROLE twin_read TO %app")
			var notes []string
			req := p.request()
			req.Note = func(text string) { notes = append(notes, text) }
			req.Admin = s.userAt(t, "roleless"+option, "%", first, "IDENTIFIED BY ?", first)
			s.exec(t, "GRANT CREATE USER ON *.* TO ?@'%'", req.Admin.Username)
			s.exec(t, "GRANT SELECT ON mysql.* TO ?@'%'", req.Admin.Username)
			// It may mark a twin, and grant no other role.
			for _, state := range []string{"made", "equal"} {
				s.mark(t, req.Admin.Username, state, p.canonical, "WITH ADMIN OPTION")
			}
			_, err := openTwin(t, req)
			check(t, err, dbdrivers.ErrPrivilege, "role `twin_read`@`%`", first, twinPassword)
			if len(notes) > 0 {
				t.Errorf("notes %q; want none", notes)
			}
			p.drop(p.canonical, p.twin)
		}
	})
}

// lapsed leaves default roles of the account that it is not granted any more:
// they were everybody's when they were made its default ones.
func (s *server) lapsed(t *testing.T, p pair, roles ...string) {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	s.exec(t, "SET GLOBAL mandatory_roles = ?", strings.Join(roles, ","))
	p.with("SET DEFAULT ROLE " + strings.Join(roles, ", ") + ", twin_lasting TO %app")
	s.exec(t, "SET GLOBAL mandatory_roles = ''")
}

// TestNoteOfALockedTwin tells of a lock that somebody else has set, and of none
// that a rotation left when it was cut off.
func TestNoteOfALockedTwin(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "shut")
		// It is made, and not equal yet.
		p.with("GRANT FILE ON *.* TO %app")
		if _, err := openTwin(t, p.request()); err == nil {
			t.Fatal("the twin was opened without FILE")
		}
		p.with("REVOKE FILE ON *.* FROM %app")
		if notes := p.noted(); len(notes) > 0 {
			t.Errorf("a twin that this rotation made: notes %q", notes)
		}
		if notes := p.noted(); len(notes) > 0 {
			t.Errorf("an open twin: notes %q", notes)
		}
		p.with("ALTER USER %twin ACCOUNT LOCK")
		if notes := p.noted(); len(notes) != 1 || !strings.HasPrefix(notes[0], "`shut_clone`@`%` was locked, and not by a rotation") {
			t.Errorf("a twin that somebody locked: notes %q; want one that says so", notes)
		}
		// One that is taken over was locked by somebody too.
		p.unmark(p.twin)
		p.with("ALTER USER %twin ACCOUNT LOCK")
		req := p.request()
		var notes []string
		req.Proven, req.Note = true, func(text string) { notes = append(notes, text) }
		if _, err := openTwin(t, req); err != nil || !contains(notes, "was locked") {
			t.Errorf("a locked twin that is taken over: notes %q, error %v", notes, err)
		}
	})
}

// TestNoteOfALockThatFollowedItsSibling: a row that was made closed, because its
// sibling's was, opens with it and without a word.
func TestNoteOfALockThatFollowedItsSibling(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "followed", "%", "10.%")
		p.with("ALTER USER `followed`@`10.%` ACCOUNT LOCK")
		for _, unlock := range []string{"", "ALTER USER `followed`@`10.%` ACCOUNT UNLOCK"} {
			if unlock != "" {
				p.with(unlock)
			}
			if notes := p.noted(); len(notes) > 0 {
				t.Errorf("%s: notes %q", unlock, notes)
			}
		}
	})
}

// TestNoteOfASecondPassword tells that one was discarded, whether the server was
// told to or drops it by itself with the plugin.
func TestNoteOfASecondPassword(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		for name, change := range map[string]string{
			"the same plugin": "ALTER USER %twin IDENTIFIED BY 'newer' RETAIN CURRENT PASSWORD",
			"another plugin":  "ALTER USER %twin IDENTIFIED WITH sha256_password BY 'older'",
		} {
			t.Run(name, func(t *testing.T) {
				p := s.pair(t, "second_noted")
				if notes := p.noted(); len(notes) > 0 {
					t.Errorf("notes %q before there is a second one", notes)
				}
				p.with(change, "ALTER USER %twin IDENTIFIED BY 'newest' RETAIN CURRENT PASSWORD")
				notes := p.noted()
				if len(notes) != 1 || !strings.HasPrefix(notes[0], "a second, older password of `second_noted_clone`@`%` was discarded") {
					t.Errorf("notes %q; want one that tells of the second password", notes)
				}
				for _, older := range []string{"newer", "newest", "older"} {
					p.wantTwin(older, false)
				}
			})
		}
	})
}
