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
	for _, version := range dbservers.TestedPostgresVersions() {
		if err := prepare(ctx, version); err != nil {
			fmt.Fprintf(os.Stderr, "preparing the tests' servers: %v\n", err)
			os.Exit(1)
		}
	}
}

func prepare(ctx context.Context, version string) error {
	began := time.Now()
	server, err := dbservers.StartPostgres(ctx, dbservers.PostgresOptions{Version: version})
	if err != nil {
		return err
	}
	fmt.Printf("PostgreSQL %s: %s, in %s\n", server.Version, server.Source, time.Since(began).Round(100*time.Millisecond))
	return server.Close()
}
