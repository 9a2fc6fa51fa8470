package dbservers

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

func startReplica(t *testing.T, primary *Server) *Replica {
	t.Helper()
	r, err := primary.StartReplica(within(t))
	check(t, err)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestAReplicaFromStartToClose is one long story, since a server is dear.
func TestAReplicaFromStartToClose(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f flavour, version string, w way) {
		t.Helper()
		ctx := within(t)
		primary, err := f.start(ctx, version, false, w)
		started(t, primary, err)
		check(t, primary.CreateUser(ctx, "app", "planted-first"))
		replica := startReplica(t, primary)
		if replica.Port == primary.Port || replica.Version != primary.Version || replica.Source != primary.Source {
			t.Errorf("the replica is %s on port %d, %s; the primary %s on port %d, %s",
				replica.Version, replica.Port, replica.Source, primary.Version, primary.Port, primary.Source)
		}
		letsNobodyInWithoutVerifiedTLS(ctx, t, replica.Server, f)
		verifiesItsPrimary(ctx, t, replica)
		refusesWrites(ctx, t, replica, f)
		followsItsPrimary(ctx, t, primary, replica, f)
		servesWithoutItsPrimary(ctx, t, primary, replica, f)
		catchesUp(ctx, t, primary, replica, f)
		keepsPasswordsOutOfTheLogs(ctx, t, primary, replica, f)
		leavesNothing(ctx, t, replica.Server)
		opens(ctx, t, primary, "app", "fourth", true)
		leavesNothing(ctx, t, primary)
	})
}

// verifiesItsPrimary reads it where the server keeps how it signed in.
func verifiesItsPrimary(ctx context.Context, t *testing.T, replica *Replica) {
	t.Helper()
	quiet, err := replica.quietly(ctx, replica.Database)
	check(t, err)
	defer quiet.leave(ctx)
	var kept string
	switch replica.Engine {
	case "postgres":
		check(t, quiet.ask(ctx, &kept, "SELECT conninfo FROM pg_stat_wal_receiver WHERE status = 'streaming'"))
		if !strings.Contains(kept, "sslmode=verify-ca") || !strings.Contains(kept, "/"+replicaRoots) {
			t.Errorf("the replica signs in to its primary by %q, want TLS verified by the authority", kept)
		}
	case "mysql":
		check(t, quiet.ask(ctx, &kept, "SELECT CONCAT(Enabled_ssl, Ssl_verify_server_cert, Ssl_ca) FROM mysql.slave_master_info"))
		if !strings.HasPrefix(kept, "11/") || !strings.HasSuffix(kept, "/"+mysqlRoots) {
			t.Errorf("the replica signs in to its primary by %q, want TLS verified by the authority", kept)
		}
	case "mariadb":
		status := replicaStatus(ctx, t, replica)
		if status["Master_SSL_Allowed"] != "Yes" || status["Master_SSL_Verify_Server_Cert"] != "Yes" ||
			!strings.HasSuffix(status["Master_SSL_CA_File"], "/"+mysqlRoots) {
			t.Errorf("the replica signs in to its primary by %v, want TLS verified by the authority", status)
		}
	default:
		t.Errorf("no word on how a replica of %s signs in", replica.Engine)
	}
}

func refusesWrites(ctx context.Context, t *testing.T, replica *Replica, f flavour) {
	t.Helper()
	for _, err := range []error{
		replica.Exec(ctx, f.setPassword("app", "refused-here")),
		replica.CreateUser(ctx, "other", "planted-here"),
	} {
		if !f.readOnly(err) {
			t.Errorf("a write: %v, want the refusal of a read-only server", err)
		}
	}
	if _, err := replica.StartReplica(ctx); err == nil || !strings.Contains(err.Error(), "replica itself") {
		t.Errorf("a replica of a replica: %v", err)
	}
}

func followsItsPrimary(ctx context.Context, t *testing.T, primary *Server, replica *Replica, f flavour) {
	t.Helper()
	opens(ctx, t, replica.Server, "app", "planted-first", true)
	check(t, replica.PauseReplay(ctx))
	check(t, replica.PauseReplay(ctx))
	check(t, primary.Exec(ctx, f.setPassword("app", "second")))
	opens(ctx, t, primary, "app", "second", true)
	replicaHasReceivedAll(ctx, t, primary, replica)
	opens(ctx, t, replica.Server, "app", "second", false)
	opens(ctx, t, replica.Server, "app", "planted-first", true)
	check(t, replica.ResumeReplay(ctx))
	check(t, replica.ResumeReplay(ctx))
	check(t, replica.WaitForReplay(ctx))
	opens(ctx, t, replica.Server, "app", "second", true)
	opens(ctx, t, replica.Server, "app", "planted-first", false)
}

