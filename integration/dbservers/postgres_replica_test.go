package dbservers

import (
	"context"
	"errors"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/moby/moby/client"
)

// readOnly is the SQLSTATE read_only_sql_transaction.
//
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const readOnly = "25006"

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
	each(t, func(t *testing.T, version string, w way) {
		t.Helper()
		ctx := within(t)
		primary := start(t, PostgresOptions{Version: version}, w)
		check(t, primary.CreateUser(ctx, "app", "planted-first"))
		replica := startReplica(t, primary)
		if replica.Port == primary.Port || replica.Version != primary.Version || replica.Source != primary.Source {
			t.Errorf("the replica is %s on port %d, %s; the primary %s on port %d, %s",
				replica.Version, replica.Port, replica.Source, primary.Version, primary.Port, primary.Source)
		}
		letsNobodyInWithoutVerifiedTLS(ctx, t, replica.Server)
		hasAnAdminWhoIsNoSuperuser(ctx, t, replica.Server)
		verifiesItsPrimary(ctx, t, replica)
		refusesWrites(ctx, t, replica)
		followsItsPrimary(ctx, t, primary, replica)
		servesWithoutItsPrimary(ctx, t, primary, replica)
		catchesUp(ctx, t, primary, replica)
		keepsPasswordsOutOfTheLogs(ctx, t, primary, replica)
		leavesNothing(ctx, t, replica.Server)
		opens(ctx, t, primary, "app", "fourth", true)
		leavesNothing(ctx, t, primary)
	})
}

func verifiesItsPrimary(ctx context.Context, t *testing.T, replica *Replica) {
	t.Helper()
	conn, err := replica.ConnectSuperuser(ctx)
	check(t, err)
	defer closeConn(ctx, conn)
	var conninfo string
	check(t, conn.QueryRow(ctx, "SELECT conninfo FROM pg_stat_wal_receiver WHERE status = 'streaming'").Scan(&conninfo))
	if !strings.Contains(conninfo, "sslmode=verify-ca") || !strings.Contains(conninfo, "/"+replicaRoots) {
		t.Errorf("the replica signs in to its primary by %q, want TLS verified by the authority", conninfo)
	}
}

func refusesWrites(ctx context.Context, t *testing.T, replica *Replica) {
	t.Helper()
	for _, err := range []error{
		replica.Exec(ctx, "ALTER ROLE app PASSWORD 'planted-here'"),
		replica.CreateUser(ctx, "other", "planted-here"),
	} {
		if refused := (&pgconn.PgError{}); !errors.As(err, &refused) || refused.Code != readOnly {
			t.Errorf("a write: %v, want SQLSTATE %s", err, readOnly)
		}
	}
	if _, err := replica.StartReplica(ctx); err == nil || !strings.Contains(err.Error(), "replica itself") {
		t.Errorf("a replica of a replica: %v", err)
	}
}

func followsItsPrimary(ctx context.Context, t *testing.T, primary *Server, replica *Replica) {
	t.Helper()
	opens(ctx, t, replica.Server, "app", "planted-first", true)
	check(t, replica.PauseReplay(ctx))
	check(t, replica.PauseReplay(ctx))
	changePassword(ctx, t, primary, "second")
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

func changePassword(ctx context.Context, t *testing.T, primary *Server, password string) {
	t.Helper()
	check(t, primary.Exec(ctx, "ALTER ROLE app PASSWORD "+quoteText(password)))
}

// replicaHasReceivedAll returns when all that the primary has committed is on
// the replica, replayed or not.
func replicaHasReceivedAll(ctx context.Context, t *testing.T, primary *Server, replica *Replica) {
	t.Helper()
	written, err := primary.flushedPosition(ctx)
	check(t, err)
	check(t, replica.poll(ctx, "SELECT pg_last_wal_receive_lsn() >= $1::pg_lsn", written))
}

func servesWithoutItsPrimary(ctx context.Context, t *testing.T, primary *Server, replica *Replica) {
	t.Helper()
	check(t, primary.Stop(ctx))
	opens(ctx, t, replica.Server, "app", "second", true)
	if err := replica.WaitForReplay(ctx); err == nil {
		t.Error("waiting for what a stopped primary has committed: no error")
	}
	check(t, primary.Start(ctx))
	changePassword(ctx, t, primary, "third")
	check(t, replica.WaitForReplay(ctx))
	opens(ctx, t, replica.Server, "app", "third", true)
}

func catchesUp(ctx context.Context, t *testing.T, primary *Server, replica *Replica) {
	t.Helper()
	check(t, replica.PauseReplay(ctx))
	check(t, replica.Stop(ctx))
	changePassword(ctx, t, primary, "fourth")
	// A primary that keeps nothing for its replicas drops this after a
	// checkpoint.
	for _, statement := range []string{
		"SELECT pg_switch_wal()", "CREATE TABLE meanwhile ()", "SELECT pg_switch_wal()", "CHECKPOINT",
	} {
		check(t, primary.Exec(ctx, statement))
	}
	check(t, replica.Start(ctx))
	check(t, replica.WaitForReplay(ctx))
	opens(ctx, t, replica.Server, "app", "fourth", true)
}

func keepsPasswordsOutOfTheLogs(ctx context.Context, t *testing.T, primary *Server, replica *Replica) {
	t.Helper()
	mine, err := replica.Log(ctx)
	check(t, err)
	if !strings.Contains(mine, "started streaming WAL from primary") || !strings.Contains(mine, "connection authorized: user=app") {
		t.Error("the log is not the replica's")
	}
	theirs, err := primary.Log(ctx)
	check(t, err)
	for name, text := range map[string]string{"replica": mine, "primary": theirs} {
		for _, password := range []string{primary.Superuser.Password.Reveal(), primary.Admin.Password.Reveal(), "planted-first"} {
			if strings.Contains(text, password) {
				t.Errorf("the %s's log holds a password", name)
			}
		}
	}
}

func TestAReplicaOutlivesItsClosedPrimary(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, version string, w way) {
		t.Helper()
		ctx := within(t)
		primary := start(t, PostgresOptions{Version: version, NoTLS: true}, w)
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
	ctx := within(t)
	primary := start(t, PostgresOptions{}, anyPlace(t))
	replica := startReplica(t, primary)
	check(t, replica.PauseReplay(ctx))
	waiting, giveUp := context.WithTimeout(ctx, 250*askEvery)
	defer giveUp()
	if err := replica.WaitForReplay(waiting); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "paused") {
		t.Errorf("got %v, want the deadline and a word of the pause", err)
	}
}
