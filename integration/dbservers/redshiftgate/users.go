package redshiftgate

import (
	"crypto/md5" //nolint:gosec // It is Redshift's.
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// userChange is what CREATE USER and ALTER USER ask for.
type userChange struct {
	name string
	// attributes are the options that PostgreSQL has, in its words.
	attributes []string
	groups     []string
	password   *userPassword
	// syslog, timeout and external are empty where they stay as they are.
	syslog, timeout, external string
}

// userPassword is what PASSWORD says.
type userPassword struct {
	// kept is what PostgreSQL keeps; NULL where the password is disabled.
	kept string
	// salt, digest and door are those of a sha256 password: door is the
	// password by which the gate signs in to PostgreSQL.
	salt, digest, door string
}

// disabled is PASSWORD DISABLE.
var disabled = userPassword{kept: "NULL"}

// passwordOf reads the literal of PASSWORD.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
func passwordOf(user, text string) (*userPassword, error) {
	switch {
	case strings.HasPrefix(text, "sha256|"):
		return digestOf(user, strings.TrimPrefix(text, "sha256|"))
	case md5Form.MatchString(text):
		return &userPassword{kept: quoteText(text)}, nil
	}
	if err := checkPassword(text); err != nil {
		return nil, err
	}
	return &userPassword{kept: quoteText(md5Of(user, text))}, nil
}

var (
	md5Form    = regexp.MustCompile(`^md5[0-9a-fA-F]{32}$`)
	sha256Form = regexp.MustCompile(`^[0-9a-fA-F]{64}\|[0-9a-fA-F]{64}$`)
)

// digestOf reads what follows sha256| : a password, or its digest and the salt.
func digestOf(user, text string) (*userPassword, error) {
	p := &userPassword{door: rand.Text()}
	p.kept = quoteText(md5Of(user, p.door))
	if sha256Form.MatchString(text) {
		digest, salt, _ := strings.Cut(strings.ToLower(text), "|")
		p.digest, p.salt = digest, salt
		return p, nil
	}
	if strings.Contains(text, "|") {
		return nil, refusal("22023", "the password is to be sha256|digest|salt, with 64 hexadecimal digits each, or sha256|password")
	}
	if err := checkPassword(text); err != nil {
		return nil, err
	}
	salt := make([]byte, sha256.Size)
	_, _ = rand.Read(salt) // it never fails
	sum := sha256.Sum256(append([]byte(text), salt...))
	p.salt, p.digest = hex.EncodeToString(salt), hex.EncodeToString(sum[:])
	return p, nil
}

// md5Of is what is kept of a password in clear text: its hash, with the user's
// name for its salt.
func md5Of(user, password string) string {
	sum := md5.Sum([]byte(password + user)) //nolint:gosec // It is Redshift's.
	return "md5" + hex.EncodeToString(sum[:])
}

// checkPassword holds the rules for a password in clear text. A hash hides a
// password from them.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
func checkPassword(text string) error {
	if len(text) < 8 || len(text) > 64 {
		return refusal("22023", "the password is to have 8 to 64 characters")
	}
	var upper, lower, digit bool
	for _, c := range []byte(text) {
		switch {
		case c < 33 || c > 126 || strings.IndexByte(`'"\/@`, c) >= 0:
			return refusal("22023", `the password is to be of the ASCII characters 33 to 126 without ' " \ / @`)
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z':
			lower = true
		case isDigit(c):
			digit = true
		}
	}
	if !upper || !lower || !digit {
		return refusal("22023", "the password is to have an upper-case letter, a lower-case letter and a digit")
	}
	return nil
}

// option reads one option of CREATE USER or ALTER USER, and reports whether
// there was one.
func (u *userChange) option(m *match) (bool, error) {
	for keyword, attribute := range map[string]string{
		"createdb": "CREATEDB", "nocreatedb": "NOCREATEDB", "createuser": "SUPERUSER", "nocreateuser": "NOSUPERUSER",
		"nologin": "NOLOGIN", "login": "LOGIN",
	} {
		if m.keyword(keyword) {
			u.attributes = append(u.attributes, attribute)
			return true, nil
		}
	}
	switch {
	case m.keywords("password", "disable"):
		u.password = &disabled
	case m.keyword("password"):
		if m.peek().kind != literal {
			return false, nil
		}
		p, err := passwordOf(u.name, m.peek().value)
		if err != nil {
			return false, err
		}
		m.take("")
		u.password = p
	case m.keywords("syslog", "access", "restricted"), m.keywords("syslog", "access", "unrestricted"):
		u.syslog = strings.ToUpper(m.statement[m.at-1].text)
	case m.keywords("in", "group"):
		for first := true; first || m.keyword(","); first = false {
			if !nameSlot(m, "group") {
				return false, nil
			}
			u.groups = append(u.groups, m.slots[len(m.slots)-1].value)
		}
	case m.keywords("valid", "until"):
		if m.peek().kind != literal {
			return false, nil
		}
		u.attributes = append(u.attributes, "VALID UNTIL "+quoteText(m.peek().value))
		m.take("")
	case m.keywords("connection", "limit", "unlimited"):
		u.attributes = append(u.attributes, "CONNECTION LIMIT -1")
	case m.keywords("connection", "limit"):
		if !intSlot(m, "limit") {
			return false, nil
		}
		u.attributes = append(u.attributes, "CONNECTION LIMIT "+m.get("limit").value)
	case m.keywords("session", "timeout"):
		if !intSlot(m, "timeout") {
			return false, nil
		}
		u.timeout = m.get("timeout").value
		if n, err := strconv.Atoi(u.timeout); err != nil || n < 60 || n > 1728000 {
			return false, refusal("22023", "SESSION TIMEOUT is to be 60 to 1728000 seconds")
		}
	case m.keywords("reset", "session", "timeout"):
		u.timeout = "0"
	case m.keyword("externalid"):
		t := m.peek()
		if t.kind != literal && !isName(t) {
			return false, nil
		}
		u.external = t.value
		m.take("")
	default:
		return false, nil
	}
	return true, nil
}

// readUserChange reads CREATE USER u or ALTER USER u, and all options.
func readUserChange(statement []token, keepsCase bool) (*userChange, error) {
	m := &match{statement: statement, at: 2, keepsCase: keepsCase}
	userSlot(m, "user")
	u := &userChange{name: m.get("user").value}
	m.keyword("with")
	for m.at < len(m.statement) {
		ok, err := u.option(m)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, refusal("42601", "Redshift's manual has no such option of a user: %s", shape(statement))
		}
	}
	return u, nil
}

