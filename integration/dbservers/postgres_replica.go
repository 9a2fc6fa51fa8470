package dbservers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// replayWithin bounds how long a replica is waited for.
const replayWithin = time.Minute

// Replica is a read-only server that follows another one, its primary, by
// streaming replication. It has the primary's roles, passwords, databases and
// settings, and a certificate of the primary's authority; host, port and log
// are its own. What the primary commits shows after a moment, or when
// [Replica.ResumeReplay] lets it.
//
// A stopped replica catches up when it is started again, and while the primary
// is stopped the replica goes on serving what it has. They are closed one by
// one, in either order.
type Replica struct {
	*Server
	primary *Server
}

// StartReplica starts a replica of the server, in the same kind of place, and
// returns when it serves all that the server had committed before the call. The
// caller closes it. The server must be running, with a certificate of CA.
func (s *Server) StartReplica(ctx context.Context) (*Replica, error) {
	r, err := s.startReplica(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting a replica: %w", err)
	}
	return r, nil
}

func (s *Server) startReplica(ctx context.Context) (*Replica, error) {
	if err := s.primaryOnly(ctx); err != nil {
		return nil, err
	}
	superuser, admin := s.Superuser.Password.Reveal(), s.Admin.Password.Reveal()
	place, err := s.place.beside(ctx, replicaRecipe(s.release, s.options, s.CA, superuser))
	if err != nil {
		return nil, err
	}
	r := &Replica{Server: newPostgres(place, s.release, s.options, s.CA, superuser, admin), primary: s}
	r.Version = s.Version
	if err := r.awaitReady(ctx); err != nil {
		return nil, r.giveUp(ctx, err)
	}
	if err := r.WaitForReplay(ctx); err != nil {
		return nil, r.giveUp(ctx, err)
	}
	return r, nil
}

// primaryOnly is an error for a server that is a replica itself.
func (s *Server) primaryOnly(ctx context.Context) error {
	conn, err := s.ConnectSuperuser(ctx)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	var replica bool
	if err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&replica); err != nil {
		return fmt.Errorf("asking whether the server is a replica: %w", err)
	}
	if replica {
		return errors.New("the server is a replica itself; start one of its primary")
	}
	return nil
}

// PauseReplay makes the replica serve what it serves now, whatever the primary
// commits, and returns when that is so. It lasts until [Replica.ResumeReplay],
// or until the replica is stopped.
//
// https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL
func (r *Replica) PauseReplay(ctx context.Context) error {
	if err := r.Exec(ctx, "SELECT pg_wal_replay_pause()"); err != nil {
		return fmt.Errorf("pausing the replay: %w", err)
	}
	// The call has only asked for it.
	if err := r.poll(ctx, "SELECT pg_get_wal_replay_pause_state() = 'paused'"); err != nil {
		return fmt.Errorf("pausing the replay: %w", err)
	}
	return nil
}

// ResumeReplay ends [Replica.PauseReplay]; see [Replica.WaitForReplay]. Where
// nothing is paused it does nothing.
func (r *Replica) ResumeReplay(ctx context.Context) error {
	if err := r.Exec(ctx, "SELECT pg_wal_replay_resume()"); err != nil {
		return fmt.Errorf("resuming the replay: %w", err)
	}
	return nil
}

// WaitForReplay returns when the replica serves all that the primary had
// committed before the call. It is an error after a minute, as it is where the
// replay stays paused or the primary is stopped.
func (r *Replica) WaitForReplay(ctx context.Context) error {
	written, err := r.primary.flushedPosition(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the replica: asking the primary: %w", err)
	}
	if err := r.poll(ctx, "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn", written); err != nil {
		return fmt.Errorf("waiting for the replica to replay the primary's log to %s (it does not while paused): %w", written, err)
	}
	return nil
}

// flushedPosition returns a position in the server's write-ahead log that lies
// behind all that was committed, and has been given to replicas. The servers do
// not wait for the log at a commit, so this writes a message of its own that
// does, and that nobody reads.
//
// https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION
func (s *Server) flushedPosition(ctx context.Context) (string, error) {
	conn, err := s.connectQuietly(ctx, s.Database)
	if err != nil {
		return "", err
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, "SET synchronous_commit = local"); err != nil {
		return "", err
	}
	var position string
	err = conn.QueryRow(ctx, "SELECT pg_logical_emit_message(true, 'dbrotation', '')::text").Scan(&position)
	return position, err
}

// poll asks the replica until the answer is true.
func (r *Replica) poll(ctx context.Context, question string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, replayWithin)
	defer cancel()
	conn, err := r.connectQuietly(ctx, r.Database)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for {
		var yes bool
		if err := conn.QueryRow(ctx, question, args...).Scan(&yes); err != nil {
			return err
		}
		if yes {
			return nil
		}
		select {
		case <-ask.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
