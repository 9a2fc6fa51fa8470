package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TestTwinIsItsSibling opens a twin of accounts of many kinds and compares the
// sessions of both; then once more, after the kind has gone.
func TestTwinIsItsSibling(t *testing.T) {
	tests := []struct {
		name string
		// arrange and undo have the account as %app.
		arrange, undo []string
		others        []string
	}{
		{name: "a plain account"},
		{
			name:    "settings",
			arrange: []string{`ALTER ROLE %app SET search_path = "Foo Bar", "$user", 'x,y', public, "dou""ble"`, `ALTER ROLE %app SET work_mem = '9MB'`, `ALTER ROLE %app SET application_name = 'it''s "a" \ name=x, y'`, `ALTER ROLE %app SET datestyle = 'SQL, DMY'`, `ALTER ROLE %app SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE`},
			undo:    []string{"ALTER ROLE %app RESET ALL"},
		},
		{
			name: "an empty search_path", arrange: []string{"ALTER ROLE %app SET search_path = ''"}, undo: []string{"ALTER ROLE %app SET search_path = a, b"},
		},
		{
			name:    "a search_path as somebody wrote it in a session",
			arrange: []string{`SET search_path = public; SELECT set_config('search_path', '` + writtenByHand + `', false); ALTER ROLE %app SET search_path FROM CURRENT`},
		},
		{
			name:    "settings of one database",
			arrange: []string{"ALTER ROLE %app IN DATABASE postgres SET work_mem = '7MB'", "ALTER ROLE %app SET work_mem = '5MB'"},
			undo:    []string{"ALTER ROLE %app IN DATABASE postgres RESET ALL"},
		},
		{
			name:    "limits",
			arrange: []string{"ALTER ROLE %app CONNECTION LIMIT 4 VALID UNTIL '2071-01-02 03:04:05+06'"},
			undo:    []string{"ALTER ROLE %app CONNECTION LIMIT -1 VALID UNTIL 'infinity'"},
		},
		{name: "an account that inherits nothing", arrange: []string{"ALTER ROLE %app NOINHERIT"}},
		{name: "an account that creates databases", arrange: []string{"ALTER ROLE %app CREATEDB"}},
		{name: "an account that creates roles", arrange: []string{"ALTER ROLE %app CREATEROLE"}},
		{name: "an account that sees all rows", arrange: []string{"ALTER ROLE %app BYPASSRLS"}},
		{
			name: "an account that acts as another", others: []string{"acted_as"},
			arrange: []string{"CREATE ROLE acted_as", "GRANT acted_as TO %app", "ALTER ROLE %app SET role = 'acted_as'"},
			undo:    []string{"ALTER ROLE %app RESET role"},
		},
		{
			name: "an account that acts as another in one database", others: []string{"acted_as"},
			arrange: []string{"CREATE ROLE acted_as", "GRANT acted_as TO %app", "ALTER ROLE %app IN DATABASE postgres SET role = 'acted_as'"},
			undo:    []string{"ALTER ROLE %app IN DATABASE postgres RESET role"},
		},
		{
			name: "a setting of none for the role", arrange: []string{"ALTER ROLE %app SET role = 'none'"},
		},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				p := s.pair(t, "Twinned App", test.others...)
				with := func(statements []string) {
					for _, sql := range statements {
						s.exec(t, strings.ReplaceAll(sql, "%app", quoted(p.canonical)))
					}
				}
				with(test.arrange)
				before := p.dump(p.canonical)
				if report := p.open(); !report.Created || report.TakenOver || len(report.Kept) > 0 {
					t.Errorf("report of the first time: %+v", report)
				}
				report, err := openTwin(t, p.request())
				if err != nil || report.Created || len(report.Added)+len(report.Removed) > 0 {
					t.Errorf("the second time something was left to do: %+v, %v", report, err)
				}
				if after := p.dump(p.canonical); !sameButMembers(before, after) {
					t.Errorf("the canonical account was changed from %s to %s", before, after)
				}
				with(test.undo)
				p.open()
			})
		}
	})
}

