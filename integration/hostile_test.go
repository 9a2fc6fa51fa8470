package integration_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/localaws"
)

// strategyOfSecret is a way to rotate one account's secret.
type strategyOfSecret struct {
	name        string
	alternating bool
	// secret turns an application's document into one of the strategy.
	secret func(s *stage, document map[string]any)
}

var strategies = []strategyOfSecret{
	{name: "single by itself", secret: func(*stage, map[string]any) {}},
	{name: "single by an admin", secret: func(s *stage, document map[string]any) { s.adminSecret(document) }},
	{name: "alternating", alternating: true, secret: func(s *stage, document map[string]any) {
		s.adminSecret(document)
		delete(document, "dbrotation")
	}},
}

// hostileTexts are names that somebody has, or would try. § becomes a number,
// so that each name is its own.
var hostileTexts = []struct {
	name, text string
	// prepared: as a password SASLprep changes it, and the clients of the tests
	// and of applications differ. TestHostilePasswords has these.
	prepared bool
}{
	{name: "quotes", text: `o'reilly''"x"""§`},
	{name: "backslashes", text: `\§\\'\`},
	{name: "an injected statement", text: `x§"; DROP ROLE bystander; --`},
	{name: "an injected statement in a literal", text: `x§'; DROP ROLE bystander; --`},
	{name: "an injected password", text: `x§" PASSWORD 'injected' --`},
	{name: "dollar quotes", text: `$$§$1$tag$`},
	{name: "formats", text: `%s%d%%§{}{0}${HOME}#{x}`},
	{name: "percent escapes", text: `a%20b%27%00§`},
	{name: "a newline", text: "line§\nDROP ROLE bystander;\n"},
	{name: "tabs and a carriage return", text: "\ttab§\r\t"},
	{name: "other control characters", text: "\x01\x1b[31m§\x7f", prepared: true},
	{name: "blanks around it", text: `  §  `},
	{name: "upper case", text: `UPPER§Case`},
	{name: "only looks like another in upper case", text: `BYSTANDER§`},
	{name: "letters with marks of their own", text: "e\u0301a\u0308§", prepared: true},
	{name: "right to left", text: "\u202eمستخدم§\u200f", prepared: true},
	{name: "emoji", text: "🐘§👩‍👩‍👧"},
	{name: "an unusual blank", text: "a\u00a0b\u2003c\ufeff§", prepared: true},
	{name: "for JSON", text: `{"password":"x§"},\u0022\n`},
	{name: "for URLs", text: `a:b@c/d?e=f&g#h;§+[x]`},
	{name: "for connection strings", text: `x§ host=other user='postgres' \' sslmode=disable`},
	{name: "a comment", text: `/* § */ -- //`},
	{name: "a glob and a regular expression", text: `.*[§]+(x|y)?^$_%`},
}

// TestHostileTexts has the same text as username, as database, in settings and
// in the current password, by every strategy. The account's rotation goes
// through, and nobody else's account or database is touched.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := newHostileHouse(t, version)
			for _, text := range hostileTexts {
				database := strings.ReplaceAll(text.text, "§", "d")
				h.exec("CREATE DATABASE " + quotedName(database))
				for _, strategy := range strategies {
					t.Run(text.name+" "+strategy.name, func(t *testing.T) {
						defer h.of(t)()
						unique := strings.ReplaceAll(text.text, "§", fmt.Sprint(accounts.Add(1)))
						password := text.text + rand.Text() + text.text
						if text.prepared {
							password = rand.Text()
						}
						h.rotates(strategy, hostileAccount{username: unique, database: database, setting: unique, password: password})
					})
				}
			}
			// Keywords, one for each strategy: nothing may be added to one.
			for i, keyword := range []string{"select", "user", "all"} {
				t.Run("the keyword "+keyword+" "+strategies[i].name, func(t *testing.T) {
					defer h.of(t)()
					h.exec("CREATE DATABASE " + quotedName(keyword))
					h.rotates(strategies[i], hostileAccount{username: keyword, database: keyword, setting: keyword, password: keyword + rand.Text()})
				})
			}
			h.everyCharacterWasUsed()
			log, _ := h.serverLog(0)
			if !strings.Contains(log, "ALTER ROLE") {
				t.Error("the server's log does not hold the statements, so nothing can be searched in it")
			}
			h.noPasswordIn("the server's log", log)
		})
	}
}

