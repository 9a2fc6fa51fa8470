package dbservers

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestAServerWithMD5KeepsMD5(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := start(t, PostgresOptions{Settings: map[string]string{"password_encryption": "md5"}}, anyPlace(t))
	check(t, s.CreateUser(ctx, "app", "first"))
	opens(ctx, t, s, "app", "first", true)
	conn, err := s.ConnectSuperuser(ctx)
	check(t, err)
	defer closeConn(ctx, conn)
	var kept string
	check(t, conn.QueryRow(ctx, "SELECT left(rolpassword, 3) FROM pg_authid WHERE rolname = $1", "app").Scan(&kept))
	if kept != "md5" {
		t.Errorf("the server keeps %q..., want md5", kept)
	}
}

func TestASettingAndAHostRuleAreHeeded(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := start(t, PostgresOptions{
		Settings: map[string]string{"shared_preload_libraries": "passwordcheck", "application_name": `it's \ me`},
		HBA:      []string{"hostssl all barred all reject"},
	}, anyPlace(t))
	err := s.CreateUser(ctx, "app", "short")
	if rejected := (&pgconn.PgError{}); !errors.As(err, &rejected) || rejected.Code != "22023" {
		t.Errorf("a short password: %v, want passwordcheck's SQLSTATE 22023", err)
	}
	check(t, s.CreateUser(ctx, "barred", "l0ng-and-good"))
	if _, err := s.Opens(ctx, "barred", "l0ng-and-good"); err == nil {
		t.Error("a user whom a host rule rejects: no error")
	}
	conn, err := s.ConnectSuperuser(ctx)
	check(t, err)
	defer closeConn(ctx, conn)
	var set string
	check(t, conn.QueryRow(ctx, "SHOW application_name").Scan(&set))
	if set != `it's \ me` {
		t.Errorf("application_name is %q", set)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := startPostgres(within(t), PostgresOptions{Settings: map[string]string{"no_such_setting": "1"}}, anyPlace(t))
	if err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "no_such_setting"`) {
		t.Errorf("got %v, want the server's own words", err)
	}
}

func TestAnUnknownVersionNamesThoseThatAre(t *testing.T) {
	t.Parallel()
	_, err := StartPostgres(t.Context(), PostgresOptions{Version: "9.6"})
	if err == nil || !strings.Contains(err.Error(), `"9.6"`) || !strings.Contains(err.Error(), "15, 17, 18") {
		t.Errorf("got %v", err)
	}
}
