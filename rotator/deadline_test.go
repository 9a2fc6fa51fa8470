package rotator_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/rotator"
)

// A function's time-out may be Lambda's default of 3 seconds, or its greatest
// of 15 minutes. What does not answer is named before the function is cut off,
// and no later than waiting could help. The clock is synctest's.
func TestWhatDoesNotAnswerIsNamedInTime(t *testing.T) {
	t.Parallel()
	const document = `{"engine":"fake","host":"` + host + `","username":"app","password":"` + firstPassword + `"}`
	readable := func() rotator.SecretStore {
		return &pendingStore{putSpy{version: "token", value: document}}
	}
	for _, row := range []struct {
		name     string
		store    func() rotator.SecretStore
		step     rotator.Step
		class    rotator.Class
		says     string
		greatest time.Duration // however long the time-out is
	}{
		{"the database", readable, rotator.TestSecret, rotator.ClassUnreachable, host, 45 * time.Second},
		{"Secrets Manager", func() rotator.SecretStore { return silentStore{} }, rotator.TestSecret, rotator.ClassSecretsManager, "interface endpoint", 20 * time.Second},
		{"Secrets Manager, describing", func() rotator.SecretStore { return silentStore{} }, rotator.FinishSecret, rotator.ClassSecretsManager, "describing", 20 * time.Second},
		{"a value that never shows", func() rotator.SecretStore { return &laggingStore{} }, rotator.SetSecret, rotator.ClassLabel, "createSecret comes first", 3 * time.Second},
		{"a token that never shows", func() rotator.SecretStore { return &laggingStore{} }, rotator.FinishSecret, rotator.ClassLabel, "AWSPENDING", 3 * time.Second},
	} {
		for _, timeout := range []time.Duration{3 * time.Second, 10 * time.Second, time.Minute, 15 * time.Minute} {
			t.Run(row.name+" in "+timeout.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, err := rotator.New(rotator.Config{Secrets: row.store(), Drivers: map[string]dbdrivers.Driver{"fake": silent{}}})
					if err != nil {
						t.Fatal(err)
					}
					began := time.Now()
					ctx, cancel := context.WithDeadline(t.Context(), began.Add(timeout))
					defer cancel()
					_, err = r.Handle(ctx, rotator.Event{Step: row.step, SecretID: "arn", ClientRequestToken: "token"})
					took := time.Since(began)
					wantClass(t, err, row.class, row.says)
					if took > row.greatest || took > timeout-min(time.Second, timeout/10) {
						t.Errorf("it took %s of %s", took, timeout)
					}
				})
			})
		}
	}
}

// A label's lag leaves the time that a database call needs, where the
// function's time-out allows both.
func TestAWaitLeavesTimeForTheDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := rotator.New(rotator.Config{Secrets: &laggingStore{}, Drivers: map[string]dbdrivers.Driver{"fake": silent{}}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ctx, cancel := context.WithDeadline(t.Context(), began.Add(5*time.Second))
		defer cancel()
		_, err = r.Handle(ctx, rotator.Event{Step: rotator.SetSecret, SecretID: "arn", ClientRequestToken: "token"})
		wantClass(t, err, rotator.ClassLabel)
		if took := time.Since(began); took > 2250*time.Millisecond {
			t.Errorf("the wait took %s, more than half of what was left", took)
		}
	})
}

// pendingStore holds a pending version.
type pendingStore struct{ putSpy }

func (s *pendingStore) Get(context.Context, string, rotator.VersionRef) (rotator.Version, error) {
	return rotator.Version{Value: rotator.NewValue(s.value), Labels: []string{"AWSPENDING"}}, nil
}

// laggingStore never shows what was put.
type laggingStore struct{ putSpy }

func (*laggingStore) Get(context.Context, string, rotator.VersionRef) (rotator.Version, error) {
	return rotator.Version{}, rotator.ErrNoSuchVersion
}

func (*laggingStore) Describe(context.Context, string) (rotator.Description, error) {
	return rotator.Description{RotationEnabled: true}, nil
}

// silentStore never answers.
type silentStore struct{}

func (silentStore) Describe(ctx context.Context, _ string) (rotator.Description, error) {
	<-ctx.Done()
	return rotator.Description{}, ctx.Err()
}

func (silentStore) Get(ctx context.Context, _ string, _ rotator.VersionRef) (rotator.Version, error) {
	<-ctx.Done()
	return rotator.Version{}, ctx.Err()
}

func (silentStore) Put(ctx context.Context, _ rotator.PutRequest) error {
	<-ctx.Done()
	return ctx.Err()
}

func (silentStore) MoveLabel(ctx context.Context, _ rotator.MoveLabelRequest) error {
	<-ctx.Done()
	return ctx.Err()
}