// sameButMembers: that the twin is a member is kept with both roles.
func sameButMembers(before, after string) bool {
	parts := func(dump string) []string {
		return slices.DeleteFunc(strings.Split(dump, " / "), func(part string) bool { return strings.Contains(part, "roleid") })
	}
	return slices.Equal(parts(before), parts(after))
}

func TestTablesOfEitherAreUsableByBoth(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "table_maker")
		s.exec(t, "CREATE SCHEMA makers", "CREATE TABLE makers.later (n int)", "GRANT ALL ON SCHEMA makers TO table_maker")
		t.Cleanup(func() { s.clean(t, "DROP SCHEMA makers CASCADE") })
		p.open()
		p.mustAs(p.canonical, siblingPassword, "CREATE TABLE makers.by_sibling (n int)")
		p.mustAs(p.name, twinPassword, "CREATE TABLE makers.by_twin (n int)", "ALTER TABLE makers.by_sibling ADD m int", "DROP TABLE makers.by_sibling")
		p.mustAs(p.canonical, siblingPassword, "INSERT INTO makers.by_twin VALUES (1)", "DROP TABLE makers.by_twin")

		const later = "SELECT FROM makers.later"
		if err := p.as(p.name, twinPassword, later); !denied(err) {
			t.Errorf("before the grant: %v", err)
		}
		s.exec(t, "GRANT SELECT ON makers.later TO table_maker")
		p.mustAs(p.name, twinPassword, later)
		s.exec(t, "REVOKE SELECT ON makers.later FROM table_maker")
		if err := p.as(p.name, twinPassword, later); !denied(err) {
			t.Errorf("after it was revoked: %v", err)
		}
	})
}

func denied(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == "42501"
}

// TestTwinThatDrifted is a twin that somebody has changed since.
func TestTwinThatDrifted(t *testing.T) {
	tests := []struct {
		name, sql, removed string
		// gone: nothing is listed, because it is the sibling's that came back.
		gone bool
	}{
		{name: "a membership", sql: "GRANT drift_group TO %twin", removed: `membership of "drift_group"`},
		{name: "a membership that it may pass on", sql: "GRANT drift_group TO %twin WITH ADMIN OPTION", removed: `membership of "drift_group"`},
		{name: "the right to pass its sibling on", sql: "GRANT %app TO %twin WITH ADMIN OPTION", removed: `ADMIN OPTION on "drifter"`},
		{name: "a setting", sql: "ALTER ROLE %twin SET work_mem = '3MB'", removed: "setting work_mem"},
		{name: "a setting of a database", sql: "ALTER ROLE %twin IN DATABASE postgres SET work_mem = '3MB'", removed: `setting work_mem in database "postgres"`},
		{name: "attributes", sql: "ALTER ROLE %twin CREATEROLE", removed: "attribute CREATEROLE"},
		{name: "its sibling was revoked", sql: "REVOKE %app FROM %twin GRANTED BY radmin", gone: true},
		{name: "its role was reset", sql: "ALTER ROLE %twin RESET role", gone: true},
		{name: "it no longer inherits", sql: "ALTER ROLE %twin NOINHERIT", gone: true},
		{name: "it was closed", sql: "ALTER ROLE %twin NOLOGIN", gone: true},
		{name: "its password is past", sql: "ALTER ROLE %twin VALID UNTIL '2001-01-01'", gone: true},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				p := s.pair(t, "drifter", "drift_group")
				s.asAdmin(t, "CREATE ROLE drift_group")
				p.open()
				sql := strings.NewReplacer("%twin", quoted(p.name), "%app", quoted(p.canonical)).Replace(test.sql)
				if strings.HasPrefix(sql, "GRANT") {
					s.asAdmin(t, sql)
				} else {
					s.exec(t, sql)
				}
				report := p.open()
				if !test.gone && !slices.Contains(report.Removed, test.removed) {
					t.Errorf("removed %q; want %q among them", report.Removed, test.removed)
				}
				report, err := openTwin(t, p.request())
				if err != nil || len(report.Removed)+len(report.Added) > 0 {
					t.Errorf("something was left to do: %+v, %v", report, err)
				}
			})
		}
	})
}

