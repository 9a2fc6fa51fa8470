package localaws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/schedule"
	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

// The steps of a rotation, in their order.
var (
	rotationSteps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}
	testSteps     = []string{"testSecret"}
)

// stepEvent is the event that a function is invoked with. See
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html.
type stepEvent struct {
	Step               string
	SecretID           string `json:"SecretId"` // the full ARN
	ClientRequestToken string
	RotationToken      string
}

// startRotation starts the run of a rotation in flight, unless it runs already.
// It is called during a write, so that no two writes start one each.
func (s *Server) startRotation(secret *secretstore.Secret, fn *function) {
	r := &run{
		region: secret.Region, arn: secret.ARN,
		token: secret.InFlight.Token, testOnly: secret.InFlight.TestOnly,
		rotationToken: uuid.NewString(),
		fn:            fn,
		done:          make(chan struct{}),
	}
	r.ctx, r.stop = context.WithCancelCause(s.running)
	s.rotations.begin(r, func(earlier *run) {
		s.goroutines.Go(func() {
			defer close(r.done)
			defer r.stop(nil)
			if earlier != nil { // one at a time for each secret
				<-earlier.done
			}
			if err := s.rotate(r); err != nil {
				r.err = err
			}
		})
	})
}

// resumeRotations starts the rotations of a function that an earlier process
// left unfinished.
func (s *Server) resumeRotations(function string) {
	for _, region := range s.store.Regions() {
		for _, secret := range s.store.List(region) {
			if secret.InFlight == nil || secret.Rotation.LambdaARN != FunctionARN(region, function) {
				continue
			}
			_, err := s.store.Update(region, secret.ARN, func(c *secretstore.Change) error {
				c.Discard()
				s.resume(c)
				return nil
			})
			if err != nil && !errors.Is(err, secretstore.ErrNotFound) {
				s.cfg.Log.Error("rotation not taken up", "secret", secret.ARN, "error", err.Error())
			}
		}
	}
}

// resume starts the run of the rotation in flight, if there is one and nothing
// is in its way.
func (s *Server) resume(c *secretstore.Change) {
	if c.InFlight == nil || !c.Deleted.IsZero() {
		return
	}
	secret := c.Secret
	if fn := s.functions.withARN(secret.Region, secret.Rotation.LambdaARN); fn != nil {
		c.After(func() { s.startRotation(secret, fn) })
	}
}

// failure is how one try ended.
type failure struct {
	step    string
	cause   error
	message string // of the event
	final   bool   // another try would be no use
}

// rotate tries until a try succeeds, the tries are used up, or the rotation is
// stopped. The result is nil or a *RotationError.
func (s *Server) rotate(r *run) error {
	attempts, steps := s.cfg.Attempts, rotationSteps
	if r.testOnly {
		attempts, steps = 1, testSteps
	}
	for attempt := 1; ; attempt++ {
		f := s.attempt(r, attempt, steps)
		if f == nil {
			return nil
		}
		if stopped := context.Cause(r.ctx); stopped != nil {
			return r.failed(attempt, f.step, stopped)
		}
		if f.final || attempt == attempts || s.labelGone(r) {
			s.giveUp(r, f)
			return r.failed(attempt, f.step, f.cause)
		}
		pause := time.NewTimer(s.cfg.Backoff(attempt))
		select {
		case <-pause.C:
		case <-r.ctx.Done():
			pause.Stop()
			return r.failed(attempt, f.step, context.Cause(r.ctx))
		}
	}
}

// attempt makes one try: every step from the first.
func (s *Server) attempt(r *run, attempt int, steps []string) *failure {
	for _, step := range steps {
		if stopped := context.Cause(r.ctx); stopped != nil {
			return &failure{step: step, cause: stopped}
		}
		failed := &failure{step: step, message: fmt.Sprintf("Error when executing lambda %s during %s step", r.lambdaARN(), step)}
		if s.labelGone(r) {
			failed.cause, failed.final = errLabelGone, true
			return failed
		}
		if failed.cause = s.invoke(r, attempt, step); failed.cause != nil {
			return failed
		}
		if step == "createSecret" {
			if f := s.checkCreated(r); f != nil {
				return f
			}
		}
	}
	if err := s.succeed(r); err != nil {
		last := steps[len(steps)-1]
		return &failure{step: last, cause: err, message: fmt.Sprintf("Error when executing lambda %s during %s step", r.lambdaARN(), last)}
	}
	return nil
}

// invoke invokes the function for one step and waits for its end.
func (s *Server) invoke(r *run, attempt int, step string) error {
	event, err := json.Marshal(stepEvent{Step: step, SecretID: r.arn, ClientRequestToken: r.token, RotationToken: r.rotationToken})
	if err != nil {
		return fmt.Errorf("encoding the event: %w", err)
	}
	i := Invocation{
		Function: r.fn.Name, InvocationID: uuid.NewString(), Region: r.region,
		SecretARN: r.arn, Token: r.token, Step: step, Attempt: attempt, Started: time.Now(),
	}
	err = r.fn.invoke(s.running, &invoking{id: i.InvocationID, region: r.region, secretARN: r.arn, step: step}, event)
	i.Duration = time.Since(i.Started)
	if err != nil {
		i.Err = err.Error()
	}
	s.trail.invoked(i)
	return err
}

