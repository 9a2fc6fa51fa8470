package integration_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// A username of MySQL's family has a row for each host that it may come from,
// with a password of its own. The server takes the row of the most specific
// host. Where the tests come from is asked of it: a container sees them at another
// address than the server's.
//
// https://dev.mysql.com/doc/refman/9.7/en/connection-access.html
type hostCase struct {
	name string
	// hosts are those of the account. FROM is the address from which the tests
	// come, NEAR its network as a pattern.
	hosts []string
	// changed are the hosts whose rows get the new password; all, if none.
	changed []string
	// strategy is how it rotates.
	strategy mysqlStrategy
}

var hostCases = []hostCase{
	{name: "one row of a network, by itself", hosts: []string{"NEAR"}, strategy: byItself},
	{name: "one row of a network, by an admin", hosts: []string{"NEAR"}, strategy: byAnAdmin},
	{name: "one row of a network, two passwords by an admin", hosts: []string{"NEAR"}, strategy: dualByAdmin},
	{name: "one row of a network, taking turns", hosts: []string{"NEAR"}, strategy: takingTurns},
	{name: "one row of an address, by itself", hosts: []string{"FROM"}, strategy: byItself},
	{name: "two rows, by an admin", hosts: []string{"NEAR", "10.99.%"}, strategy: byAnAdmin},
	{name: "two rows, two passwords by an admin", hosts: []string{"NEAR", "10.99.%"}, strategy: dualByAdmin},
	{name: "two rows, taking turns", hosts: []string{"NEAR", "10.99.%"}, strategy: takingTurns},
	{name: "a row of any host beside a more specific one, by an admin", hosts: []string{"%", "NEAR"}, strategy: byAnAdmin},
	{name: "a row of any host beside a more specific one, two passwords by an admin", hosts: []string{"%", "NEAR"}, strategy: dualByAdmin},
	{name: "a row of any host beside a more specific one, taking turns", hosts: []string{"%", "NEAR"}, strategy: takingTurns},
	// By itself an account sees and changes the row that it has signed in by.
	{name: "a row of any host beside a more specific one, by itself", hosts: []string{"%", "NEAR"}, changed: []string{"NEAR"}, strategy: byItself},
}

// TestHostRows rotates accounts that are not of any host. Every row that is
// changed gets the new password; afterwards the test signs in by each of them,
// the others being locked away.
func TestHostRows(t *testing.T) {
	t.Parallel()
	for _, kind := range mysqlServers() {
		t.Run(kind.engine+" "+kind.version, func(t *testing.T) {
			t.Parallel()
			server := kind.start(t)
			s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{"CREATE_TWINS": "true"}})
			from := s.addressOfTheTests()
			near := from[:strings.Index(from, ".")] + ".%"
			for _, row := range hostCases {
				t.Run(row.name, func(t *testing.T) {
					defer func(t *testing.T) { s.t = t }(s.t)
					s.t = t
					place := strings.NewReplacer("FROM", from, "NEAR", near)
					var hosts, changed []string
					for _, host := range row.hosts {
						hosts = append(hosts, place.Replace(host))
					}
					for _, host := range row.changed {
						changed = append(changed, place.Replace(host))
					}
					if changed == nil {
						changed = hosts
					}
					s.rotateHostRows(row.strategy, from, hosts, changed)
				})
			}
		})
	}
}

// addressOfTheTests is where the server sees the tests come from.
func (s *stage) addressOfTheTests() string {
	s.t.Helper()
	user := s.rows("SELECT USER()")[0]
	return user[strings.LastIndexByte(user, '@')+1:]
}