// asAdmin runs a statement by the admin, whose grants are its own.
func (s *server) asAdmin(t *testing.T, sql string) {
	t.Helper()
	s.exec(t, "SET ROLE radmin; "+sql)
}

// TestTwinThatOwns is a twin, once equal, that has put its role off to make a
// table. Nothing opens until that is handed over, by what the error says.
func TestTwinThatOwns(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "owning")
		p.open()
		s.exec(t, "CREATE SCHEMA owned AUTHORIZATION "+quoted(p.name))
		req := p.request()
		req.Password = dbdrivers.NewPassword("another-password")
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "schema owned", "another-password")
		if s.opens(t, p.name, "another-password") || !s.opens(t, p.name, twinPassword) {
			t.Error("the password was changed")
		}
		_, remedy, _ := strings.Cut(err.Error(), "run: ")
		for sql := range strings.SplitSeq(remedy, "; ") {
			s.exec(t, sql)
		}
		p.open()
	})
}

func TestOwnerRole(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "owned_app", "the owner")
		req := p.request()
		req.OwnerRole = "the owner"
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "does not exist", twinPassword)
		s.asAdmin(t, `CREATE ROLE "the owner"`)
		_, err = openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, `GRANT "the owner" TO "owned_app"`, twinPassword)
		s.asAdmin(t, `GRANT "the owner" TO owned_app`)
		_, err = openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "not as the owner role", twinPassword)
		if p.exists(p.name) {
			t.Fatal("a twin was made before the owner role was sound")
		}
		s.asAdmin(t, `ALTER ROLE owned_app SET role = 'the owner'`)
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantEqual()
		if err := verify(t, p.Login(p.name, twinPassword)); err != nil {
			t.Error(err)
		}
		// The twin reaches the owner role and not its sibling.
		if err := p.as(p.name, twinPassword, "SET ROLE owned_app"); !denied(err) {
			t.Errorf("the twin may become its sibling: %v", err)
		}
	})
}

