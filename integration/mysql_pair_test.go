package integration_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// grantedSecret is alternatingSecret of an account that holds something of each
// kind that a twin gets by statements of their own: privileges on a database
// and on a column, a default role, a limit.
func (s *stage) grantedSecret() (arn string) {
	s.t.Helper()
	arn = s.alternatingSecret()
	app, _ := s.credential(arn, "AWSCURRENT")
	role := strings.Replace(app, "app_", "role_", 1)
	// In MariaDB the admin may pass on a role only where it may administer it.
	setDefault, administer := " TO ", "GRANT "+role+" TO "+s.server.Admin.Username+" WITH ADMIN OPTION"
	if s.server.Engine == "mariadb" {
		setDefault = " FOR "
	}
	s.exec(
		"CREATE TABLE of_"+app+" (id int, note text)",
		"GRANT SELECT (note) ON of_"+app+" TO "+app,
		"CREATE ROLE "+role, "GRANT CREATE VIEW ON "+s.server.Database+".* TO "+role, administer,
		"GRANT "+role+" TO "+app, "SET DEFAULT ROLE "+role+setDefault+app,
		"ALTER USER "+app+" WITH MAX_USER_CONNECTIONS 77",
	)
	return arn
}

// lacksOfItsSibling tries all labelled passwords on the twin, and looks whether
// it is locked. Where one lets somebody in, or it is not, it says in what the
// twin differs from its sibling.
func (s *stage) lacksOfItsSibling(arn string) string {
	s.t.Helper()
	current, _ := s.credential(arn, "AWSCURRENT")
	app := strings.TrimSuffix(current, "_clone")
	why := ""
	for _, label := range []string{"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"} {
		if password := s.password(arn, label); password != "" && s.lets(app+"_clone", password) {
			why = "it signs in by the password under " + label
		}
	}
	locked := "account_locked FROM mysql.user"
	if s.server.Engine == "mariadb" {
		locked = "IF(JSON_VALUE(Priv, '$.account_locked'), 'Y', 'N') FROM mysql.global_priv"
	}
	if slices.Contains(s.rows("SELECT "+locked+" WHERE user = '"+app+"_clone'"), "N") {
		why = "it is not locked"
	}
	if why == "" {
		return ""
	}
	want, have := s.holds(app), s.holds(app+"_clone")
	if slices.Equal(want, have) {
		return ""
	}
	return fmt.Sprintf("%s, and it holds\n%s\nits sibling\n%s", why, strings.Join(have, "\n"), strings.Join(want, "\n"))
}

// lets is accepts for an account that may be locked, or may not be there.
func (s *stage) lets(username, password string) bool {
	s.t.Helper()
	conn, err := dbservers.ConnectMySQL(context.Background(), s.server.Login(username, password))
	if err == nil {
		_ = conn.Close()
		return true
	}
	const denied, lockedMySQL, lockedMariaDB = 1045, 3118, 4151
	var said *mysql.MySQLError
	if !errors.As(err, &said) || !slices.Contains([]uint16{denied, lockedMySQL, lockedMariaDB}, said.Number) {
		s.t.Errorf("signing in to the server as %s: %v", username, err)
	}
	return false
}

// holds is what an account of any host is granted, and the rest of what
// grantedSecret gives one, without the account's own name and its hashes.
func (s *stage) holds(username string) (held []string) {
	s.t.Helper()
	rows := s.rows("SHOW GRANTS FOR `" + username + "`@`%`")
	rows = append(rows, s.rows("SELECT max_user_connections FROM mysql.user WHERE user = '"+username+"'")...)
	if s.server.Engine == "mysql" {
		rows = append(rows, s.rows("SELECT CONCAT('default role ', default_role_user) FROM mysql.default_roles WHERE user = '"+username+"'")...)
	}
	for _, row := range rows {
		if row = withoutMarks(row); row == "" {
			continue
		}
		row, _, _ = strings.Cut(row, " IDENTIFIED ")
		held = append(held, strings.NewReplacer("`"+username+"`", "itself").Replace(row))
	}
	slices.Sort(held)
	return held
}

// markRoles are the roles that mark a twin, in a row of MySQL's SHOW GRANTS, which
// has all roles in one.
var markRoles = regexp.MustCompile(",?`dbrotation\\.[^`]*`@`%`")

// withoutMarks is a row of SHOW GRANTS without the roles that mark a twin, and
// empty where it is of nothing else.
func withoutMarks(row string) string {
	row = strings.Replace(markRoles.ReplaceAllString(row, ""), "GRANT ,", "GRANT ", 1)
	if strings.HasPrefix(row, "GRANT  TO ") || strings.HasPrefix(row, "GRANT `dbrotation(twin of ") {
		return ""
	}
	return row
}

// rows are what a question is answered, asked as the superuser in a session
// whose form of names is known. It may be asked from any goroutine.
func (s *stage) rows(question string) []string {
	s.t.Helper()
	rows, err := s.askRows(question)
	if err != nil {
		s.t.Errorf("%s: %v", question, err)
	}
	return rows
}

func (s *stage) askRows(question string) (rows []string, err error) {
	ctx := context.Background()
	conn, err := s.server.ConnectMySQLSuperuser(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, "SET SESSION sql_mode = '', sql_quote_show_create = 1"); err != nil {
		return nil, err
	}
	result, err := conn.QueryContext(ctx, question)
	if err != nil {
		return nil, err
	}
	defer func() { _ = result.Close() }()
	for result.Next() {
		var row string
		if err := result.Scan(&row); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, result.Err()
}
