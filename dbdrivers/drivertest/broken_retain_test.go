package drivertest_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
)

// brokenRetainer is the fake with a fault of its own in RetainPassword, or in a
// method that sees what RetainPassword leaves.
type brokenRetainer struct {
	*drivertest.Fake
	retain retainPassword
	verify func(context.Context, dbdrivers.VerifyRequest) error
	set    func(context.Context, dbdrivers.SetPasswordRequest) error
}

type retainPassword = func(context.Context, dbdrivers.RetainPasswordRequest) error

func (b brokenRetainer) RetainPassword(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
	if b.retain != nil {
		return b.retain(ctx, req)
	}
	return b.Fake.RetainPassword(ctx, req)
}

func (b brokenRetainer) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	if b.verify != nil {
		return b.verify(ctx, req)
	}
	return b.Fake.Verify(ctx, req)
}

func (b brokenRetainer) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	if b.set != nil {
		return b.set(ctx, req)
	}
	return b.Fake.SetPassword(ctx, req)
}

type breaks = func(dbdrivers.Driver, *drivertest.FakeServer) dbdrivers.Driver

func fakeOf(good dbdrivers.Driver) *drivertest.Fake {
	fake, ok := good.(*drivertest.Fake)
	if !ok {
		panic("it is not the fake")
	}
	return fake
}

// onRetain puts harm in the place of the fake's RetainPassword, which it is given.
func onRetain(harm func(srv *drivertest.FakeServer, retain retainPassword) retainPassword) breaks {
	return func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver {
		return brokenRetainer{Fake: fakeOf(good), retain: harm(srv, fakeOf(good).RetainPassword)}
	}
}

// onRetainRequest changes what RetainPassword is asked.
func onRetainRequest(change func(*dbdrivers.RetainPasswordRequest)) breaks {
	return onRetain(func(_ *drivertest.FakeServer, retain retainPassword) retainPassword {
		return func(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
			change(&req)
			return retain(ctx, req)
		}
	})
}

// onRetainFailed does something to the server when RetainPassword fails.
func onRetainFailed(class error, harm func(*drivertest.FakeServer, dbdrivers.RetainPasswordRequest)) breaks {
	return onRetain(func(srv *drivertest.FakeServer, retain retainPassword) retainPassword {
		return func(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
			err := retain(ctx, req)
			if errors.Is(err, class) {
				harm(srv, req)
			}
			return err
		}
	})
}

// retainMistakes takes one class for another, or for success.
func retainMistakes(class, as error) breaks {
	return onRetain(func(_ *drivertest.FakeServer, retain retainPassword) retainPassword {
		return func(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
			err := retain(ctx, req)
			switch {
			case !errors.Is(err, class):
				return err
			case as == nil:
				return nil
			}
			return dbdrivers.Classify(as, "mistaking", nil)
		}
	})
}

// forgetting leaves the new password alone.
func forgetting(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest) {
	srv.CreateAccount(req.Account, req.Password.Reveal())
}

// onRetainOf does something to the server after a success, given the newer of
// the account's two passwords before it: none where it had one alone.
func onRetainOf(harm func(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest, newer string)) breaks {
	return onRetain(func(srv *drivertest.FakeServer, retain retainPassword) retainPassword {
		var mu sync.Mutex
		newer := map[string]string{}
		return func(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
			mu.Lock()
			defer mu.Unlock()
			err := retain(ctx, req)
			if err == nil {
				harm(srv, req, newer[req.Account])
				newer[req.Account] = req.Password.Reveal()
			}
			return err
		}
	})
}

// withoutComparing keeps whatever is the newer password, as a plain RETAIN
// CURRENT PASSWORD does: said twice it keeps the new one beside itself.
var withoutComparing = onRetainOf(func(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest, newer string) {
	if newer == req.Password.Reveal() {
		srv.SetFormer(req.Account, newer)
	}
})

