package localaws

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// The ends of a rotation that are no function's fault; they are the Cause of a
// [RotationError].
var (
	errAbandoned       = errors.New("a new current value was put meanwhile")
	errCancelled       = errors.New("the rotation was cancelled")
	errRotationDeleted = errors.New("the secret was marked for deletion")
	errSuperseded      = errors.New("another rotation was started")
	errOvertaken       = errors.New("the rotation is no longer the one in flight")
	errLabelGone       = errors.New("the AWSPENDING staging label was taken off the version")
	errNotStarted      = errors.New("no rotation was started")
	errGivenUp         = errors.New("the attempts are used up")
)

// RotationError is how a rotation ended without success.
type RotationError struct {
	SecretARN, Token string
	// Attempts is how often the rotation was tried; 0 if none was started.
	Attempts int
	// Step is the step that failed last.
	Step string
	// Cause is why: the function's error, or what ended the rotation.
	Cause error
}

// Error tells the secret, the step and the cause.
func (e *RotationError) Error() string {
	if e.Attempts == 0 {
		return fmt.Sprintf("rotating %s: %v", e.SecretARN, e.Cause)
	}
	return fmt.Sprintf("rotating %s: attempt %d, %s: %v", e.SecretARN, e.Attempts, e.Step, e.Cause)
}

// Unwrap returns the cause.
func (e *RotationError) Unwrap() error { return e.Cause }

// WaitForRotation waits until no rotation of a secret runs, and returns how the
// last one of this process ended: nil for success, else a [*RotationError].
// The pauses between attempts are waited for too. When ctx ends first, its
// error is returned.
func (s *Server) WaitForRotation(ctx context.Context, region, secretID string) error {
	secret, err := s.store.Get(region, secretID)
	if err != nil {
		return fmt.Errorf("waiting for the rotation of %s: %w", secretID, err)
	}
	r := s.rotations.latest(secret.ARN)
	if r == nil {
		return &RotationError{SecretARN: secret.ARN, Cause: errNotStarted}
	}
	for {
		select {
		case <-r.done:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the rotation of %s: %w", secretID, ctx.Err())
		}
		next := s.rotations.latest(secret.ARN)
		if next == r {
			return r.err
		}
		r = next
	}
}

// A run is the work on one rotation, all its attempts.
type run struct {
	region, arn, token string
	rotationToken      string // told to the function alone
	testOnly           bool
	fn                 *function

	// ctx ends, with the cause, when the rotation is to go no further. The
	// step that runs is not interrupted.
	ctx  context.Context
	stop context.CancelCauseFunc

	done chan struct{}
	err  error // set before done closes
}

func (r *run) lambdaARN() string { return FunctionARN(r.region, r.fn.Name) }

func (r *run) failed(attempts int, step string, cause error) *RotationError {
	return &RotationError{SecretARN: r.arn, Token: r.token, Attempts: attempts, Step: step, Cause: cause}
}

func (r *run) active() bool {
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

// rotations are the latest run of each secret.
type rotations struct {
	mu     sync.Mutex
	byARN  map[string]*run
	closed bool
}

// begin makes r the latest run of its secret and has spawn run it, given the
// one before it. A run of the same rotation that is under way goes on instead.
func (rs *rotations) begin(r *run, spawn func(earlier *run)) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	earlier := rs.byARN[r.arn]
	if rs.closed || earlier != nil && earlier.active() && earlier.token == r.token && earlier.ctx.Err() == nil {
		r.stop(nil)
		return
	}
	if earlier != nil {
		earlier.stop(errSuperseded)
	}
	if rs.byARN == nil {
		rs.byARN = make(map[string]*run)
	}
	rs.byARN[r.arn] = r
	spawn(earlier)
}

func (rs *rotations) latest(arn string) *run {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.byARN[arn]
}

// stop has the run of a secret go no further than the step it is at.
func (rs *rotations) stop(arn string, cause error) {
	if r := rs.latest(arn); r != nil {
		r.stop(cause)
	}
}

// token returns the RotationToken of the run of a secret; empty if none runs.
func (rs *rotations) token(arn string) string {
	if r := rs.latest(arn); r != nil && r.active() && r.ctx.Err() == nil {
		return r.rotationToken
	}
	return ""
}

// close lets no further run begin.
func (rs *rotations) close() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.closed = true
}
