package redshift

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

// attributes are options of CREATE USER, by name, as ALTER USER writes them.
type attributes map[string]string

const (
	createDB        = "CREATEDB"
	syslogAccess    = "SYSLOG ACCESS"
	connectionLimit = "CONNECTION LIMIT"
	sessionTimeout  = "SESSION TIMEOUT"
	validUntil      = "VALID UNTIL"
)

// order is that of reports and statements.
var order = []string{createDB, syslogAccess, connectionLimit, sessionTimeout, validUntil}

const (
	unlimited    = "UNLIMITED"
	unrestricted = "UNRESTRICTED"
	restricted   = "RESTRICTED"
	noTimeout    = "0"
)

// https://docs.aws.amazon.com/redshift/latest/dg/r_SVV_USER_INFO.html
const askInfo = "SELECT user_name, connection_limit, syslog_access, session_timeout, external_user_id FROM pg_catalog.svv_user_info WHERE user_name IN ($1, $2)"

// datedUsers reads the two accounts, with an end of theirs in a form that means
// the same whatever the admin's settings are: it is compared, and written back,
// as text.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_datestyle.html
func (t *twin) datedUsers(ctx context.Context) (map[string]user, error) {
	users, err := usersOf(ctx, t.session, t.req.Canonical, t.req.Twin, "")
	t.twinID = users[t.req.Twin].id
	if err != nil || t.dated || users[t.req.Canonical].validUntil == forever && users[t.req.Twin].validUntil == forever {
		return users, err
	}
	if err := run(ctx, t.session, "SET datestyle TO 'ISO, MDY'", "SET timezone TO 'UTC'"); err != nil {
		return nil, err
	}
	t.dated = true
	return usersOf(ctx, t.session, t.req.Canonical, t.req.Twin, "")
}