// replicaHasReceivedAll returns when all that the primary has committed is on
// the replica, replayed or not.
func replicaHasReceivedAll(ctx context.Context, t *testing.T, primary *Server, replica *Replica) {
	t.Helper()
	written, err := primary.position(ctx)
	check(t, err)
	switch replica.Engine {
	case "postgres":
		check(t, replica.poll(ctx, "SELECT pg_last_wal_receive_lsn() >= $1::pg_lsn", written))
	case "mysql":
		for {
			received := replicaStatus(ctx, t, replica)["Retrieved_Gtid_Set"]
			var all bool
			quiet, err := replica.quietly(ctx, replica.Database)
			check(t, err)
			check(t, quiet.ask(ctx, &all, "SELECT GTID_SUBSET(?, CONCAT(?, ',', @@GLOBAL.gtid_executed))", written, received))
			quiet.leave(ctx)
			if all {
				return
			}
			wait(ctx, t)
		}
	case "mariadb":
		for replicaStatus(ctx, t, replica)["Gtid_IO_Pos"] != written {
			wait(ctx, t)
		}
	default:
		t.Errorf("no word on what a replica of %s has received", replica.Engine)
	}
}

// wait lets a moment pass, and ends the test that has none left.
func wait(ctx context.Context, t *testing.T) {
	t.Helper()
	select {
	case <-time.After(askEvery):
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}

// replicaStatus is what a replica of MySQL or MariaDB says of itself.
func replicaStatus(ctx context.Context, t *testing.T, replica *Replica) map[string]string {
	t.Helper()
	conn, err := replica.ConnectMySQLSuperuser(ctx)
	check(t, err)
	defer func() { check(t, conn.Close()) }()
	rows, err := conn.QueryContext(ctx, "SHOW REPLICA STATUS")
	check(t, err)
	defer func() { check(t, rows.Close()) }()
	names, err := rows.Columns()
	check(t, err)
	values, into := make([]sql.NullString, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if !rows.Next() {
		t.Fatalf("the server follows nobody: %v", rows.Err())
	}
	check(t, rows.Scan(into...))
	status := make(map[string]string)
	for i, name := range names {
		status[name] = values[i].String
	}
	return status
}

func servesWithoutItsPrimary(ctx context.Context, t *testing.T, primary *Server, replica *Replica, f flavour) {
	t.Helper()
	check(t, primary.Stop(ctx))
	opens(ctx, t, replica.Server, "app", "second", true)
	if err := replica.WaitForReplay(ctx); err == nil {
		t.Error("waiting for what a stopped primary has committed: no error")
	}
	check(t, primary.Start(ctx))
	check(t, primary.Exec(ctx, f.setPassword("app", "third")))
	check(t, replica.WaitForReplay(ctx))
	opens(ctx, t, replica.Server, "app", "third", true)
}

func catchesUp(ctx context.Context, t *testing.T, primary *Server, replica *Replica, f flavour) {
	t.Helper()
	check(t, replica.PauseReplay(ctx))
	check(t, replica.Stop(ctx))
	check(t, primary.Exec(ctx, f.setPassword("app", "fourth")))
	for _, statement := range f.turnOver {
		check(t, primary.Exec(ctx, statement))
	}
	check(t, replica.Start(ctx))
	check(t, replica.WaitForReplay(ctx))
	opens(ctx, t, replica.Server, "app", "fourth", true)
}

func keepsPasswordsOutOfTheLogs(ctx context.Context, t *testing.T, primary *Server, replica *Replica, f flavour) {
	t.Helper()
	text, err := replica.Log(ctx)
	check(t, err)
	if !strings.Contains(text, f.following) {
		t.Error("the log is not the replica's")
	}
	counted, err := replica.SignIns(ctx, "app")
	check(t, err)
	if counted.Accepted == 0 || counted.Refused == 0 {
		t.Errorf("the replica's log tells of the sign-ins %+v, want some of each kind", counted)
	}
	for _, s := range []*Server{primary, replica.Server} {
		keepsPasswordsOutOfItsLogs(ctx, t, s)
	}
}

func TestAReplicaOutlivesItsClosedPrimary(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, f flavour, version string, w way) {
		t.Helper()
		ctx := within(t)
		primary, err := f.start(ctx, version, true, w)
		started(t, primary, err)
		check(t, primary.CreateUser(ctx, "app", "first"))
		one, two := startReplica(t, primary), startReplica(t, primary)
		network := linkOf(one.Server)
		leavesNothing(ctx, t, primary)
		opens(ctx, t, one.Server, "app", "first", true)
		leavesNothing(ctx, t, one.Server)
		opens(ctx, t, two.Server, "app", "first", true)
		leavesNothing(ctx, t, two.Server)
		if network == nil {
			return
		}
		if _, err := network.engine.client.NetworkInspect(ctx, network.id, client.NetworkInspectOptions{}); !cerrdefs.IsNotFound(err) {
			t.Errorf("the network is still there: %v", err)
		}
	})
}

// linkOf is nil where the server is in no container.
func linkOf(s *Server) *link {
	if c, ok := s.place.(*container); ok {
		return c.link
	}
	return nil
}

func TestAReplicaWhoseReplayIsPausedIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, f flavour) {
		t.Helper()
		ctx := within(t)
		primary, err := f.start(ctx, "", false, anyPlace(t))
		started(t, primary, err)
		replica := startReplica(t, primary)
		check(t, replica.PauseReplay(ctx))
		check(t, primary.CreateUser(ctx, "app", "first"))
		waiting, giveUp := context.WithTimeout(ctx, 250*askEvery)
		defer giveUp()
		if err := replica.WaitForReplay(waiting); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "paused") {
			t.Errorf("got %v, want the deadline and a word of the pause", err)
		}
	})
}