// saysCreateUser is CREATE USER with any of its options.
func saysCreateUser(m *match) ([]part, error) {
	u, err := readUserChange(m.statement, m.keepsCase)
	if err != nil {
		return nil, err
	}
	if u.password == nil {
		return nil, refusal("42601", "CREATE USER demands PASSWORD")
	}
	if u.external != "" && u.password.kept != disabled.kept {
		return nil, refusal("22023", "EXTERNALID demands PASSWORD DISABLE")
	}
	parts := []part{
		{sql: "CREATE ROLE " + quoteName(u.name) + " LOGIN " + strings.Join(u.attributes, " ") + " PASSWORD " + u.password.kept},
		{sql: fmt.Sprintf("SELECT redshift_standin.born(%s, 'user')", quoteText(u.name))},
	}
	for _, g := range u.groups {
		parts = append(parts, exists(grantee{kind: "group", name: g}), part{sql: "GRANT " + quoteName(g) + " TO " + quoteName(u.name)})
	}
	return tagged(append(parts, u.kept()...), "CREATE USER"), nil
}

// saysAlterUser is ALTER USER with any of its options.
func saysAlterUser(m *match) ([]part, error) {
	u, err := readUserChange(m.statement, m.keepsCase)
	if err != nil {
		return nil, err
	}
	if len(u.groups) > 0 {
		return nil, refusal("42601", "ALTER USER has no IN GROUP; use ALTER GROUP")
	}
	attributes := u.attributes
	if u.password != nil {
		attributes = append(attributes, "PASSWORD "+u.password.kept)
	}
	parts := []part{exists(grantee{kind: "user", name: u.name})}
	if len(attributes) > 0 {
		parts = append(parts, part{sql: "ALTER ROLE " + quoteName(u.name) + " " + strings.Join(attributes, " ")})
	}
	return tagged(append(parts, u.kept()...), "ALTER USER"), nil
}

