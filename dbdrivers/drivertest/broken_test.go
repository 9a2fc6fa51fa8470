package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
)

// broken is the fake with a fault of its own in either method.
type broken struct {
	dbdrivers.Driver
	verify func(context.Context, dbdrivers.VerifyRequest) error
	set    func(context.Context, dbdrivers.SetPasswordRequest) error
}

func (b broken) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	if b.verify != nil {
		return b.verify(ctx, req)
	}
	return b.Driver.Verify(ctx, req)
}

func (b broken) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	if b.set != nil {
		return b.set(ctx, req)
	}
	return b.Driver.SetPassword(ctx, req)
}

// nameless is a driver that does not name its engine.
type nameless struct{ dbdrivers.Driver }

func (n nameless) Traits() dbdrivers.Traits {
	traits := n.Driver.Traits()
	traits.Engine = ""
	return traits
}

// onError changes what a driver makes of its errors.
func onError(good dbdrivers.Driver, change func(err error, next dbdrivers.Password) error) broken {
	return broken{
		good,
		func(ctx context.Context, req dbdrivers.VerifyRequest) error {
			return change(good.Verify(ctx, req), req.Login.Password)
		},
		func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			return change(good.SetPassword(ctx, req), req.Password)
		},
	}
}

// mistaken takes one class for another, or for success.
func mistaken(good dbdrivers.Driver, class, as error) broken {
	return onError(good, func(err error, _ dbdrivers.Password) error {
		switch {
		case !errors.Is(err, class):
			return err
		case as == nil:
			return nil
		}
		return dbdrivers.Classify(as, "mistaking", nil)
	})
}

// onRequest changes what a driver is asked.
func onRequest(good dbdrivers.Driver, login func(*dbdrivers.Login), request func(*dbdrivers.SetPasswordRequest)) broken {
	return broken{
		good,
		func(ctx context.Context, req dbdrivers.VerifyRequest) error {
			login(&req.Login)
			return good.Verify(ctx, req)
		},
		func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			login(&req.As)
			request(&req)
			return good.SetPassword(ctx, req)
		},
	}
}

func asIs[T any](*T) {}

// cut is what a server does to a long name.
func cut(name string) string { return name[:min(len(name), 63)] }

