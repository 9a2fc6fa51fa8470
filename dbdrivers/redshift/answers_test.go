package redshift

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/internal/pgwire"
)

func TestCollided(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                  string
		code, message, detail string
		want                  bool
	}{
		{"serializable isolation, as the manual words it", "XX000", "1023", "Serializable isolation violation on table - 100, transactions forming the cycle are: 1, 2", true},
		{"the same in the message", "XX000", "Serializable isolation violation on table in Redshift", "", true},
		{"an internal error of catalogues", "XX000", "tuple concurrently updated", "", true},
		{"another internal error", "XX000", "disk full", "", false},
		{"a serialization failure", "40001", "could not serialize access", "", true},
		{"the name has the word", "42P01", `relation "concurrently" does not exist`, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := fmt.Errorf("altering: %w", &pgconn.PgError{Code: test.code, Message: test.message, Detail: test.detail})
			if got := collided(err); got != test.want {
				t.Errorf("%v is a collision: %t; want %t", err, got, test.want)
			}
		})
	}
}

// TestAnswersAboutOthers: a row about neither account is an answer that cannot
// be relied on.
func TestAnswersAboutOthers(t *testing.T) {
	t.Parallel()
	tw := &twin{req: dbdrivers.OpenTwinRequest{Canonical: "app", Twin: "app_clone"}}
	row := func(texts ...string) (all []pgwire.Value) {
		for _, text := range texts {
			all = append(all, pgwire.Value{Text: text})
		}
		return all
	}
	for name, answer := range map[string]func(map[string]rights) error{
		"a right": func(into map[string]rights) error { return hold(into, "other", tw.right("SELECT ON TABLE t"), false) },
		"default privileges for others": func(into map[string]rights) error {
			return tw.addDefault(into, row("", "RELATION", "maker", "SELECT", "other", "user", "f"))
		},
		"default privileges for a group": func(into map[string]rights) error {
			return tw.addDefault(into, row("", "RELATION", "maker", "SELECT", "app", "group", "f"))
		},
	} {
		into := map[string]rights{"app": {}, "app_clone": {}}
		if err := answer(into); !errors.Is(err, errAnswer) || len(into["app"])+len(into["app_clone"]) > 0 {
			t.Errorf("%s: error %v, rights %v; want that the server does not answer", name, err, into)
		}
	}
}

// TestGrantsAreJoined: what an account owns may be thousands of tables.
func TestGrantsAreJoined(t *testing.T) {
	t.Parallel()
	tw := &twin{req: dbdrivers.OpenTwinRequest{Canonical: "app", Twin: "app_clone"}}
	want := rights{
		tw.right(`SELECT ON TABLE "t"`): false, tw.right(`INSERT ON TABLE "t"`): false, tw.right(`DELETE ON TABLE "t"`): true,
		tw.right(`SELECT ON TABLE "u"`): false, tw.right(`SELECT ("n") ON TABLE "t"`): false,
		tw.right(`ALTER ON DATASHARE "d"`): false, tw.right(`SHARE ON DATASHARE "d"`): false,
	}
	steps, err := tw.steps(state{wantRights: want, haveRights: rights{}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range steps {
		got = append(got, s.sql)
	}
	if diff := cmp.Diff([]string{
		`GRANT ALTER ON DATASHARE "d" TO "app_clone"`,
		`GRANT DELETE ON TABLE "t" TO "app_clone" WITH GRANT OPTION`,
		`GRANT INSERT, SELECT ON TABLE "t" TO "app_clone"`,
		`GRANT SELECT ("n") ON TABLE "t" TO "app_clone"`,
		`GRANT SELECT ON TABLE "u" TO "app_clone"`,
		`GRANT SHARE ON DATASHARE "d" TO "app_clone"`,
	}, got); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	if names := whats(steps); len(names) == 0 || len(steps[2].more) != 1 {
		t.Errorf("the report would have %q; want each right by itself", names)
	}
}

// TestRightsOnObjects: a name may have the word that parts a privilege from
// what it is on.
func TestRightsOnObjects(t *testing.T) {
	t.Parallel()
	tw := &twin{req: dbdrivers.OpenTwinRequest{Twin: "app_clone"}}
	held := rights{
		tw.right(`SELECT ON TABLE "a"."b ON c"`): false, tw.right(`UPDATE ("x ON y") ON TABLE "a"."b ON c"`): false,
		tw.right(`SELECT ON TABLE "a"."b"`): false,
	}
	without(held, []object{{words: `TABLE "a"."b ON c"`}})
	if diff := cmp.Diff([]string{`SELECT ON TABLE "a"."b"`}, func() (left []string) {
		for r := range held {
			left = append(left, r.words)
		}
		return left
	}()); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}
