// Package engines is the table that names the driver of every engine. A new
// engine is one more line of it.
package engines

import (
	"maps"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/documentdb"
	"github.com/dbrotation/dbrotation/dbdrivers/mariadb"
	"github.com/dbrotation/dbrotation/dbdrivers/mysql"
	"github.com/dbrotation/dbrotation/dbdrivers/postgres"
	"github.com/dbrotation/dbrotation/dbdrivers/redshift"
)

// Table returns the drivers by the values that "engine" may have in a secret.
// The names are those that AWS's own rotation functions and RDS use, so that
// an existing secret needs no edit. The caller owns the map.
//
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
func Table() map[string]dbdrivers.Driver {
	return map[string]dbdrivers.Driver{
		"postgres":          postgres.New(),
		"aurora-postgresql": postgres.New(),
		"mysql":             mysql.New(),
		"aurora-mysql":      mysql.New(),
		"mariadb":           mariadb.New(),
		"redshift":          redshift.New(),
		"documentdb":        documentdb.New(),
		"docdb":             documentdb.New(),
		"mongo":             documentdb.NewMongo(),
	}
}

// Names returns the names of [Table], sorted.
func Names() []string {
	return slices.Sorted(maps.Keys(Table()))
}
