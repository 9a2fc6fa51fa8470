package dbservers

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// startMy starts a server of MySQL or MariaDB in its newest version.
func startMy(t *testing.T, engine string, settings map[string]string) *Server {
	t.Helper()
	opt := MySQLOptions{Settings: settings}
	if engine == "mysql" {
		s, err := startMySQL(within(t), opt, anyPlace(t))
		return started(t, s, err)
	}
	s, err := startMariaDB(within(t), MariaDBOptions(opt), anyPlace(t))
	return started(t, s, err)
}

func TestSettingsOfMySQLAreHeeded(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			// The file of settings has quotes and backslashes of its own.
			s := startMy(t, engine, map[string]string{"sql-mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "init_connect": `SET @said = 'it is "\\" # me'`})
			const password = `planted'"\pass`
			check(t, s.CreateUser(ctx, `a'p\"p`, password))
			opens(ctx, t, s, `a'p\"p`, password, true)
			conn, err := s.ConnectMySQLSuperuser(ctx)
			check(t, err)
			defer func() { check(t, conn.Close()) }()
			var mode, said string
			check(t, conn.QueryRowContext(ctx, "SELECT @@GLOBAL.sql_mode, @@GLOBAL.init_connect").Scan(&mode, &said))
			if mode != "ANSI_QUOTES,NO_BACKSLASH_ESCAPES" || said != `SET @said = 'it is "\\" # me'` {
				t.Errorf("sql_mode is %q and init_connect %q", mode, said)
			}
		})
	}
}

func TestAnExpiredPasswordIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			s := startMy(t, engine, nil)
			check(t, s.CreateUser(ctx, "app", "first"))
			check(t, s.Exec(ctx, "ALTER USER app PASSWORD EXPIRE"))
			if _, err := s.Opens(ctx, "app", "first"); err == nil || s.dialect.rejected(err) {
				t.Errorf("a password that has expired: %v, want an error that is no refusal of the password", err)
			}
			opens(ctx, t, s, "app", "second", false)
		})
	}
}

func TestAUserHasRightsOnItsDatabaseAlone(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			s := startMy(t, engine, nil)
			check(t, s.CreateUser(ctx, "app", "first"))
			conn, err := ConnectMySQL(ctx, s.Login("app", "first"))
			check(t, err)
			defer func() { check(t, conn.Close()) }()
			for _, statement := range []string{"CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)", "DROP TABLE t"} {
				if _, err := conn.ExecContext(ctx, statement); err != nil {
					t.Errorf("%s: %v", statement, err)
				}
			}
			if _, err := conn.ExecContext(ctx, "CREATE DATABASE other"); !mysqlError(1044)(err) {
				t.Errorf("another database: %v, want error 1044", err)
			}
			if held := privileges(ctx, t, conn); !slices.Equal(held, []string{"USAGE"}) {
				t.Errorf("on everything the user has %v, want nothing", held)
			}
		})
	}
}

func TestAnAdminOfAServerWithoutPartialRevokes(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := startMy(t, "mysql", map[string]string{"partial_revokes": "OFF"})
	conn, err := ConnectMySQL(ctx, s.Admin)
	check(t, err)
	defer func() { check(t, conn.Close()) }()
	if held := privileges(ctx, t, conn); !slices.Contains(held, "ROLE_ADMIN") || slices.Contains(held, "SUPER") {
		t.Errorf("the admin has %v", held)
	}
}

func TestRulesForPasswordsHoldForTheUsersOfATest(t *testing.T) {
	t.Parallel()
	for engine, rule := range map[string]struct {
		settings map[string]string
		number   uint16
	}{
		"mysql":   {map[string]string{"plugin_load_add": "validate_password.so"}, 1819},
		"mariadb": {map[string]string{"plugin_load_add": "simple_password_check"}, 1819},
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			s := startMy(t, engine, rule.settings)
			if err := s.CreateUser(ctx, "app", "short"); !mysqlError(rule.number)(err) {
				t.Errorf("a short password: %v, want error %d", err, rule.number)
			}
			check(t, s.CreateUser(ctx, "app", "Planted-g00d"))
			opens(ctx, t, s, "app", "Planted-g00d", true)
			keepsOut(t, s, "Planted-g00d")
		})
	}
}

func keepsOut(t *testing.T, s *Server, password string) {
	t.Helper()
	logs, err := s.Logs(within(t))
	check(t, err)
	for name, text := range logs {
		if strings.Contains(text, password) {
			t.Errorf("%s holds the password", name)
		}
	}
}

// TestTheLogsHoldWhatATestSearchesThemFor plants a password where a careless
// client would leave it, and finds it in each log.
func TestTheLogsHoldWhatATestSearchesThemFor(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			s := startMy(t, engine, nil)
			// The server writes one of the logs after it has answered.
			for i := range 20 {
				statement := fmt.Sprintf("CREATE TABLE planted%d (id INT)", i)
				check(t, s.Exec(ctx, statement))
				logs, err := s.Logs(ctx)
				check(t, err)
				for _, name := range []string{serverLog, mysqlSlowLog, mysqlBinaryLog + ".000001"} {
					if !strings.Contains(logs[name], statement) {
						t.Errorf("%s lacks the statement %d", name, i)
					}
				}
			}
		})
	}
}

func TestAMySQLServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	opt := MySQLOptions{Settings: map[string]string{"no_such_setting": "1"}}
	_, mysqlErr := startMySQL(within(t), opt, anyPlace(t))
	_, mariadbErr := startMariaDB(within(t), MariaDBOptions(opt), anyPlace(t))
	for _, err := range []error{mysqlErr, mariadbErr} {
		if err == nil || !strings.Contains(err.Error(), "unknown variable 'no_such_setting=1'") {
			t.Errorf("got %v, want the server's own words", err)
		}
	}
}

func TestAnUnknownVersionOfMySQLNamesThoseThatAre(t *testing.T) {
	t.Parallel()
	if _, err := StartMySQL(t.Context(), MySQLOptions{Version: "5.7"}); err == nil ||
		!strings.Contains(err.Error(), `"5.7"`) || !strings.Contains(err.Error(), "8.4, 9.7") {
		t.Errorf("got %v", err)
	}
	if _, err := StartMariaDB(t.Context(), MariaDBOptions{Version: "5.5"}); err == nil ||
		!strings.Contains(err.Error(), `"5.5"`) || !strings.Contains(err.Error(), "10.11, 11.8") {
		t.Errorf("got %v", err)
	}
}

func TestSignInsAreCountedFromTheLog(t *testing.T) {
	t.Parallel()
	const other = "2026-01-02T03:04:05.000000Z\t   99 Connect\tsomebody@10.0.0.1 on appdb using SSL/TLS\n"
	for _, row := range []struct {
		name string
		log  string
		want SignIns
	}{
		{"nobody", other, SignIns{}},
		{"one, on MySQL", other + "2026-01-02T03:04:05.000000Z\t   13 Connect\tapp@10.0.0.1 on appdb using SSL/TLS\n", SignIns{Accepted: 1}},
		{"one, on MariaDB", "260102  3:04:05\t    13 Connect\tapp@10.0.0.1 on appdb using SSL/TLS\n", SignIns{Accepted: 1}},
		{"one more in the same second, on MariaDB", "\t\t    13 Connect\tapp@10.0.0.1 on appdb using SSL/TLS\n", SignIns{Accepted: 1}},
		{
			"a wrong password",
			"\t\t    13 Connect\tapp@10.0.0.1 on appdb using SSL/TLS\n\t\t    13 Connect\tAccess denied for user 'app'@'10.0.0.1' (using password: YES)\n",
			SignIns{Refused: 1},
		},
		{
			"two at once, of which one is wrong",
			"\t\t    13 Connect\tapp@10.0.0.1 on appdb using SSL/TLS\n\t\t    14 Connect\tapp@10.0.0.1 on appdb using SSL/TLS\n" +
				"\t\t    13 Connect\tAccess denied for user 'app'@'10.0.0.1' (using password: YES)\n",
			SignIns{Accepted: 1, Refused: 1},
		},
		{
			"the same number after a restart",
			"\t\t    13 Connect\tapp@10.0.0.1 on appdb using SSL/TLS\n\t\t    13 Connect\tapp@10.0.0.1 on appdb using SSL/TLS\n" +
				"\t\t    13 Connect\tAccess denied for user 'app'@'10.0.0.1' (using password: YES)\n",
			SignIns{Accepted: 1, Refused: 1},
		},
		{"another user whose name begins the same", "\t\t    13 Connect\tapp_clone@10.0.0.1 on appdb using SSL/TLS\n", SignIns{}},
		{"a statement that reads like one", "\t\t    13 Query\tSELECT 'Connect\tapp@10.0.0.1'\n", SignIns{}},
		{"a long statement before it", "\t\t    12 Query\t" + strings.Repeat("x", 1<<17) + "\n\t\t    13 Connect\tapp@10.0.0.1 on  using TCP/IP\n", SignIns{Accepted: 1}},
	} {
		if got := new(mysqlFamily).signIns(row.log, "app"); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
}

func TestTheFirstStatementsAreGoneOnceTheServerServes(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"mysql", "mariadb"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			ctx := within(t)
			s := startMy(t, engine, nil)
			replica := startReplica(t, s)
			for _, server := range []*Server{s, replica.Server} {
				for _, name := range []string{mysqlInit, mysqlConf} {
					content, err := server.place.read(ctx, name)
					check(t, err)
					if strings.Contains(string(content), s.Superuser.Password.Reveal()) {
						t.Errorf("%s holds the superuser's password", name)
					}
				}
			}
		})
	}
}

// TestConnectMySQLTriesOnce counts the connections to a server that hangs up on
// everybody.
func TestConnectMySQLTriesOnce(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, "0"))
	check(t, err)
	var taken atomic.Int32
	hungUp := make(chan struct{})
	go func() {
		defer close(hungUp)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			taken.Add(1)
			_ = conn.Close()
		}
	}()
	at, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listening on %v", listener.Addr())
	}
	_, err = ConnectMySQL(within(t), dbdrivers.Login{
		Host: loopback, Port: at.Port, Username: "app", Password: dbdrivers.NewPassword("first"),
		TLS: tlsconf.Settings{Plaintext: true},
	})
	if err == nil {
		t.Error("a server that hangs up: no error")
	}
	check(t, listener.Close())
	<-hungUp
	if n := taken.Load(); n != 1 {
		t.Errorf("%d connections, want one", n)
	}
}