// brokenRetainers are the ways to break RetainPassword.
var brokenRetainers = map[string]struct {
	seen   string
	breaks breaks
}{
	"retains without comparing":        {"retaining said twice destroys neither password", withoutComparing},
	"retains without comparing, raced": {"retaining at the same moment destroys neither", withoutComparing},
	"forgets current": {"a former password opens beside the new one", onRetainOf(func(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest, _ string) {
		forgetting(srv, req)
	})},
	"forgets current where it is the older one": {"the older of two passwords is the one that is kept", onRetainOf(func(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest, newer string) {
		if newer != "" && newer != req.Current.Reveal() {
			forgetting(srv, req)
		}
	})},
	"keeps the newer of two, whichever is current": {"the older of two passwords is the one that is kept", onRetainOf(func(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest, newer string) {
		if newer != "" && newer != req.Password.Reveal() {
			srv.SetFormer(req.Account, newer)
		}
	})},
	"keeps three": {"a former password opens beside the new one", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		fake := fakeOf(good)
		var kept sync.Map // what once opened goes on opening
		return brokenRetainer{
			Fake: fake,
			retain: func(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
				err := fake.RetainPassword(ctx, req)
				if err == nil {
					kept.Store(req.Account+" "+req.Current.Reveal(), true)
				}
				return err
			},
			verify: func(ctx context.Context, req dbdrivers.VerifyRequest) error {
				err := fake.Verify(ctx, req)
				if _, ok := kept.Load(req.Login.Username + " " + req.Login.Password.Reveal()); ok && errors.Is(err, dbdrivers.ErrRefused) {
					return nil
				}
				return err
			},
		}
	}},
	"sets the new password and retains none": {"a former password opens beside the new one", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		fake := fakeOf(good)
		return brokenRetainer{Fake: fake, retain: func(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
			return fake.SetPassword(ctx, dbdrivers.SetPasswordRequest{As: req.As, Account: req.Account, Password: req.Password, Hash: req.Hash})
		}}
	}},
	"keeps what it is told to, whether it opens or not": {"what is not a password of the account is not kept", onRetainFailed(dbdrivers.ErrBusy, func(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest) {
		forgetting(srv, req)
		srv.SetFormer(req.Account, req.Current.Reveal())
	})},
	"takes a changed account for a refusal": {"what is not a password of the account is not kept", retainMistakes(dbdrivers.ErrBusy, dbdrivers.ErrRefused)},
	"changes before it finds that a right is missing": {"without the right nothing is retained", onRetainFailed(dbdrivers.ErrPrivilege, func(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest) {
		forgetting(srv, req)
		srv.MayRetain(req.Account, false)
	})},
	"takes a missing right for a refusal":           {"without the right nothing is retained", retainMistakes(dbdrivers.ErrPrivilege, dbdrivers.ErrRefused)},
	"retains for a stranger":                        {"an account retains no password of another", onRetainFailed(dbdrivers.ErrPrivilege, forgetting)},
	"sets the password that it was refused for":     {"a wrong password retains nothing", onRetainFailed(dbdrivers.ErrRefused, forgetting)},
	"takes a refusal to retain for success":         {"a wrong password retains nothing", retainMistakes(dbdrivers.ErrRefused, nil)},
	"takes a barred account for one that retains":   {"a barred account retains nothing", retainMistakes(dbdrivers.ErrBarred, nil)},
	"does not look at the hash when it retains":     {"a hash or a password that cannot be retains nothing", onRetainRequest(func(req *dbdrivers.RetainPasswordRequest) { req.Hash = "" })},
	"trims a password that it sets beside another":  {"hostile passwords are retained", onRetainRequest(func(req *dbdrivers.RetainPasswordRequest) { req.Password = trimmed(req.Password) })},
	"trims a password that it keeps beside another": {"hostile passwords are retained", onRetainRequest(func(req *dbdrivers.RetainPasswordRequest) { req.Current = trimmed(req.Current) })},
	"ends the former password when it is cut off":   {"retaining that is cut off locks nobody out", onRetainFailed(dbdrivers.ErrUnreachable, forgetting)},
	"bars an account whose change is cut off":       {"retaining that is cut off locks nobody out", onRetainFailed(dbdrivers.ErrUnreachable, func(srv *drivertest.FakeServer, req dbdrivers.RetainPasswordRequest) { srv.Bar(req.Account) })},
	"does not hear that retaining is cancelled": {"a cancelled call returns at once", onRetain(func(_ *drivertest.FakeServer, retain retainPassword) retainPassword {
		return func(_ context.Context, req dbdrivers.RetainPasswordRequest) error {
			return retain(context.Background(), req)
		}
	})},
	"shows a password in a note": {"a former password opens beside the new one", onRetainRequest(func(req *dbdrivers.RetainPasswordRequest) {
		if req.Note != nil {
			req.Note("set " + req.Password.Reveal())
		}
	})},
	"signs in twice to retain": {"a password is retained by one sign-in", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		fake := fakeOf(good)
		return brokenRetainer{Fake: fake, retain: func(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
			_ = fake.Verify(ctx, dbdrivers.VerifyRequest{Login: req.As})
			return fake.RetainPassword(ctx, req)
		}}
	}},
	"signs in as the account to see what it has": {"a password is retained by one sign-in", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		fake := fakeOf(good)
		return brokenRetainer{Fake: fake, retain: func(ctx context.Context, req dbdrivers.RetainPasswordRequest) error {
			login := req.As
			login.Username, login.Password = req.Account, req.Password
			_ = fake.Verify(ctx, dbdrivers.VerifyRequest{Login: login})
			return fake.RetainPassword(ctx, req)
		}}
	}},
	"leaves a former password and does not tell": {"a plain change ends a former password or tells of it", func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver {
		fake := fakeOf(good)
		return brokenRetainer{Fake: fake, set: func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			err := fake.SetPassword(ctx, req)
			if err == nil && req.BySelf() {
				srv.SetFormer(req.Account, req.As.Password.Reveal())
			}
			return err
		}}
	}},
	"has lost RetainPassword": {"the driver has the powers that are claimed", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return struct {
			dbdrivers.Driver
			dbdrivers.TwinOpener
		}{good, fakeOf(good)}
	}},
	"has lost OpenTwin": {"the driver has the powers that are claimed", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return struct {
			dbdrivers.Driver
			dbdrivers.PasswordRetainer
		}{good, fakeOf(good)}
	}},
}

func trimmed(password dbdrivers.Password) dbdrivers.Password {
	return dbdrivers.NewPassword(strings.TrimSpace(password.Reveal()))
}

func init() { maps.Copy(brokenDrivers, brokenRetainers) }