// checkCreated demands, after createSecret, a pending value that the rotation
// itself has stored. Another principal's would be tested and made current.
func (s *Server) checkCreated(r *run) *failure {
	secret, err := s.store.Get(r.region, r.arn)
	if err != nil {
		return &failure{step: "createSecret", cause: err, message: "The secret is gone.", final: true}
	}
	v := secret.Versions[r.token]
	switch {
	case v != nil && v.Sealed == nil:
		cause := fmt.Errorf("createSecret returned without storing a value for version %s", r.token)
		return &failure{step: "createSecret", cause: cause,
			message: fmt.Sprintf("Error when executing lambda %s during createSecret step", r.lambdaARN())}
	case v != nil && !v.ByRotation && !v.Has(secretstore.Current):
		message := fmt.Sprintf("Pending secret version %s for Secret %s was not created by Lambda %s. Remove the AWSPENDING staging label and restart rotation",
			r.token, r.arn, r.lambdaARN())
		return &failure{step: "createSecret", cause: errors.New(message), message: message, final: true}
	default:
		return nil
	}
}

// labelGone reports whether neither AWSPENDING nor AWSCURRENT is on the version
// any more, so that no try can succeed.
func (s *Server) labelGone(r *run) bool {
	secret, err := s.store.Get(r.region, r.arn)
	if err != nil {
		return true
	}
	v := secret.Versions[r.token]
	return v == nil || !v.Has(secretstore.Pending) && !v.Has(secretstore.Current)
}

// succeed ends a rotation whose steps have all returned. It has succeeded only
// if the version is current.
func (s *Server) succeed(r *run) error {
	_, err := s.store.Update(r.region, r.arn, func(c *secretstore.Change) error {
		if !c.Rotating(r.token) {
			return errOvertaken
		}
		c.InFlight = nil
		if r.testOnly {
			delete(c.Versions, r.token)
			c.After(func() { s.record(eventTestSucceeded, r.region, r.arn, "") })
			return nil
		}
		v := c.Versions[r.token]
		if v == nil || !v.Has(secretstore.Current) {
			return fmt.Errorf("finishSecret returned, but %s is not on version %s", secretstore.Current, r.token)
		}
		if v.Has(secretstore.Pending) {
			c.Detach(secretstore.Pending)
		}
		c.Rotation.Rotated, c.Rotation.Token = c.Now, r.token
		if windows, err := schedule.Parse(c.Rotation.Rules); err == nil && windows != nil {
			c.Rotation.Next = windows.Next(c.Now)
		}
		c.After(func() { s.record(eventRotationSucceeded, r.region, r.arn, "") })
		return nil
	})
	return err
}

// giveUp records that no further try will be made by itself. AWSPENDING stays,
// and the rotation stays in flight for the same request to take up again,
// unless its label is gone.
func (s *Server) giveUp(r *run, f *failure) {
	_, err := s.store.Update(r.region, r.arn, func(c *secretstore.Change) error {
		if !c.Rotating(r.token) {
			return errOvertaken
		}
		v := c.Versions[r.token]
		switch {
		case r.testOnly:
			delete(c.Versions, r.token)
			c.InFlight = nil
		case v == nil || !v.Has(secretstore.Pending) && !v.Has(secretstore.Current):
			c.InFlight = nil
		default:
			c.Discard()
		}
		name := eventRotationFailed
		if r.testOnly {
			name = eventTestFailed
		}
		c.After(func() {
			r.stop(errGivenUp) // from here on the same request starts a new run
			s.record(name, r.region, r.arn, f.message)
		})
		return nil
	})
	if err != nil && !errors.Is(err, errOvertaken) && !errors.Is(err, secretstore.ErrNotFound) {
		s.cfg.Log.Error("end of a rotation not noted", "secret", r.arn, "error", err.Error())
	}
}

// endRotation ends the rotation in flight in the course of a write, because of
// what someone did.
func (s *Server) endRotation(c *secretstore.Change, cause error) {
	region, arn := c.Region, c.ARN
	if c.InFlight.TestOnly {
		delete(c.Versions, c.InFlight.Token)
	}
	c.InFlight = nil
	c.After(func() {
		s.rotations.stop(arn, cause)
		if errors.Is(cause, errAbandoned) {
			s.record(eventRotationAbandoned, region, arn, "")
		}
	})
}

func startedEvent(testOnly bool) string {
	if testOnly {
		return eventTestStarted
	}
	return eventRotationStarted
}