// readAttributes reads the options of both accounts.
func (t *twin) readAttributes(ctx context.Context, users map[string]user) (map[string]attributes, error) {
	rows, err := ask(ctx, t.session, askInfo, t.req.Canonical, t.req.Twin)
	if err != nil {
		return nil, err
	}
	all := make(map[string]attributes)
	for _, row := range rows {
		if len(row) != 5 {
			return nil, errAnswer
		}
		name, u := row[0].Text, users[row[0].Text]
		if name != t.req.Canonical && name != t.req.Twin {
			return nil, errAnswer
		}
		if row[4].Text != "" {
			return nil, fmt.Errorf("%q: %w", name, errIdentity)
		}
		a := attributes{
			createDB: "NOCREATEDB", syslogAccess: restricted, connectionLimit: unlimited,
			sessionTimeout: noTimeout, validUntil: u.validUntil,
		}
		if u.createDB {
			a[createDB] = createDB
		}
		if strings.EqualFold(row[2].Text, unrestricted) {
			a[syslogAccess] = unrestricted
		}
		if limit := row[1].Text; digits.MatchString(limit) {
			a[connectionLimit] = limit
		}
		if seconds := row[3].Text; digits.MatchString(seconds) {
			a[sessionTimeout] = seconds
		}
		all[name] = a
	}
	for _, name := range []string{t.req.Canonical, t.req.Twin} {
		if all[name] == nil {
			return nil, fmt.Errorf("%w: svv_user_info does not show %q", errAnswer, name)
		}
	}
	return all, nil
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// attributeSteps make the twin's options its sibling's.
func (t *twin) attributeSteps(want, have attributes) ([]step, error) {
	var steps []step
	for _, name := range order {
		value := want[name]
		if value == have[name] {
			continue
		}
		s := step{what: "attribute " + name, sql: "ALTER USER " + identifier(t.req.Twin) + " "}
		switch name {
		case createDB:
			s.sql += value
			s.removes = value != createDB
		case sessionTimeout:
			if value == noTimeout {
				s.sql += "RESET " + name
			} else {
				s.sql += name + " " + value
			}
		case validUntil:
			quoted, err := literal(value)
			if err != nil {
				return nil, err
			}
			s.sql += name + " " + quoted
		default:
			s.sql += name + " " + value
			s.removes = value == restricted
		}
		s.extra = s.removes
		steps = append(steps, s)
	}
	return steps, nil
}

// settingSteps make the twin's settings its sibling's. Their values may be
// secrets, and are in no report.
func (t *twin) settingSteps(want, have map[string]string) ([]step, error) {
	var steps []step
	alter := "ALTER USER " + identifier(t.req.Twin)
	for _, name := range sortedKeys(have) {
		if _, wanted := want[name]; !wanted {
			if err := checkSetting(name); err != nil {
				return nil, err
			}
			steps = append(steps, step{what: "setting " + name, sql: alter + " RESET " + name, removes: true, extra: true})
		}
	}
	for _, name := range sortedKeys(want) {
		value, found := have[name]
		if found && sameSetting(name, value, want[name]) {
			continue
		}
		if err := checkSetting(name); err != nil {
			return nil, err
		}
		values, err := literals(name, want[name])
		if err != nil {
			return nil, err
		}
		steps = append(steps, step{what: "setting " + name, sql: alter + " SET " + name + " TO " + values, secret: true})
	}
	return steps, nil
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

func checkSetting(name string) error {
	if !settingName.MatchString(name) {
		return fmt.Errorf("%w: it shows a setting named %q", errAnswer, name)
	}
	return nil
}

// searchPath is the one setting whose value is a list of names, each quoted by
// itself. A literal for the whole would become one name.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_search_path.html
const searchPath = "search_path"

func literals(name, value string) (string, error) {
	values := []string{value}
	if name == searchPath {
		values = elements(value)
	}
	for i, v := range values {
		quoted, err := literal(v)
		if err != nil {
			return "", err
		}
		values[i] = quoted
	}
	return strings.Join(values, ", "), nil
}

func sameSetting(name, a, b string) bool {
	if name == searchPath {
		return slices.Equal(elements(a), elements(b))
	}
	return a == b
}

// elements splits a list of names, of which those in double quotes may have
// commas.
func elements(list string) []string {
	var all []string
	var b strings.Builder
	quoted, inside := false, false
	end := func() {
		name := b.String()
		if !quoted {
			name = strings.TrimSpace(name)
		}
		all = append(all, name)
		b.Reset()
		quoted = false
	}
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case inside && c == '"' && i+1 < len(list) && list[i+1] == '"':
			b.WriteByte(c)
			i++
		case c == '"':
			inside = !inside
			if inside {
				b.Reset()
			}
			quoted = true
		case c == ',' && !inside:
			end()
		case quoted && !inside:
			// Blanks between the closing quote and the comma.
		default:
			b.WriteByte(c)
		}
	}
	end()
	return all
}

// settingsOf reads an array of settings, each as name=value.
func settingsOf(v pgwire.Value) (map[string]string, error) {
	settings := make(map[string]string)
	if v.Null || v.Text == "" {
		return settings, nil
	}
	items, err := array(v.Text)
	if err != nil {
		return nil, err
	}
	for _, item := range items {
		name, value, found := strings.Cut(item, "=")
		if !found {
			return nil, fmt.Errorf("%w: it shows a setting without a value", errAnswer)
		}
		settings[name] = value
	}
	return settings, nil
}

var errArray = fmt.Errorf("%w: it shows a list of settings that is malformed", errAnswer)

// array reads the text of an array of texts: {plain,"in \"quotes\""}.
//
// https://www.postgresql.org/docs/8.0/arrays.html
func array(text string) ([]string, error) {
	inner, opens := strings.CutPrefix(text, "{")
	inner, closes := strings.CutSuffix(inner, "}")
	if !opens || !closes {
		return nil, errArray
	}
	if inner == "" {
		return nil, nil
	}
	var items []string
	for {
		item, rest, err := arrayItem(inner)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		if rest == "" {
			return items, nil
		}
		if rest[0] != ',' {
			return nil, errArray
		}
		inner = rest[1:]
	}
}

func arrayItem(text string) (item, rest string, err error) {
	quoted := strings.HasPrefix(text, `"`)
	if quoted {
		text = text[1:]
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case quoted && c == '"':
			return b.String(), text[i+1:], nil
		case !quoted && c == ',':
			return b.String(), text[i:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", errArray
	}
	return b.String(), "", nil
}

var errIdentity = errors.New("the account is an identity provider's (EXTERNALID) and has no password; take it out of the rotation")

var errNoUser = errors.New("the account was dropped meanwhile")