func (s *stage) rotateHostRows(strategy mysqlStrategy, from string, hosts, changed []string) {
	s.t.Helper()
	username, first := fmt.Sprintf("rows_%d_%d", os.Getpid(), accounts.Add(1)), "planted-"+rand.Text()
	s.planted.add(first)
	if err := s.server.CreateUser(s.t.Context(), username, first); err != nil {
		s.t.Fatal(err)
	}
	s.makeRows(username, hosts)
	document := s.document(username, first)
	strategy.secret(s, document)
	arn := s.secret(document)
	before := s.kept(username, hosts)
	turns := 1
	if strategy.alternating {
		turns = 2
	}
	said := len(s.aws.FunctionLog(function))
	for range turns {
		if err := s.rotate(arn); err != nil {
			s.t.Fatalf("%v\n%s", err, s.logSince(function, said))
		}
		current, password := s.credential(arn, "AWSCURRENT")
		if current == username+"_clone" {
			if got, want := s.hostsOf(current), s.hostsOf(username); !cmp.Equal(got, want) {
				s.t.Errorf("the twin has rows of %v, want those of its sibling, %v", got, want)
			}
		}
		s.opensByEach(current, password, from, changed)
		previous, password := s.credential(arn, "AWSPREVIOUS")
		if strategy.overlaps {
			s.opensByEach(previous, password, from, changed)
		} else if s.lets(previous, password) {
			s.t.Error("the password before still opens the database")
		}
	}
	after := s.kept(username, hosts)
	for _, host := range hosts {
		wasChanged := before[host] != after[host]
		if want := slices.Contains(changed, host); wasChanged != want {
			s.t.Errorf("the row of %s changed: %t, want %t", host, wasChanged, want)
		}
	}
}

// makeRows gives an account of any host these rows instead, with its password
// and its rights.
func (s *stage) makeRows(username string, hosts []string) {
	s.t.Helper()
	grants := "GRANT SELECT, INSERT ON " + s.server.Database + ".* TO "
	kept, plugin := s.kept(username, []string{"%"})["%"], "mysql_native_password"
	if s.server.Engine == "mysql" {
		plugin = "caching_sha2_password"
	}
	anyHost := false
	for _, host := range hosts {
		if anyHost = anyHost || host == "%"; host == "%" {
			continue
		}
		account := "`" + username + "`@`" + host + "`"
		s.exec("CREATE USER "+account+" IDENTIFIED WITH "+plugin+" AS "+kept, grants+account)
	}
	if !anyHost {
		s.exec("DROP USER `" + username + "`@`%`")
	}
}

// kept are the hashes of an account's rows, by host, as literals.
func (s *stage) kept(username string, hosts []string) map[string]string {
	s.t.Helper()
	question := "SELECT CONCAT('0x', HEX(authentication_string)) FROM mysql.user WHERE user = '%s' AND host = '%s'"
	if s.server.Engine == "mariadb" {
		// There a list of several is more than this column.
		question = "SELECT IF(JSON_EXISTS(Priv, '$.auth_or'), Priv, CONCAT('''', JSON_VALUE(Priv, '$.authentication_string'), '''')) FROM mysql.global_priv WHERE user = '%s' AND host = '%s'"
	}
	hashes := make(map[string]string)
	for _, host := range hosts {
		for _, hash := range s.rows(fmt.Sprintf(question, username, host)) {
			hashes[host] = hash
		}
	}
	if len(hashes) != len(hosts) {
		s.t.Fatalf("%s has rows of %v, want %v", username, s.hostsOf(username), hosts)
	}
	return hashes
}

func (s *stage) hostsOf(username string) []string {
	s.t.Helper()
	return s.rows("SELECT host FROM mysql.user WHERE user = '" + username + "' ORDER BY host")
}

// opensByEach proves that a password is that of each row: one after the other is
// made the row of the very address that the tests come from.
func (s *stage) opensByEach(username, password, from string, hosts []string) {
	s.t.Helper()
	for _, host := range hosts {
		if host == from {
			if !s.lets(username, password) {
				s.t.Errorf("the row of %s does not open by the password", host)
			}
			continue
		}
		rename := func(from, to string) {
			// MariaDB puts a renamed row in its order only when it reads all rows.
			s.exec("RENAME USER `"+username+"`@`"+from+"` TO `"+username+"`@`"+to+"`", "FLUSH PRIVILEGES")
		}
		rename(host, from)
		if row, err := s.rowTaken(username, password); err != nil || row != username+"@"+from {
			s.t.Errorf("the row of %s does not open by the password: it is %q (%v)", host, row, err)
		}
		rename(from, host)
	}
}

// rowTaken signs in and says which row the server took the login for.
func (s *stage) rowTaken(username, password string) (row string, err error) {
	conn, err := dbservers.ConnectMySQL(context.Background(), s.server.Login(username, password))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	err = conn.QueryRowContext(context.Background(), "SELECT CURRENT_USER()").Scan(&row)
	return row, err
}