// hostileHouse is a server of its own with bystanders on it.
type hostileHouse struct {
	*stage
	// generated are the characters that new passwords have had.
	generated map[rune]bool
}

func newHostileHouse(t *testing.T, version string) *hostileHouse {
	t.Helper()
	server := startPostgres(t, dbservers.PostgresOptions{Version: version})
	h := &hostileHouse{generated: map[rune]bool{}, stage: newStage(t, stageOptions{
		server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true", "EXCLUDE_CHARACTERS": ""},
	})}
	h.planted.add("planted-bystander")
	for _, bystander := range []string{"bystander", "BYSTANDER", "bystander_clone", "uppercase", "x", "injected"} {
		if err := server.CreateUser(t.Context(), bystander, "planted-bystander"); err != nil {
			t.Fatal(err)
		}
	}
	h.exec("CREATE DATABASE bystander", "ALTER ROLE bystander SET work_mem = '3MB'", "COMMENT ON ROLE bystander IS 'of somebody else'")
	return h
}

// of lets a subtest use the house.
func (h *hostileHouse) of(t *testing.T) (leave func()) {
	before := h.t
	h.t = t
	return func() { h.t = before }
}

type hostileAccount struct{ username, database, setting, password string }

// rotates makes an account and rotates it, either of a pair once.
func (h *hostileHouse) rotates(strategy strategyOfSecret, account hostileAccount) {
	h.t.Helper()
	t := h.t
	h.planted.add(account.password)
	if err := h.server.CreateUser(t.Context(), account.username, account.password); err != nil {
		t.Fatal(err)
	}
	literal := "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(account.setting) + "'"
	h.exec("ALTER ROLE "+quotedName(account.username)+" SET search_path = public, "+literal,
		"ALTER ROLE "+quotedName(account.username)+" IN DATABASE "+quotedName(account.database)+" SET application_name = "+literal)
	document := h.document(account.username, account.password)
	document["dbname"], document["note"] = account.database, account.setting
	strategy.secret(h.stage, document)
	arn := h.secret(document)
	others := h.othersThan(account.username, account.username+"_clone")
	said := len(h.aws.FunctionLog(function))

	settings := ""
	turns := 1
	if strategy.alternating {
		turns = 2
	}
	for turn := range turns {
		if err := h.rotate(arn); err != nil {
			t.Fatalf("turn %d: %v\n%s", turn, err, h.logSince(function, said))
		}
		h.opensDatabase(arn, "AWSCURRENT", account.database)
		if strategy.alternating {
			h.opensDatabase(arn, "AWSPREVIOUS", account.database)
		} else if username, password := h.credential(arn, "AWSPREVIOUS"); h.accepts(username, password) {
			t.Error("the password before still opens the database")
		}
		h.remember(h.password(arn, "AWSCURRENT"))
		if has := h.settingsIn(arn, account.database); settings != "" && has != settings {
			t.Errorf("turn %d: the account signs in with the settings %q, and its sibling with %q", turn, has, settings)
		} else {
			settings = has
		}
	}
	if diff := cmp.Diff(others, h.othersThan(account.username, account.username+"_clone")); diff != "" {
		t.Errorf("another account or database was touched:\n%s", diff)
	}
	if !h.accepts("bystander", "planted-bystander") {
		t.Error("the bystander's password changed")
	}
}

// remember collects the characters of a generated password.
func (h *hostileHouse) remember(password string) {
	for _, r := range password {
		h.generated[r] = true
	}
}

// everyCharacterWasUsed: with nothing excluded, passwords were made of all
// printable ASCII, and all of them worked.
func (h *hostileHouse) everyCharacterWasUsed() {
	h.t.Helper()
	var missing []string
	for r := '!'; r <= '~'; r++ {
		if !h.generated[r] {
			missing = append(missing, string(r))
		}
	}
	if len(missing) > 0 {
		h.t.Errorf("no generated password has had %q", missing)
	}
}

// opensDatabase proves that a labelled credential opens the very database of
// the secret.
func (h *hostileHouse) opensDatabase(arn, label, database string) {
	h.t.Helper()
	conn := h.into(arn, label, database)
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var in, who string
	if err := conn.QueryRow(h.t.Context(), "SELECT current_database(), session_user").Scan(&in, &who); err != nil {
		h.t.Error(err)
	}
	if username, _ := h.credential(arn, label); in != database || who != username {
		h.t.Errorf("%s opens the database %q as %q, want %q as %q", label, in, who, database, username)
	}
}

