package rotator_test

import (
	"testing"

	"github.com/dbrotation/dbrotation/rotator"
)

// The function's STRATEGY is another than the one by which a rotation was begun.
// A step that would have to change what it did not begin says so and changes
// nothing; the others end the rotation, and so does the former STRATEGY.
func TestTheFunctionsStrategyChangesInMidRotation(t *testing.T) {
	t.Parallel()
	steps := []rotator.Step{rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret}
	for _, row := range []struct {
		from, to rotator.Strategy
		username string // pending's
	}{
		{rotator.Single, rotator.Alternating, "app"},
		{rotator.Alternating, rotator.Single, "app_clone"},
	} {
		for done := range steps {
			t.Run(string(row.from)+" until "+string(steps[done]), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.rotatedBy(row.from, nil, []func(map[string]any){drop("dbrotation")})
				pending := w.document("AWSCURRENT")
				pending["username"], pending["password"] = row.username, pendingPassword
				token := w.pend(encode(t, pending))
				w.config.Strategy = row.from
				for _, step := range steps[:done] {
					if err := w.deliver(step, token); err != nil {
						t.Fatal(err)
					}
				}

				w.config.Strategy = row.to
				wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassMismatch, `"username"`, "STRATEGY")
				if w.labels(token) != "AWSPENDING" || w.db.Opens(row.username, pendingPassword) != (done > 0) {
					t.Error("something changed")
				}
				if done == 0 {
					w.config.Strategy = row.from
				}
				for _, step := range steps[done:] {
					if err := w.deliver(step, token); err != nil {
						t.Fatal(err)
					}
				}
				if w.labels(token) != "AWSCURRENT AWSPENDING" {
					t.Error("the rotation did not end")
				}
				w.signsIn("AWSCURRENT")
			})
		}
	}
}
