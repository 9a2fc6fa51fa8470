// Command prepare starts and stops each database server that the tests use,
// and prints where each came from. What has to be fetched or made for them is
// there afterwards, and what cannot be had is said before any test runs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Println("starting and stopping each database server of the tests once; what one lacks is fetched or made, which takes some minutes the first time")
	for _, line := range dbservers.Unavailable() {
		fmt.Println("not tested here: " + line)
	}
	for _, engine := range []struct {
		name     string
		versions []string
		start    func(ctx context.Context, version string) (*dbservers.Server, error)
	}{
		{"PostgreSQL", dbservers.TestedPostgresVersions(), func(ctx context.Context, version string) (*dbservers.Server, error) {
			return dbservers.StartPostgres(ctx, dbservers.PostgresOptions{Version: version})
		}},
		{"MySQL", dbservers.TestedMySQLVersions(), func(ctx context.Context, version string) (*dbservers.Server, error) {
			return dbservers.StartMySQL(ctx, dbservers.MySQLOptions{Version: version})
		}},
		{"MariaDB", dbservers.TestedMariaDBVersions(), func(ctx context.Context, version string) (*dbservers.Server, error) {
			return dbservers.StartMariaDB(ctx, dbservers.MariaDBOptions{Version: version})
		}},
		{"Redshift's stand-in", []string{""}, func(ctx context.Context, _ string) (*dbservers.Server, error) {
			return dbservers.StartRedshift(ctx, dbservers.RedshiftOptions{})
		}},
		{"DocumentDB's stand-in", dbservers.DocumentDBStandIns(), func(ctx context.Context, which string) (*dbservers.Server, error) {
			return dbservers.StartDocumentDB(ctx, dbservers.DocumentDBOptions{Gated: which == dbservers.GatedFerretDB})
		}},
	} {
		for _, version := range engine.versions {
			began := time.Now()
			server, err := engine.start(ctx, version)
			if err == nil {
				fmt.Printf("%s %s: %s, in %s\n", engine.name, server.Version, server.Source, time.Since(began).Round(100*time.Millisecond))
				err = server.Close()
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "preparing the tests' servers: %v\n", err)
				os.Exit(1)
			}
		}
	}
}