// brokenDrivers are the ways to break the contract, and the sub-test that must
// see each.
var brokenDrivers = map[string]struct {
	seen   string
	breaks func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver
}{
	"has no name": {"traits are sound", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver { return nameless{good} }},
	"takes an outage for a refusal": {"what cannot be reached is not refused", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return mistaken(good, dbdrivers.ErrUnreachable, dbdrivers.ErrRefused)
	}},
	"takes an outage for success": {"what cannot be reached is not refused", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return mistaken(good, dbdrivers.ErrUnreachable, nil)
	}},
	"takes a refusal for success": {"a wrong password is refused and changes nothing", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return mistaken(good, dbdrivers.ErrRefused, nil)
	}},
	"takes a barred account for a refused one": {"a barred account is not refused", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return mistaken(good, dbdrivers.ErrBarred, dbdrivers.ErrRefused)
	}},
	"takes a barred account for an open one": {"a barred account is not refused", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return mistaken(good, dbdrivers.ErrBarred, nil)
	}},
	"takes a missing privilege for a refusal": {"an account cannot change another's", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return mistaken(good, dbdrivers.ErrPrivilege, dbdrivers.ErrRefused)
	}},
	"gives errors no class": {"a wrong password is refused and changes nothing", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onError(good, func(err error, _ dbdrivers.Password) error {
			if err != nil {
				return errors.New("it failed")
			}
			return nil
		})
	}},
	"gives errors two classes": {"what cannot be reached is not refused", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onError(good, func(err error, _ dbdrivers.Password) error {
			if errors.Is(err, dbdrivers.ErrUnreachable) {
				return dbdrivers.Classify(dbdrivers.ErrBusy, "trying", err)
			}
			return err
		})
	}},
	"shows the new password in an error": {"what cannot be reached is not refused", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onError(good, func(err error, next dbdrivers.Password) error {
			if errors.Is(err, dbdrivers.ErrUnreachable) {
				return fmt.Errorf("setting %s: %w", next.Reveal(), err)
			}
			return err
		})
	}},
	"hangs": {"what cannot be reached is not refused", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, verify: func(ctx context.Context, req dbdrivers.VerifyRequest) error {
			err := good.Verify(ctx, req)
			if deadline, ok := ctx.Deadline(); ok && errors.Is(err, dbdrivers.ErrUnreachable) {
				time.Sleep(time.Until(deadline) + 2500*time.Millisecond)
			}
			return err
		}}
	}},
	"does not hear that it is cancelled": {"a cancelled call returns at once", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return broken{
			good,
			func(_ context.Context, req dbdrivers.VerifyRequest) error {
				return good.Verify(context.Background(), req)
			},
			func(_ context.Context, req dbdrivers.SetPasswordRequest) error {
				return good.SetPassword(context.Background(), req)
			},
		}
	}},
	"signs in twice to verify": {"each call signs in once", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, verify: func(ctx context.Context, req dbdrivers.VerifyRequest) error {
			_ = good.Verify(ctx, req)
			return good.Verify(ctx, req)
		}}
	}},
	"tries a refused password again": {"each call signs in once", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, set: func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			err := good.SetPassword(ctx, req)
			if errors.Is(err, dbdrivers.ErrRefused) {
				return good.SetPassword(ctx, req)
			}
			return err
		}}
	}},
	"signs in twice as the admin": {"an admin signs in once", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, set: func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			if !req.BySelf() {
				_ = good.Verify(ctx, dbdrivers.VerifyRequest{Login: req.As})
			}
			return good.SetPassword(ctx, req)
		}}
	}},
	"says done and does nothing": {"an account changes its own password", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, set: func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			return good.Verify(ctx, dbdrivers.VerifyRequest{Login: req.As})
		}}
	}},
	"changes the password that it refuses to change": {"a wrong password is refused and changes nothing", func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, set: func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			err := good.SetPassword(ctx, req)
			if errors.Is(err, dbdrivers.ErrRefused) {
				srv.CreateAccount(req.Account, req.Password.Reveal())
			}
			return err
		}}
	}},
	"changes another's password": {"an account cannot change another's", func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, set: func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			err := good.SetPassword(ctx, req)
			if errors.Is(err, dbdrivers.ErrPrivilege) {
				srv.CreateAccount(req.Account, req.Password.Reveal())
			}
			return err
		}}
	}},
	"goes without TLS where there is none": {"TLS is verified", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, verify: func(ctx context.Context, req dbdrivers.VerifyRequest) error {
			err := good.Verify(ctx, req)
			if errors.Is(err, dbdrivers.ErrTLS) {
				req.Login.TLS.Plaintext = true
				return good.Verify(ctx, req)
			}
			return err
		}}
	}},
	"loses backslashes": {"hostile passwords", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onRequest(good, asIs, func(req *dbdrivers.SetPasswordRequest) {
			req.Password = dbdrivers.NewPassword(strings.ReplaceAll(req.Password.Reveal(), `\`, ""))
		})
	}},
	"trims passwords": {"hostile passwords", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onRequest(good, asIs, func(req *dbdrivers.SetPasswordRequest) {
			req.Password = dbdrivers.NewPassword(strings.TrimSpace(req.Password.Reveal()))
		})
	}},
	"folds names": {"hostile usernames", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onRequest(good, func(l *dbdrivers.Login) { l.Username = strings.ToLower(l.Username) },
			func(req *dbdrivers.SetPasswordRequest) { req.Account = strings.ToLower(req.Account) })
	}},
	"cuts names off": {"a name that would be cut off is not another's", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onRequest(good, func(l *dbdrivers.Login) { l.Username = cut(l.Username) },
			func(req *dbdrivers.SetPasswordRequest) { req.Account = cut(req.Account) })
	}},
	"does not look at the hash": {"an unknown hash changes nothing", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onRequest(good, asIs, func(req *dbdrivers.SetPasswordRequest) { req.Hash = "" })
	}},
	"reads the environment": {"the environment changes nothing", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return onRequest(good, func(l *dbdrivers.Login) {
			if host := os.Getenv("PGHOST"); host != "" {
				l.Host = host
			}
		}, asIs)
	}},
}

const brokenVariable = "DRIVERTEST_BROKEN"

// TestSuiteSeesWhatIsBroken runs the suite on broken drivers, each in a process
// of its own, which has to fail where the fault is.
func TestSuiteSeesWhatIsBroken(t *testing.T) {
	if name := os.Getenv(brokenVariable); name != "" {
		conform(t, brokenDrivers[name].breaks)
		return
	}
	t.Parallel()
	for name, driver := range brokenDrivers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuiteSeesWhatIsBroken$", "-test.count=1", "-test.v", "-test.parallel=32")
			suite.Env = append(os.Environ(), brokenVariable+"="+name)
			out, err := suite.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("the suite ended with %v; want that it fails", err)
			}
			if seen := "/" + strings.ReplaceAll(driver.seen, " ", "_") + " ("; !strings.Contains(failures(string(out)), seen) {
				t.Errorf("%q has not failed, but:\n%s", driver.seen, failures(string(out)))
			}
		})
	}
}

// failures are the lines of a test's output that name what failed.
func failures(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if strings.Contains(line, "--- FAIL") || strings.Contains(line, "panic") {
			b.WriteString(line)
		}
	}
	return b.String()
}
