package pgwire

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TestSQLStates goes through the appendix of error codes, class by class, for
// the three moments at which a code can come.
//
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func TestSQLStates(t *testing.T) {
	const before, asked, after, during = "before the password was looked at", "after it was asked for", "after it was right", "of a statement"
	tables := map[string]Rules{before: beforePassword, asked: midway, after: afterPassword, during: statement}
	tests := []struct {
		moment, code, routine string
		want                  error
	}{
		{before, "08P01", "", dbdrivers.ErrUnreachable}, // protocol violation; poolers' general word
		{before, "0A000", "", dbdrivers.ErrUnreachable},
		{before, "28000", "", dbdrivers.ErrUnreachable},
		{before, "28P01", "", dbdrivers.ErrUnreachable},
		{before, "28999", "", dbdrivers.ErrUnreachable},
		{before, "3D000", "", dbdrivers.ErrUnreachable},
		{before, "53300", "", dbdrivers.ErrBusy},
		{before, "53200", "", dbdrivers.ErrBusy},
		{before, "57P01", "", dbdrivers.ErrBusy},
		{before, "57P02", "", dbdrivers.ErrBusy},
		{before, "57P03", "", dbdrivers.ErrBusy},
		{before, "XX000", "", dbdrivers.ErrUnreachable},
		{before, "", "", dbdrivers.ErrUnreachable},

		{asked, "08P01", "", dbdrivers.ErrUnreachable},
		{asked, "28000", "", dbdrivers.ErrUnreachable},

		{after, "08P01", "", dbdrivers.ErrUnreachable},
		{after, "25P04", "", dbdrivers.ErrBusy},
		{after, "28000", "InitializeSessionUserId", dbdrivers.ErrBarred},
		{after, "3D000", "", dbdrivers.ErrBarred},
		{after, "42501", "", dbdrivers.ErrBarred},
		{after, "53300", "InitializeSessionUserId", dbdrivers.ErrBarred},
		{after, "53300", "CheckMyDatabase", dbdrivers.ErrBarred},
		{after, "53300", "InitPostgres", dbdrivers.ErrBusy},
		{after, "53200", "", dbdrivers.ErrBusy},
		{after, "55000", "", dbdrivers.ErrBarred},
		{after, "57P01", "", dbdrivers.ErrBusy},
		{after, "57P04", "", dbdrivers.ErrBarred},
		{after, "58P01", "", dbdrivers.ErrBusy},
		{after, "P0001", "", dbdrivers.ErrBarred}, // a login event trigger
		{after, "XX000", "", dbdrivers.ErrBarred},

		{during, "08006", "", dbdrivers.ErrUnreachable},
		{during, "0A000", "", dbdrivers.ErrUnsupported},
		{during, "0P000", "", dbdrivers.ErrUnsupported},
		{during, "22023", "", dbdrivers.ErrUnsupported},
		{during, "23505", "", dbdrivers.ErrUnsupported},
		{during, "25006", "", dbdrivers.ErrNotWritable},
		{during, "25P02", "", dbdrivers.ErrUnsupported},
		{during, "25P03", "", dbdrivers.ErrBusy},
		{during, "25P04", "", dbdrivers.ErrBusy},
		{during, "2BP01", "", dbdrivers.ErrUnsupported},
		{during, "34000", "", dbdrivers.ErrUnsupported},
		{during, "38000", "", dbdrivers.ErrUnsupported},
		{during, "3D000", "", dbdrivers.ErrUnsupported},
		{during, "40001", "", dbdrivers.ErrBusy},
		{during, "40003", "", dbdrivers.ErrUnreachable},
		{during, "40P01", "", dbdrivers.ErrBusy},
		{during, "42501", "", dbdrivers.ErrPrivilege},
		{during, "42601", "", dbdrivers.ErrUnsupported},
		{during, "42704", "", dbdrivers.ErrUnsupported},
		{during, "53100", "", dbdrivers.ErrNotWritable},
		{during, "53200", "", dbdrivers.ErrBusy},
		{during, "54000", "", dbdrivers.ErrUnsupported},
		{during, "55000", "", dbdrivers.ErrUnsupported},
		{during, "55006", "", dbdrivers.ErrBusy},
		{during, "55P03", "", dbdrivers.ErrBusy},
		{during, "57014", "", dbdrivers.ErrBusy},
		{during, "57P01", "", dbdrivers.ErrBusy},
		{during, "57P04", "", dbdrivers.ErrBarred},
		{during, "57P05", "", dbdrivers.ErrBusy},
		{during, "58030", "", dbdrivers.ErrBusy},
		{during, "F0001", "", dbdrivers.ErrUnsupported},
		{during, "HV000", "", dbdrivers.ErrUnsupported},
		{during, "P0001", "", dbdrivers.ErrUnsupported},
		{during, "XX001", "", dbdrivers.ErrUnsupported},
	}
	used := map[string]map[Rule]bool{before: {}, asked: {}, after: {}, during: {}}
	for _, test := range tests {
		rule := find(&pgconn.PgError{Code: test.code, Routine: test.routine}, tables[test.moment])
		used[test.moment][rule] = true
		if !errors.Is(rule.Class, test.want) {
			t.Errorf("%s %s %s: %v; want %v", test.code, test.routine, test.moment, rule.Class, test.want)
		}
	}
	for moment, rules := range tables {
		for _, rule := range rules {
			if !used[moment][rule] {
				t.Errorf("no case needs the rule %q %s", rule.State, moment)
			}
		}
	}
}

func TestMoreExactRuleWins(t *testing.T) {
	own := Rules{{State: "57014", Class: dbdrivers.ErrPrivilege}}
	if rule := find(&pgconn.PgError{Code: "57014"}, own, statement); !errors.Is(rule.Class, dbdrivers.ErrPrivilege) {
		t.Errorf("%v; want the driver's own rule first", rule.Class)
	}
	if rule := find(&pgconn.PgError{Code: "57P01"}, own, statement); !errors.Is(rule.Class, dbdrivers.ErrBusy) {
		t.Errorf("%v; want the shared rule where the driver has none", rule.Class)
	}
}