func (h *hostileHouse) into(arn, label, database string) *pgx.Conn {
	h.t.Helper()
	login := h.server.Login(h.credential(arn, label))
	login.Database = database
	conn, err := dbservers.Connect(h.t.Context(), login)
	if err != nil {
		h.t.Errorf("%s does not open the database: %v", label, err)
		return nil
	}
	return conn
}

// settingsIn are the settings that AWSCURRENT signs in with.
func (h *hostileHouse) settingsIn(arn, database string) (settings string) {
	h.t.Helper()
	conn := h.into(arn, "AWSCURRENT", database)
	if conn == nil {
		return ""
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(h.t.Context(), "SELECT current_setting('search_path') || ' / ' || current_setting('application_name')").Scan(&settings); err != nil {
		h.t.Error(err)
	}
	if !strings.HasPrefix(settings, "public, ") {
		h.t.Errorf("the scene is not set: the settings are %q", settings)
	}
	return settings
}

// othersThan is all that the server knows of roles and databases, but for an
// account and its twin.
func (h *hostileHouse) othersThan(account, twin string) (dump []string) {
	h.t.Helper()
	conn, err := h.server.ConnectSuperuser(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	const everybody = `WITH mine AS (SELECT oid FROM pg_authid WHERE rolname IN ($1, $2)), others AS (SELECT * FROM pg_authid WHERE oid NOT IN (SELECT oid FROM mine))
		SELECT 'role ' || o::text AS line FROM others o
		UNION ALL SELECT 'member ' || m::text FROM pg_auth_members m WHERE m.roleid NOT IN (SELECT oid FROM mine) AND m.member NOT IN (SELECT oid FROM mine)
		UNION ALL SELECT 'setting ' || s::text FROM pg_db_role_setting s WHERE s.setrole NOT IN (SELECT oid FROM mine)
		UNION ALL SELECT 'comment ' || d::text FROM pg_shdescription d WHERE d.objoid NOT IN (SELECT oid FROM mine)
		UNION ALL SELECT 'database ' || datname || ' ' || datdba || coalesce(datacl::text, '') FROM pg_database
		UNION ALL SELECT 'depends ' || d::text FROM pg_shdepend d WHERE d.refobjid NOT IN (SELECT oid FROM mine) AND d.classid <> 'pg_auth_members'::regclass
		ORDER BY line`
	rows, err := conn.Query(h.t.Context(), everybody, account, twin)
	if err != nil {
		h.t.Fatal(err)
	}
	if dump, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		h.t.Fatal(err)
	}
	return dump
}

// TestHostilePasswords has current passwords that people and old generators
// make. Those that RFC 4013 changes before they are hashed are among them:
// clients differ in that, so this driver signs in for the test.
func TestHostilePasswords(t *testing.T) {
	t.Parallel()
	passwords := []struct {
		name, text string
		prepared   bool // by SASLprep, to another text
	}{
		{name: "one character", text: "x"},
		{name: "blanks around it", text: "  §  "},
		{name: "all printable ASCII", text: "§" + printable()},
		{name: "the form of a verifier", text: "SCRAM-SHA-256$4096:notbase64§"},
		{name: "the form of an md5 verifier", text: "md5§"},
		{name: "a thousand characters", text: "§" + strings.Repeat("long'\"\\", 140)},
		{name: "unusual blanks", text: "a\u00a0b\u2003c§", prepared: true},
		{name: "a ligature", text: "ﬁnance§", prepared: true},
		{name: "a soft hyphen", text: "soft\u00adhyphen§", prepared: true},
		{name: "letters with marks of their own", text: "e\u0301a\u0308§", prepared: true},
		{name: "emoji", text: "🐘§"},
		{name: "control characters, which SASLprep refuses", text: "bell\x07§", prepared: true},
		{name: "right to left", text: "سر§"},
	}
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
			s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true", "EXCLUDE_CHARACTERS": ""}})
			_, mark := s.serverLog(0)
			for _, password := range passwords {
				for _, strategy := range strategies {
					name := password.name + " " + strategy.name
					username := fmt.Sprintf("hostile_%d", accounts.Add(1))
					text := strings.ReplaceAll(password.text, "§", rand.Text())
					if utf8.RuneCountInString(text) > 1 {
						s.planted.add(text)
					}
					if err := server.CreateUser(t.Context(), username, text); err != nil {
						t.Fatal(err)
					}
					document := s.document(username, text)
					strategy.secret(s, document)
					arn := s.secretText(withoutEscapes(t, document))
					said := len(s.aws.FunctionLog(function))
					if err := s.rotate(arn); err != nil {
						t.Errorf("%s: %v\n%s", name, err, s.logSince(function, said))
						continue
					}
					if !s.opens(arn, "AWSCURRENT") {
						t.Errorf("%s: AWSCURRENT does not open the database", name)
					}
					err := postgres.New().Verify(t.Context(), dbdrivers.VerifyRequest{Login: server.Login(username, text)})
					if strategy.alternating != (err == nil) || err != nil && !errors.Is(err, dbdrivers.ErrRefused) {
						t.Errorf("%s: signing in with the password before: %v", name, err)
					}
					if !password.prepared && s.accepts(username, text) != strategy.alternating {
						t.Errorf("%s: the test's client and the driver differ on the password before", name)
					}
				}
			}
			log, _ := s.serverLog(mark)
			s.noPasswordIn("the server's log", log)
		})
	}
}