func TestHostileTwins(t *testing.T) {
	names := []string{
		`x"; DROP ROLE postgres; --`, `o'reilly''`, `back\slash\`, "100%s $1 $$", "new\nline", "Bjørn-用户", "select", strings.Repeat("n", 57),
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, name := range names {
			p := s.pair(t, name)
			s.exec(t, "ALTER ROLE "+quoted(name)+" SET application_name = E'it\\'s; DROP ROLE postgres\\\\; --'")
			p.t = t
			p.open()
			p.open()
		}
		long := s.pair(t, strings.Repeat("m", 58))
		_, err := openTwin(t, long.request())
		check(t, err, dbdrivers.ErrUnsupported, "63 bytes", twinPassword)
	})
}

// TestForgedMarks are comments that name another account, or ours in part.
func TestForgedMarks(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "marked")
		s.user(t, p.name, "its own password")
		for _, comment := range []string{
			"twin of \"mark\", kept equal by dbrotation", "twin of marked, kept equal by dbrotation", "not a twin of \"marked\", kept equal by dbrotation",
			"made by hand\ntwin of \"another\", kept equal by dbrotation",
			"twin of \"x\ntwin of \"\"marked\", kept equal by dbrotation", "twin of \"marked\", kept equal by dbrotation ",
		} {
			s.exec(t, "COMMENT ON ROLE "+quoted(p.name)+" IS '"+comment+"'")
			before := p.dump(p.name)
			_, err := openTwin(t, p.request())
			check(t, err, dbdrivers.ErrUnsupported, "nothing proves", twinPassword)
			if !errors.Is(err, dbdrivers.ErrTwinUnproven) {
				t.Errorf("%q: error %v", comment, err)
			}
			if after := p.dump(p.name); before != after {
				t.Errorf("the account was changed from %s to %s", before, after)
			}
		}
		// What the error names is proof, and takes nothing of it away.
		_, err := openTwin(t, p.request())
		_, remedy, _ := strings.Cut(err.Error(), "to the server: ")
		s.asAdmin(t, remedy)
		report, err := openTwin(t, p.request())
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Kept) == 0 {
			t.Error("the account's own right to connect is not reported")
		}
	})
}

// TestTwinMadeByHand runs what the error names where accounts are not to be
// created.
func TestTwinMadeByHand(t *testing.T) {
	eachVersion(t, func(t *testing.T, s *server) {
		p := s.pair(t, "by'hand")
		req := p.request()
		req.MayCreate = false
		_, err := openTwin(t, req)
		check(t, err, dbdrivers.ErrUnsupported, "as the admin run: ", twinPassword)
		_, remedy, _ := strings.Cut(err.Error(), "as the admin run: ")
		s.asAdmin(t, remedy)
		if _, err := openTwin(t, req); err != nil {
			t.Fatal(err)
		}
		p.wantEqual()
	})
}

func TestWhatHasNoTwin(t *testing.T) {
	tests := []struct {
		name, says string
		arrange    []string
		change     func(*dbdrivers.OpenTwinRequest)
		want       error
	}{
		{name: "a superuser", says: "superuser", arrange: []string{"ALTER ROLE lonely SUPERUSER"}},
		{name: "a twin", says: "marked as another account's twin", arrange: []string{`COMMENT ON ROLE lonely IS E'made by hand\ntwin of "other", kept equal by dbrotation'`}},
		{name: "a member of a superuser", says: "may become a superuser", arrange: []string{"GRANT postgres TO lonely"}},
		{name: "an account for replication", says: "REPLICATION", arrange: []string{"ALTER ROLE lonely REPLICATION"}},
		{name: "a member of rds_superuser", says: "rds_superuser", arrange: []string{"GRANT rds_superuser TO lonely"}},
		{name: "a closed account", says: "may not sign in", arrange: []string{"ALTER ROLE lonely NOLOGIN"}},
		{name: "the admin", says: "the admin itself", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = r.Admin.Username }},
		{name: "the admin as the twin", says: "the admin itself", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = r.Admin.Username }},
		{name: "itself", says: "one of its own", change: func(r *dbdrivers.OpenTwinRequest) { r.Twin = r.Canonical }},
		{name: "a role of the server", says: "reserved", change: func(r *dbdrivers.OpenTwinRequest) { r.OwnerRole = "pg_read_all_data" }},
		{name: "nobody", says: "does not exist", change: func(r *dbdrivers.OpenTwinRequest) { r.Canonical = "lonely_nobody" }},
		{name: "not to be created", says: "CREATE ROLE", change: func(r *dbdrivers.OpenTwinRequest) { r.MayCreate = false }},
		{name: "an unknown hash", says: "rot13", change: func(r *dbdrivers.OpenTwinRequest) { r.Hash = "rot13" }},
		{name: "an empty password", says: "empty", want: dbdrivers.ErrPasswordRules, change: func(r *dbdrivers.OpenTwinRequest) { r.Password = dbdrivers.NewPassword("") }},
	}
	eachVersion(t, func(t *testing.T, s *server) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				p := s.pair(t, "lonely")
				s.exec(t, test.arrange...)
				req := p.request()
				if test.change != nil {
					test.change(&req)
				}
				if test.want == nil {
					test.want = dbdrivers.ErrUnsupported
				}
				_, err := openTwin(t, req)
				check(t, err, test.want, test.says, twinPassword, p.Admin.Password.Reveal())
				if p.exists(p.name) {
					t.Error("a twin was made")
				}
			})
		}
	})
}
