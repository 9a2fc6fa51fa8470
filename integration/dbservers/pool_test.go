package dbservers

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestEqualOptionsShareAServer(t *testing.T) {
	t.Parallel()
	newest := postgresReleases.newest().major
	for _, row := range []struct {
		name     string
		one, two PostgresOptions
		shared   bool
	}{
		{"the newest version, named and not", PostgresOptions{}, PostgresOptions{Version: newest}, true},
		{"nothing, and an empty list of it", PostgresOptions{}, PostgresOptions{Settings: map[string]string{}, HBA: []string{}}, true},
		{
			"the same settings and rules, made twice",
			PostgresOptions{Settings: map[string]string{"a": "1", "b": "2"}, HBA: []string{"local all all reject"}},
			PostgresOptions{Settings: map[string]string{"b": "2", "a": "1"}, HBA: []string{"local all all reject"}},
			true,
		},
		{"two versions", PostgresOptions{Version: "15"}, PostgresOptions{Version: newest}, false},
		{"with TLS and without", PostgresOptions{}, PostgresOptions{NoTLS: true}, false},
		{"with plaintext and without", PostgresOptions{}, PostgresOptions{Plaintext: true}, false},
		{"no TLS at all, and plaintext beside it", PostgresOptions{NoTLS: true}, PostgresOptions{Plaintext: true}, false},
		{"two values of a setting", PostgresOptions{Settings: map[string]string{"a": "1"}}, PostgresOptions{Settings: map[string]string{"a": "2"}}, false},
		{"one setting that looks like two", PostgresOptions{Settings: map[string]string{"a": "1 b:2"}}, PostgresOptions{Settings: map[string]string{"a": "1", "b": "2"}}, false},
		{"one rule that looks like two", PostgresOptions{HBA: []string{"x y"}}, PostgresOptions{HBA: []string{"x", "y"}}, false},
		{"the same rules in another order", PostgresOptions{HBA: []string{"x", "y"}}, PostgresOptions{HBA: []string{"y", "x"}}, false},
	} {
		if got := postgresKey(row.one) == postgresKey(row.two); got != row.shared {
			t.Errorf("%s: shared %v, want %v", row.name, got, row.shared)
		}
	}
}

func TestEqualMySQLOptionsShareAServer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		one, two MySQLOptions
		shared   bool
	}{
		{"the newest version, named and not", MySQLOptions{}, MySQLOptions{Version: mysqlReleases.newest().major}, true},
		{"nothing, and an empty list of it", MySQLOptions{}, MySQLOptions{Settings: map[string]string{}}, true},
		{
			"a setting with underscores and one with dashes",
			MySQLOptions{Settings: map[string]string{"sql_mode": "ANSI_QUOTES"}},
			MySQLOptions{Settings: map[string]string{"sql-mode": "ANSI_QUOTES"}},
			true,
		},
		{"two versions", MySQLOptions{Version: "8.4"}, MySQLOptions{}, false},
		{"two values of a setting", MySQLOptions{Settings: map[string]string{"a": "1"}}, MySQLOptions{Settings: map[string]string{"a": "2"}}, false},
		{"no TLS at all, and plaintext beside it", MySQLOptions{NoTLS: true}, MySQLOptions{Plaintext: true}, false},
	} {
		if got := mysqlKey(row.one) == mysqlKey(row.two); got != row.shared {
			t.Errorf("MySQL: %s: shared %v, want %v", row.name, got, row.shared)
		}
		if row.one.Version != "" || row.two.Version != "" {
			continue
		}
		if got := mariadbKey(MariaDBOptions(row.one)) == mariadbKey(MariaDBOptions(row.two)); got != row.shared {
			t.Errorf("MariaDB: %s: shared %v, want %v", row.name, got, row.shared)
		}
	}
	if mariadbKey(MariaDBOptions{Version: "1"}) == mysqlKey(MySQLOptions{Version: "1"}) {
		t.Error("servers of two engines are one to the pool")
	}
}

// TestAPoolKnowsEveryOption fails where an option was added that the pool does
// not tell servers apart by.
func TestAPoolKnowsEveryOption(t *testing.T) {
	t.Parallel()
	differs(t, postgresKey)
	differs(t, mysqlKey)
	differs(t, mariadbKey)
}

// differs checks that each field of Options makes another key.
func differs[Options any](t *testing.T, key func(Options) string) {
	t.Helper()
	values := map[string]any{
		"Version": "1", "Settings": map[string]string{"a": "1"}, "HBA": []string{"x"}, "NoTLS": true, "Plaintext": true,
	}
	for field := range reflect.TypeFor[Options]().Fields() {
		value, known := values[field.Name]
		if !known {
			t.Errorf("the option %s of %s has no value here", field.Name, reflect.TypeFor[Options]())
			continue
		}
		var opt, zero Options
		reflect.ValueOf(&opt).Elem().FieldByIndex(field.Index).Set(reflect.ValueOf(value))
		if key(opt) == key(zero) {
			t.Errorf("servers that differ in %s of %s are one to the pool", field.Name, reflect.TypeFor[Options]())
		}
	}
}

func TestAPoolStartsAServerOnceForAllWhoAsk(t *testing.T) {
	t.Parallel()
	var pool Pool
	t.Cleanup(func() { check(t, pool.Close()) })
	for engine, ask := range map[string]func() (*Server, error){
		"postgres": func() (*Server, error) { return pool.Postgres(PostgresOptions{NoTLS: true}) },
		"mysql":    func() (*Server, error) { return pool.MySQL(MySQLOptions{NoTLS: true}) },
		"mariadb":  func() (*Server, error) { return pool.MariaDB(MariaDBOptions{NoTLS: true}) },
	} {
		asked := make([]*Server, 4)
		var asking sync.WaitGroup
		for i := range asked {
			asking.Go(func() {
				s, err := ask()
				if err != nil {
					t.Error(err)
				}
				asked[i] = s
			})
		}
		asking.Wait()
		for _, s := range asked {
			if s == nil || s != asked[0] {
				t.Fatalf("those who asked for %s have %v, want one server for all", engine, asked)
			}
		}
		if asked[0].Engine != engine {
			t.Errorf("who asked for %s has %s", engine, asked[0].Engine)
		}
		opens(t.Context(), t, asked[0], adminName, asked[0].Admin.Password.Reveal(), true)
		t.Cleanup(func() {
			if _, err := asked[0].Log(context.Background()); !errors.Is(err, errClosed) {
				t.Errorf("a %s server of a closed pool: %v", engine, err)
			}
		})
	}
	check(t, pool.Close())
}

func TestAPoolTellsEveryoneWhyAServerDidNotStart(t *testing.T) {
	t.Parallel()
	var pool Pool
	t.Cleanup(func() { check(t, pool.Close()) })
	for range 2 {
		if _, err := pool.Postgres(PostgresOptions{Version: "9.6"}); err == nil || !strings.Contains(err.Error(), `"9.6"`) {
			t.Errorf("got %v", err)
		}
	}
}