// withoutEscapes writes a document as jq and Python's ensure_ascii=False do.
func withoutEscapes(t *testing.T, document map[string]any) string {
	t.Helper()
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func printable() string {
	var all strings.Builder
	for r := ' '; r <= '~'; r++ {
		all.WriteRune(r)
	}
	return all.String()
}

// TestNamesAtTheLimit: a name of 63 bytes is the longest that the server keeps,
// and cuts a longer one off, to another account's name. A twin's name counts.
func TestNamesAtTheLimit(t *testing.T) {
	t.Parallel()
	const limit = 63
	for _, version := range dbservers.TestedPostgresVersions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			server := sharedPostgres(t, dbservers.PostgresOptions{Version: version, Plaintext: true})
			s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
			for _, strategy := range strategies {
				longest := limit
				if strategy.alternating {
					longest -= len("_clone")
				}
				for _, row := range []struct {
					name, filling string
					length        int
					refused       bool
				}{
					{"of ASCII at the limit", "n", longest, false},
					{"of ASCII beyond it", "n", longest + 1, true},
					{"of two bytes each at the limit", "é", longest, false},
					{"of two bytes each beyond it", "é", longest + 2, true},
					{"of four bytes each at the limit", "🐘", longest, false},
				} {
					t.Run(strategy.name+" "+row.name, func(t *testing.T) {
						defer func(t *testing.T) { s.t = t }(s.t)
						s.t = t
						said := len(s.aws.FunctionLog(function))
						username := fmt.Sprintf("l%d_", accounts.Add(1))
						for len(username)+len(row.filling) <= row.length {
							username += row.filling
						}
						for len(username) < row.length {
							username += "_"
						}
						password := "planted-" + rand.Text()
						s.planted.add(password)
						// The server itself shortens the name where it must, and
						// that account is then the victim.
						if err := server.CreateUser(t.Context(), username, password); err != nil {
							t.Fatal(err)
						}
						document := s.document(username, password)
						strategy.secret(s, document)
						arn := s.secret(document)
						shortened := strings.ToValidUTF8(username[:min(len(username), limit)], "")
						before := s.roleDump(shortened)
						if before == "" {
							t.Fatalf("there is no account %q", shortened)
						}
						err := s.rotate(arn)
						if !row.refused {
							if err != nil {
								t.Fatalf("%v\n%s", err, s.logSince(function, said))
							}
							if !s.opens(arn, "AWSCURRENT") || strategy.alternating && !s.opens(arn, "AWSPREVIOUS") {
								t.Error("a credential does not open the database")
							}
							return
						}
						var failed *localaws.RotationError
						if !errors.As(err, &failed) || failed.Step != "createSecret" {
							t.Errorf("the rotation ended with %v, want a failure in createSecret", err)
						}
						log := s.logSince(function, said)
						for _, part := range []string{`"class":"invalid-secret"`, "bytes", fmt.Sprint(limit), arn} {
							if !strings.Contains(log, part) {
								t.Errorf("the function's log does not say %s:\n%s", part, log)
							}
						}
						if after := s.roleDump(shortened); after != before {
							t.Error("the account was changed")
						}
						if got := s.text(arn, "AWSCURRENT"); got == "" || !strings.Contains(got, password) {
							t.Error("AWSCURRENT changed")
						}
						if _, pending := s.credential(arn, "AWSPENDING"); pending != "" {
							t.Error("a pending value was stored")
						}
						if !s.accepts(shortened, password) {
							t.Error("the account's password changed")
						}
					})
				}
			}
		})
	}
}