// kept are the changes of what the gate keeps by itself.
func (u *userChange) kept() []part {
	var parts []part
	if u.password != nil {
		p := u.password
		parts = append(parts, part{sql: fmt.Sprintf("SELECT redshift_standin.password(%s, %t, %s, %s, %s)",
			quoteText(u.name), p.kept == disabled.kept, quoteText(p.salt), quoteText(p.digest), quoteText(p.door))})
	}
	if u.syslog+u.timeout+u.external != "" {
		parts = append(parts, part{sql: fmt.Sprintf("SELECT redshift_standin.options(%s, %s, %s, %s)",
			quoteText(u.name), quoteText(u.syslog), quoteText(u.timeout), quoteText(u.external))})
	}
	return parts
}

// saysSetting is ALTER USER u SET and RESET.
func saysSetting(m *match) ([]part, error) {
	name := m.get("setting")
	if err := knownSetting(name.value); err != nil {
		return nil, err
	}
	change := "RESET " + name.sql
	if m.statement[3].is("set") {
		change = "SET " + name.sql + " TO " + m.get("value").sql
	}
	return tagged([]part{
		exists(grantee{kind: "user", name: m.get("user").value}),
		{sql: "ALTER ROLE " + m.get("user").sql + " " + change},
	}, "ALTER USER"), nil
}

// theirSettings are those that both Redshift and PostgreSQL have.
//
// https://docs.aws.amazon.com/redshift/latest/dg/cm_chap_ConfigurationRef.html
var theirSettings = map[string]bool{
	"application_name": true, "client_encoding": true, "datestyle": true, "extra_float_digits": true, "intervalstyle": true,
	"search_path": true, "statement_timeout": true, "timezone": true,
}

func knownSetting(name string) error {
	if redshiftSettings[name] || theirSettings[name] {
		return nil
	}
	return refusal("42704", "unrecognized configuration parameter \"%s\"", name)
}

// saysCaseSensitive is SET enable_case_sensitive_identifier.
func saysCaseSensitive(m *match) ([]part, error) {
	if m.get("setting").value != caseSensitive {
		return nil, refusal("42601", "this stand-in's table of forms has no statement: %s", shape(m.statement))
	}
	return []part{{sql: m.sql()}}, nil
}

// caseSensitive is the setting that keeps the case of names in quotes.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_enable_case_sensitive_identifier.html
const caseSensitive = "enable_case_sensitive_identifier"

// saysCreateGroup is CREATE GROUP, with its users.
func saysCreateGroup(m *match) ([]part, error) {
	g := m.get("name")
	parts := []part{
		{sql: "CREATE ROLE " + g.sql + " NOLOGIN"},
		{sql: fmt.Sprintf("SELECT redshift_standin.born(%s, 'group')", quoteText(g.value))},
	}
	for _, u := range m.all("user") {
		parts = append(parts, exists(grantee{kind: "user", name: u.value}), part{sql: "GRANT " + g.sql + " TO " + u.sql})
	}
	return tagged(parts, "CREATE GROUP"), nil
}

// saysAlterGroup is ALTER GROUP g ADD USER and DROP USER.
func saysAlterGroup(m *match) ([]part, error) {
	g := m.get("name")
	parts := []part{exists(grantee{kind: "group", name: g.value}), {sql: "SELECT redshift_standin.superuser()"}}
	for _, u := range m.all("user") {
		parts = append(parts, exists(grantee{kind: "user", name: u.value}))
		if m.statement[3].is("add") {
			parts = append(parts, part{sql: "GRANT " + g.sql + " TO " + u.sql})
		} else {
			parts = append(parts, part{sql: "REVOKE " + g.sql + " FROM " + u.sql})
		}
	}
	return tagged(parts, "ALTER GROUP"), nil
}
