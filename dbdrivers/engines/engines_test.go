package engines_test

import (
	"slices"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/engines"
)

// TestTable holds the names under which AWS's own functions and RDS know the
// engines: a secret written for them is found here.
func TestTable(t *testing.T) {
	ports := map[string]int{
		"postgres": 5432, "aurora-postgresql": 5432,
		"mysql": 3306, "aurora-mysql": 3306,
		"mariadb":    3306,
		"redshift":   5439,
		"documentdb": 27017, "docdb": 27017, "mongo": 27017,
	}
	table := engines.Table()
	for name, port := range ports {
		driver, ok := table[name]
		if !ok {
			t.Errorf("no driver for %q", name)
			continue
		}
		if got := driver.Traits().DefaultPort; got != port {
			t.Errorf("%s is reached at %d; want %d", name, got, port)
		}
	}
	for name, driver := range table {
		if driver == nil {
			t.Errorf("%q has no driver", name)
		}
	}
}

func TestNames(t *testing.T) {
	names := engines.Names()
	if !slices.IsSorted(names) || len(names) != len(engines.Table()) {
		t.Errorf("%q; want the table's names, sorted", names)
	}
}

func TestTableIsTheCallers(t *testing.T) {
	engines.Table()["postgres"] = dbdrivers.Driver(nil)
	if engines.Table()["postgres"] == nil {
		t.Error("one caller's change is in another's table")
	}
}
