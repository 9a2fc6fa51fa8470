package localaws

import (
	"context"
	"errors"
	"testing"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

// TestSameRequestAfterTheLastFailureIsNotLost repeats RotateSecret in the
// moment when the run has noted that it gave up and has not ended yet.
func TestSameRequestAfterTheLastFailureIsNotLost(t *testing.T) {
	t.Parallel()
	s, err := Start(Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	const region, token = "eu-central-1", "second"
	fn := &function{Function: Function{Name: "rotation"}, server: s}
	secret, err := s.store.Create(region, "app", func(c *secretstore.Change) error {
		c.Rotation = &secretstore.Rotation{Enabled: true, LambdaARN: FunctionARN(region, fn.Name)}
		c.InFlight = &secretstore.InFlight{Token: token}
		v, err := c.AddVersion(token, c.Now, 100)
		if err == nil {
			c.Attach(secretstore.Pending, v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	begin := func() (r *run, begun bool) {
		r = &run{region: region, arn: secret.ARN, token: token, fn: fn, done: make(chan struct{})}
		r.ctx, r.stop = context.WithCancelCause(t.Context())
		s.rotations.begin(r, func(*run) { begun = true })
		return r, begun
	}
	first, begun := begin()
	if !begun {
		t.Fatal("the first run did not begin")
	}
	if _, begun := begin(); begun {
		t.Error("the request repeated while the first run tries begins another")
	}
	s.giveUp(first, &failure{step: "setSecret", cause: errors.New("out of luck")})
	if _, begun := begin(); !begun {
		t.Error("the request repeated after the last failure is lost")
	}
}
