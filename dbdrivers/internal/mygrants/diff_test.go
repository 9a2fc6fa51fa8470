package mygrants

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustParse(t *testing.T, d Dialect, rows ...string) Set {
	t.Helper()
	var all []string
	defaults := make(Set)
	for _, row := range rows {
		if name, is := strings.CutPrefix(row, "default "); is {
			defaults.Add(Atom{Kind: DefaultRole, Account: Account{name, "%"}})
			continue
		}
		all = append(all, row+" TO `app`@`%`")
	}
	for i := range all {
		all[i] = strings.Replace(all[i], " WITH GO TO `app`@`%`", " TO `app`@`%` WITH GRANT OPTION", 1)
		all[i] = strings.Replace(all[i], " WITH AO TO `app`@`%`", " TO `app`@`%` WITH ADMIN OPTION", 1)
		if strings.HasPrefix(all[i], "REVOKE") {
			all[i] = strings.Replace(all[i], " TO `app`", " FROM `app`", 1)
		}
	}
	set, err := Parse(d, app, all)
	if err != nil {
		t.Fatal(err)
	}
	set.Add(defaults.Sorted()...)
	return set
}

// TestDiff writes statements without the account at their end.
func TestDiff(t *testing.T) {
	tests := []struct {
		name             string
		want, have, says []string
		dialect          Dialect
	}{
		{name: "equal", want: []string{"GRANT SELECT ON `a`.*"}, have: []string{"GRANT SELECT ON `a`.*"}},
		{
			name: "a new twin, in the order that the server needs",
			want: []string{
				"default r", "GRANT `r`@`%`", "GRANT `s`@`%` WITH AO", "REVOKE SELECT ON `mysql`.*", "GRANT SELECT, RELOAD ON *.*", "GRANT A_B,C_D ON *.*", "GRANT E_F ON *.* WITH GO",
				"GRANT INSERT, SELECT ON `a`.* WITH GO", "GRANT SELECT (`y`, `x`), UPDATE ON `a`.`t`", "GRANT EXECUTE ON PROCEDURE `a`.`p`", "GRANT PROXY ON `o`@`h` WITH GO",
			},
			says: []string{
				"GRANT RELOAD, SELECT ON *.* TO", "GRANT A_B, C_D ON *.* TO", "GRANT E_F ON *.* TO WITH GRANT OPTION", "REVOKE SELECT ON `mysql`.* FROM",
				"GRANT INSERT, SELECT ON `a`.* TO WITH GRANT OPTION", "GRANT EXECUTE ON PROCEDURE `a`.`p` TO", "GRANT UPDATE, SELECT (`x`, `y`) ON `a`.`t` TO",
				"GRANT PROXY ON `o`@`h` TO WITH GRANT OPTION", "GRANT `r`@`%` TO", "GRANT `s`@`%` TO WITH ADMIN OPTION", "SET DEFAULT ROLE `r`@`%` TO",
			},
		},
		{
			name: "what is too much goes last",
			want: []string{"GRANT SELECT ON `a`.*"}, have: []string{"GRANT INSERT ON `a`.* WITH GO", "GRANT A_B ON *.*", "GRANT `r`@`%`", "default r", "GRANT PROXY ON `o`@`h`"},
			says: []string{
				"GRANT SELECT ON `a`.* TO", "REVOKE INSERT, GRANT OPTION ON `a`.* FROM", "REVOKE A_B ON *.* FROM", "REVOKE PROXY ON `o`@`h` FROM",
				"REVOKE `r`@`%` FROM", "SET DEFAULT ROLE NONE TO",
			},
		},
		{name: "only the grant option", want: []string{"GRANT SELECT ON `a`.`t` WITH GO"}, have: []string{"GRANT SELECT ON `a`.`t`"}, says: []string{"GRANT USAGE ON `a`.`t` TO WITH GRANT OPTION"}},
		{name: "a partial revoke to lift", want: []string{"GRANT SELECT ON *.*"}, have: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `mysql`.*"}, says: []string{"GRANT SELECT ON `mysql`.* TO"}},
		{name: "a dynamic privilege's option too little", want: []string{"GRANT A_B ON *.* WITH GO"}, have: []string{"GRANT A_B ON *.*"}, says: []string{"GRANT A_B ON *.* TO WITH GRANT OPTION"}},
		{name: "a dynamic privilege's option too much", want: []string{"GRANT A_B ON *.*"}, have: []string{"GRANT A_B ON *.* WITH GO"}, says: []string{"REVOKE A_B ON *.* FROM", "GRANT A_B ON *.* TO"}},
		{name: "an admin option too little", want: []string{"GRANT `r`@`%` WITH AO"}, have: []string{"GRANT `r`@`%`"}, says: []string{"GRANT `r`@`%` TO WITH ADMIN OPTION"}},
		{
			name: "an admin option too much, of a default role",
			want: []string{"GRANT `r`@`%`", "default r"}, have: []string{"GRANT `r`@`%` WITH AO", "default r"},
			says: []string{"REVOKE `r`@`%` FROM", "GRANT `r`@`%` TO", "SET DEFAULT ROLE `r`@`%` TO"},
		},
		{
			name: "an admin option too much in MariaDB", dialect: MariaDB,
			want: []string{"GRANT `r`"}, have: []string{"GRANT `r` WITH AO"}, says: []string{"REVOKE ADMIN OPTION FOR `r` FROM"},
		},
		{name: "roles in MariaDB", dialect: MariaDB, want: []string{"GRANT `r`", "GRANT `s`"}, says: []string{"GRANT `r` TO", "GRANT `s` TO"}},
		{name: "a proxy's option too much", want: []string{"GRANT PROXY ON `o`@`h`"}, have: []string{"GRANT PROXY ON `o`@`h` WITH GO"}, says: []string{"REVOKE PROXY ON `o`@`h` FROM", "GRANT PROXY ON `o`@`h` TO"}},
		{
			name: "a column's privilege that goes with the table's",
			want: []string{"GRANT UPDATE (`id`) ON `a`.`t`"}, have: []string{"GRANT UPDATE ON `a`.`t`"},
			says: []string{"GRANT UPDATE (`id`) ON `a`.`t` TO", "REVOKE UPDATE ON `a`.`t` FROM", "GRANT UPDATE (`id`) ON `a`.`t` TO"},
		},
		{name: "a column's privilege beside the table's", have: []string{"GRANT UPDATE, UPDATE (`id`) ON `a`.`t`"}, says: []string{"REVOKE UPDATE ON `a`.`t` FROM"}},
		{
			name: "all of a table but some",
			want: []string{"GRANT SELECT, INSERT ON `a`.`t`"}, have: []string{"GRANT ALL PRIVILEGES ON `a`.`t`"},
			says: []string{
				"GRANT INSERT, SELECT ON `a`.`t` TO",
				"REVOKE UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE VIEW, SHOW VIEW, TRIGGER ON `a`.`t` FROM",
			},
		},
		{name: "all in place of some", want: []string{"GRANT ALL PRIVILEGES ON `a`.*"}, have: []string{"GRANT SELECT, INSERT ON `a`.*"}, says: []string{"GRANT ALL PRIVILEGES ON `a`.* TO"}},
		{name: "names that would be something else unquoted", want: []string{"GRANT SELECT (`x``) ON y`) ON `a``; --`.`b TO c`"}, says: []string{"GRANT SELECT (`x``) ON y`) ON `a``; --`.`b TO c` TO"}},
	}
	twin := Account{"app`s", "10.%"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, s := range Diff(test.dialect, twin, mustParse(t, test.dialect, test.want...), mustParse(t, test.dialect, test.have...)) {
				if !strings.Contains(s.SQL, " `app``s`@`10.%`") {
					t.Errorf("%s names another account", s.SQL)
				}
				got = append(got, strings.Replace(s.SQL, " `app``s`@`10.%`", "", 1))
				if len(s.Parts) != 0 && len(s.Parts) != len(s.Atoms) {
					t.Errorf("%s has %d parts and %d atoms", s.SQL, len(s.Parts), len(s.Atoms))
				}
			}
			if diff := cmp.Diff(test.says, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWiden(t *testing.T) {
	tests := []struct {
		name             string
		want, have, both []string
	}{
		{name: "both have what either has", want: []string{"GRANT SELECT ON `a`.*"}, have: []string{"GRANT INSERT ON `a`.*"}, both: []string{"GRANT SELECT, INSERT ON `a`.*"}},
		{name: "the sibling's option", want: []string{"GRANT A_B ON *.* WITH GO"}, have: []string{"GRANT A_B ON *.*"}, both: []string{"GRANT A_B ON *.* WITH GO"}},
		{name: "its own option", want: []string{"GRANT `r`@`%`"}, have: []string{"GRANT `r`@`%` WITH AO"}, both: []string{"GRANT `r`@`%` WITH AO"}},
		{name: "default roles of both", want: []string{"default r"}, have: []string{"default s"}, both: []string{"default r", "default s"}},
		{
			name: "the sibling's restriction of what comes from the sibling",
			want: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `mysql`.*"}, both: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `mysql`.*"},
		},
		{
			name: "no restriction of what it has without one",
			want: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `mysql`.*"}, have: []string{"GRANT SELECT ON *.*"}, both: []string{"GRANT SELECT ON *.*"},
		},
		{
			name: "a restriction that its sibling has not",
			want: []string{"GRANT SELECT ON *.*"}, have: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `mysql`.*"}, both: []string{"GRANT SELECT ON *.*"},
		},
		{
			name: "a restriction of what is its own",
			have: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `mysql`.*"}, both: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `mysql`.*"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Widen(mustParse(t, MySQL, test.want...), mustParse(t, MySQL, test.have...))
			if diff := cmp.Diff(mustParse(t, MySQL, test.both...), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestChanges tells of rights: a restriction that comes is a right that goes.
func TestChanges(t *testing.T) {
	tests := []struct {
		name                     string
		want, have, gained, lost []string
	}{
		{name: "equal", want: []string{"GRANT SELECT ON *.*"}, have: []string{"GRANT SELECT ON *.*"}},
		{
			name: "privileges", want: []string{"GRANT SELECT (`c`) ON `a`.`t` WITH GO"}, have: []string{"GRANT EXECUTE ON FUNCTION `a`.`f`"},
			gained: []string{"SELECT (`c`) on `a`.`t`", "GRANT OPTION on `a`.`t`"}, lost: []string{"EXECUTE on FUNCTION `a`.`f`"},
		},
		{
			name: "a restriction that comes", want: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `m`.*"}, have: []string{"GRANT SELECT ON *.*"},
			lost: []string{"SELECT on `m`.*"},
		},
		{
			name: "a restriction that goes", want: []string{"GRANT SELECT ON *.*"}, have: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `m`.*"},
			gained: []string{"SELECT on `m`.*"},
		},
		{
			name: "a restricted privilege", want: []string{"GRANT SELECT ON *.*", "REVOKE SELECT ON `m`.*"},
			gained: []string{"SELECT on *.*", "partial revoke of SELECT on `m`.*"},
		},
		{name: "an option that comes", want: []string{"GRANT `r`@`%` WITH AO"}, have: []string{"GRANT `r`@`%`"}, gained: []string{"role `r`@`%` with ADMIN OPTION"}},
		{
			name: "options that go", want: []string{"GRANT A_B ON *.*", "GRANT PROXY ON `o`@`h`"}, have: []string{"GRANT A_B ON *.* WITH GO", "GRANT PROXY ON `o`@`h` WITH GO"},
			lost: []string{"A_B on *.* with GRANT OPTION", "PROXY on `o`@`h` with GRANT OPTION"},
		},
		{name: "a default role", want: []string{"default r"}, gained: []string{"default role `r`@`%`"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			gained, lost := Changes(mustParse(t, MySQL, test.want...), mustParse(t, MySQL, test.have...))
			if diff := cmp.Diff(test.gained, gained); diff != "" {
				t.Errorf("gained (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.lost, lost); diff != "" {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRevokeTogether(t *testing.T) {
	got := RevokeTogether(MySQL, app, Atom{Kind: Dynamic, Name: "A_B", Option: true}, Atom{Kind: Privilege, Name: "PROCESS"}).SQL
	if want := "REVOKE A_B, PROCESS ON *.* FROM `app`@`%`"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
}
