package integration_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestAnApplicationSignsInAllTheWhile reads the secret and signs in, in a loop,
// through twenty rotations by each strategy under which the credential of the
// rotation before goes on opening the database.
func TestAnApplicationSignsInAllTheWhile(t *testing.T) {
	t.Parallel()
	postgres := func(t *testing.T) *dbservers.Server {
		return sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	}
	mysql := func(t *testing.T) *dbservers.Server { return sharedMySQL(t, dbservers.MySQLOptions{Plaintext: true}) }
	mariadb := func(t *testing.T) *dbservers.Server {
		return sharedMariaDB(t, dbservers.MariaDBOptions{Plaintext: true})
	}
	redshift := func(t *testing.T) *dbservers.Server {
		return sharedRedshift(t, dbservers.RedshiftOptions{Plaintext: true})
	}
	documentdb := func(t *testing.T) *dbservers.Server {
		return sharedDocumentDB(t, dbservers.DocumentDBOptions{Plaintext: true})
	}
	for _, row := range []struct {
		name   string
		server func(*testing.T) *dbservers.Server
		secret func(*stage) (arn string)
	}{
		{"postgres alternating", postgres, (*stage).alternatingSecret},
		{"mysql alternating", mysql, (*stage).alternatingSecret},
		{"mysql dual-password by itself", mysql, (*stage).dualPasswordSecret},
		{"mysql dual-password by an admin", mysql, (*stage).dualPasswordSecretByAdmin},
		{"mariadb alternating", mariadb, (*stage).alternatingSecret},
		{"mariadb dual-password by an admin", mariadb, (*stage).dualPasswordSecretByAdmin},
		{"redshift alternating", redshift, (*stage).alternatingSecret},
		{"documentdb alternating", documentdb, (*stage).alternatingSecret},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, stageOptions{server: row.server(t), env: map[string]string{"CREATE_TWINS": "true"}})
			arn := row.secret(s)
			app := s.startApplication(arn)
			for range 20 {
				app.reads()
				if err := s.rotate(arn); err != nil {
					t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
				}
			}
			app.reads()
			if signedIn, failures := app.end(); len(failures) > 0 {
				t.Errorf("%d of %d sign-ins failed: %v", len(failures), signedIn, failures)
			}
		})
	}
}

// application reads a secret and signs in with what it has read, in a loop.
type application struct {
	s        *stage
	stop     context.CancelFunc
	done     sync.WaitGroup
	signedIn atomic.Int64
	failures []error
}

func (s *stage) startApplication(arn string) *application {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	app := &application{s: s, stop: stop}
	app.done.Go(func() {
		username, password := s.credential(arn, "AWSCURRENT")
		for ctx.Err() == nil {
			// What was read is used once more after the next read: an
			// application is always a little late.
			nextUsername, nextPassword := s.credential(arn, "AWSCURRENT")
			open, err := s.server.Opens(context.Background(), username, password)
			if err == nil && !open {
				err = fmt.Errorf("%s is refused", username)
			}
			if err != nil {
				app.failures = append(app.failures, err)
			}
			app.signedIn.Add(1)
			username, password = nextUsername, nextPassword
		}
	})
	s.t.Cleanup(func() { _, _ = app.end() })
	return app
}

// reads waits until the application holds what AWSCURRENT is now. A credential
// is good until the rotation after the next one: so it reads once between two
// of them, however loaded the machine is.
func (a *application) reads() {
	a.s.t.Helper()
	before := a.signedIn.Load()
	if !eventually(func() bool { return a.signedIn.Load() >= before+2 }) {
		a.s.t.Fatal("the application does not sign in")
	}
}

// end stops the application and tells how it went. It may be called again.
func (a *application) end() (signedIn int64, failures []error) {
	a.stop()
	a.done.Wait()
	return a.signedIn.Load(), a.failures
}
