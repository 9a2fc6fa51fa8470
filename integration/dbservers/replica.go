package dbservers

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// replayWithin bounds how long a replica is waited for.
const replayWithin = time.Minute

// Replica is a read-only server that follows another one, its primary, by the
// engine's own replication. It has the primary's accounts, passwords, databases
// and settings, and a certificate of the primary's authority; host, port and
// log are its own. What the primary commits shows after a moment, or when
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
	given := passwords{superuser: s.Superuser.Password.Reveal(), admin: s.Admin.Password.Reveal()}
	p, err := s.place.beside(ctx, s.dialect.replica(s.CA, given.superuser))
	if err != nil {
		return nil, err
	}
	r := &Replica{Server: newServer(p, s.dialect, s.CA, given), primary: s}
	r.Version = s.Version
	if err := r.begin(ctx); err != nil {
		return nil, r.giveUp(ctx, err)
	}
	if err := r.WaitForReplay(ctx); err != nil {
		return nil, r.giveUp(ctx, err)
	}
	return r, nil
}

// primaryOnly is an error for a server that is a replica itself.
func (s *Server) primaryOnly(ctx context.Context) error {
	quiet, err := s.quietly(ctx, s.Database)
	if err != nil {
		return err
	}
	defer quiet.leave(ctx)
	var replica bool
	if err := quiet.ask(ctx, &replica, s.dialect.isReplica()); err != nil {
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
func (r *Replica) PauseReplay(ctx context.Context) error {
	statement, question := r.dialect.pause()
	if err := r.Exec(ctx, statement); err != nil {
		return fmt.Errorf("pausing the replay: %w", err)
	}
	if err := r.poll(ctx, question); err != nil {
		return fmt.Errorf("pausing the replay: %w", err)
	}
	return nil
}

// ResumeReplay ends [Replica.PauseReplay]; see [Replica.WaitForReplay]. Where
// nothing is paused it does nothing.
func (r *Replica) ResumeReplay(ctx context.Context) error {
	if err := r.Exec(ctx, r.dialect.resume()); err != nil {
		return fmt.Errorf("resuming the replay: %w", err)
	}
	return nil
}

// WaitForReplay returns when the replica serves all that the primary had
// committed before the call. It is an error after a minute, as it is where the
// replay stays paused or the primary is stopped.
func (r *Replica) WaitForReplay(ctx context.Context) error {
	written, err := r.primary.position(ctx)
	if err != nil {
		return fmt.Errorf("waiting for the replica: asking the primary: %w", err)
	}
	if err := r.poll(ctx, r.dialect.reached(), written); err != nil {
		return fmt.Errorf("waiting for the replica to replay the primary's log to %s (it does not while paused): %w", written, err)
	}
	return nil
}

// position returns a position in the server's log that lies behind all that
// was committed.
func (s *Server) position(ctx context.Context) (string, error) {
	quiet, err := s.quietly(ctx, s.Database)
	if err != nil {
		return "", err
	}
	defer quiet.leave(ctx)
	return s.dialect.position(ctx, quiet)
}

// poll asks the replica until the answer is true.
func (r *Replica) poll(ctx context.Context, question string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, replayWithin)
	defer cancel()
	quiet, err := r.quietly(ctx, r.dialect.systemDatabase())
	if err != nil {
		return err
	}
	defer quiet.leave(ctx)
	ask := time.NewTicker(askEvery)
	defer ask.Stop()
	for {
		var yes bool
		if err := quiet.ask(ctx, &yes, question, args...); err != nil {
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
