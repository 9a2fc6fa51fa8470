package dbservers

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestEqualOptionsShareAServer(t *testing.T) {
	t.Parallel()
	newest := newestPostgres().major
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
		if got := poolKey(row.one) == poolKey(row.two); got != row.shared {
			t.Errorf("%s: shared %v, want %v", row.name, got, row.shared)
		}
	}
}

// TestAPoolKnowsEveryOption fails where an option was added that the pool does
// not tell servers apart by.
func TestAPoolKnowsEveryOption(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"Version": "15", "Settings": map[string]string{"a": "1"}, "HBA": []string{"x"}, "NoTLS": true, "Plaintext": true,
	}
	for field := range reflect.TypeFor[PostgresOptions]().Fields() {
		value, known := values[field.Name]
		if !known {
			t.Errorf("the option %s has no value here", field.Name)
			continue
		}
		var opt PostgresOptions
		reflect.ValueOf(&opt).Elem().FieldByIndex(field.Index).Set(reflect.ValueOf(value))
		if poolKey(opt) == poolKey(PostgresOptions{}) {
			t.Errorf("servers that differ in %s are one to the pool", field.Name)
		}
	}
}

func TestAPoolStartsAServerOnceForAllWhoAsk(t *testing.T) {
	t.Parallel()
	var pool Pool
	t.Cleanup(func() { check(t, pool.Close()) })
	asked := make([]*Server, 4)
	var asking sync.WaitGroup
	for i := range asked {
		asking.Go(func() {
			s, err := pool.Postgres(PostgresOptions{NoTLS: true})
			if err != nil {
				t.Error(err)
			}
			asked[i] = s
		})
	}
	asking.Wait()
	for _, s := range asked {
		if s == nil || s != asked[0] {
			t.Fatalf("those who asked have %v, want one server for all", asked)
		}
	}
	opens(t.Context(), t, asked[0], postgresAdmin, asked[0].Admin.Password.Reveal(), true)
	check(t, pool.Close())
	if _, err := asked[0].Log(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("a server of a closed pool: %v", err)
	}
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
