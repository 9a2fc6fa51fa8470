package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// brokenTwin is the fake with a fault of its own in OpenTwin.
type brokenTwin struct {
	dbdrivers.Driver
	open openTwin
}

func (b brokenTwin) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	return b.open(ctx, req)
}

// VerifyTwin is the fake's, or Verify where another fault hides it.
func (b brokenTwin) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	if opener, ok := b.Driver.(dbdrivers.TwinOpener); ok {
		return opener.VerifyTwin(ctx, req)
	}
	return nil, b.Verify(ctx, dbdrivers.VerifyRequest{Login: req.Login})
}

// brokenVerifier is the fake with a fault of its own in VerifyTwin.
type brokenVerifier struct {
	brokenTwin
	verify verifyTwin
}

func (b brokenVerifier) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	return b.verify(ctx, req)
}

// onTwinVerify puts breaks in the place of the fake's VerifyTwin, which it is
// given.
func onTwinVerify(breaks func(srv *drivertest.FakeServer, verify verifyTwin) verifyTwin) func(dbdrivers.Driver, *drivertest.FakeServer) dbdrivers.Driver {
	return func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver {
		opener := brokenTwin{good, openerOf(good)}
		return brokenVerifier{opener, breaks(srv, opener.VerifyTwin)}
	}
}

type verifyTwin = func(context.Context, dbdrivers.VerifyTwinRequest) ([]string, error)

type openTwin = func(context.Context, dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error)

// openerOf is the fake's OpenTwin.
func openerOf(good dbdrivers.Driver) openTwin {
	opener, ok := good.(dbdrivers.TwinOpener)
	if !ok {
		panic("the fake opens no twins")
	}
	return opener.OpenTwin
}

// onTwin puts breaks in the place of the fake's OpenTwin, which it is given.
func onTwin(breaks func(srv *drivertest.FakeServer, open openTwin) openTwin) func(dbdrivers.Driver, *drivertest.FakeServer) dbdrivers.Driver {
	return func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver {
		return brokenTwin{good, breaks(srv, openerOf(good))}
	}
}

// onTwinRequest changes what OpenTwin is asked.
func onTwinRequest(change func(*dbdrivers.OpenTwinRequest)) func(dbdrivers.Driver, *drivertest.FakeServer) dbdrivers.Driver {
	return onTwin(func(_ *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			change(&req)
			return open(ctx, req)
		}
	})
}

// onTwinFailed does something to the server when OpenTwin fails.
func onTwinFailed(class error, harm func(*drivertest.FakeServer, dbdrivers.OpenTwinRequest)) func(dbdrivers.Driver, *drivertest.FakeServer) dbdrivers.Driver {
	return onTwin(func(srv *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			report, err := open(ctx, req)
			if errors.Is(err, class) {
				harm(srv, req)
			}
			return report, err
		}
	})
}

// onTwinDone does something to the server, or to the report, when it is done.
func onTwinDone(change func(*drivertest.FakeServer, dbdrivers.OpenTwinRequest, *dbdrivers.TwinReport)) func(dbdrivers.Driver, *drivertest.FakeServer) dbdrivers.Driver {
	return onTwin(func(srv *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			report, err := open(ctx, req)
			if err == nil {
				change(srv, req, &report)
			}
			return report, err
		}
	})
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
	"does not look at what an admin's change replaces": {"an admin's change that comes late", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return broken{Driver: good, set: func(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
			req.Current = dbdrivers.Password{}
			return good.SetPassword(ctx, req)
		}}
	}},
	"does not look at what a twin's turn came from": {"a request for a turn that is over changes nothing", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) {
		req.Current = dbdrivers.Password{}
	})},
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

// brokenTwins are the ways to break OpenTwin.
var brokenTwins = map[string]struct {
	seen   string
	breaks func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver
}{
	"gives the password before the rights": {"a twin that is cut off is closed or complete", onTwinFailed(dbdrivers.ErrUnreachable, func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest) {
		if !srv.Exists(req.Twin) {
			srv.CreateAccount(req.Twin, req.Password.Reveal())
			srv.MarkTwin(req.Twin, req.Canonical)
		}
	})},
	"closes a twin while it works": {"a twin that is cut off is closed or complete", onTwinFailed(dbdrivers.ErrUnreachable, func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest) {
		srv.Bar(req.Twin)
	})},
	"does not complete a twin that was cut off": {"a twin that is cut off is closed or complete", func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver {
		open := openerOf(good)
		return brokenTwin{good, func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			if srv.TwinOf(req.Twin) == req.Canonical && srv.Closed(req.Twin) {
				return dbdrivers.TwinReport{}, nil
			}
			return open(ctx, req)
		}}
	}},
	"takes any account for the twin": {"an account that only has the twin's name is untouched", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) { req.Proven = true })},
	"changes an account that is not proven": {"an account that only has the twin's name is untouched", onTwinFailed(dbdrivers.ErrTwinUnproven, func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest) {
		srv.CreateAccount(req.Twin, req.Password.Reveal())
	})},
	"does not say that nothing proves the twin": {"an account that only has the twin's name is untouched", onTwin(func(_ *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			report, err := open(ctx, req)
			if errors.Is(err, dbdrivers.ErrTwinUnproven) {
				return report, dbdrivers.Classify(dbdrivers.ErrUnsupported, "opening", nil)
			}
			return report, err
		}
	})},
	"takes any account for the sibling's twin": {"a sibling is not set on the word of a mere name", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return brokenTwin{onRequest(good, asIs, func(req *dbdrivers.SetPasswordRequest) { req.Proven = true }), openerOf(good)}
	}},
	"takes another account's twin": {"another account's twin is untouched, proof or not", onTwin(func(srv *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			if req.Proven {
				srv.MarkTwin(req.Twin, "")
			}
			return open(ctx, req)
		}
	})},
	"sets a sibling on the word of another's twin": {"another account's twin is untouched, proof or not", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		return brokenTwin{onRequest(good, asIs, func(req *dbdrivers.SetPasswordRequest) {
			if req.Proven {
				req.Twin = ""
			}
		}), openerOf(good)}
	}},
	"makes accounts unasked": {"no account is made where none may be", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) { req.MayCreate = true })},
	"revokes when it takes over": {"a twin that is taken over loses nothing", onTwin(func(srv *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			if req.Proven {
				srv.MarkTwin(req.Twin, req.Canonical)
			}
			return open(ctx, req)
		}
	})},
	"leaves no mark": {"a twin that is taken over loses nothing", onTwinDone(func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest, _ *dbdrivers.TwinReport) {
		srv.MarkTwin(req.Twin, "")
	})},
	"only ever adds": {"a twin with a right of its own is not opened with it", onTwin(func(srv *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			if srv.TwinOf(req.Twin) == req.Canonical {
				srv.MarkTwin(req.Twin, "")
				req.Proven = true
			}
			return open(ctx, req)
		}
	})},
	"syncs only a twin that it makes": {"what its sibling gains and loses, the twin does", onTwin(func(srv *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			if !srv.Exists(req.Twin) {
				return open(ctx, req)
			}
			srv.CreateAccount("void", "")
			canonical := req.Canonical
			srv.MarkTwin(req.Twin, "void")
			req.Canonical = "void"
			report, err := open(ctx, req)
			srv.MarkTwin(req.Twin, canonical)
			return report, err
		}
	})},
	"gives its sibling the password too": {"a twin is made equal and opens", onTwinDone(func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest, _ *dbdrivers.TwinReport) {
		srv.CreateAccount(req.Canonical, req.Password.Reveal())
	})},
	"reports nothing": {"a twin is made equal and opens", onTwinDone(func(_ *drivertest.FakeServer, _ dbdrivers.OpenTwinRequest, report *dbdrivers.TwinReport) {
		*report = dbdrivers.TwinReport{}
	})},
	"does not look at a twin's hash": {"what is no pair of twins is refused", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) { req.Hash = "" })},
	"cuts a twin's name off":         {"what is no pair of twins is refused", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) { req.Twin = cut(req.Twin) })},
	"signs in as the twin to see": {"a twin is opened by one sign-in", func(good dbdrivers.Driver, _ *drivertest.FakeServer) dbdrivers.Driver {
		open := openerOf(good)
		return brokenTwin{good, func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			report, err := open(ctx, req)
			login := req.Admin
			login.Username, login.Password = req.Twin, req.Password
			_ = good.Verify(ctx, dbdrivers.VerifyRequest{Login: login})
			return report, err
		}}
	}},
	"trims a twin's password": {"a hostile password opens a twin", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) {
		req.Password = dbdrivers.NewPassword(strings.TrimSpace(req.Password.Reveal()))
	})},
	"says at the same moment that it made each": {"a twin opened at the same moment is opened once", onTwinDone(func(_ *drivertest.FakeServer, _ dbdrivers.OpenTwinRequest, report *dbdrivers.TwinReport) {
		report.Created = true
	})},
	"lets an account without the power open a twin": {"an account without the power opens no twin", onTwinFailed(dbdrivers.ErrPrivilege, func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest) {
		srv.CreateAccount(req.Twin, req.Password.Reveal())
	})},
}

// brokenPairs are the ways to break VerifyTwin, and what OpenTwin hands over.
var brokenPairs = map[string]struct {
	seen   string
	breaks func(good dbdrivers.Driver, srv *drivertest.FakeServer) dbdrivers.Driver
}{
	"says nothing of what a twin has beyond its sibling": {"verifying lists in what the twin differs", onTwinVerify(func(_ *drivertest.FakeServer, verify verifyTwin) verifyTwin {
		return func(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
			_, err := verify(ctx, req)
			return nil, err
		}
	})},
	"lists a difference where there is none": {"a twin is made equal and opens", onTwinVerify(func(_ *drivertest.FakeServer, verify verifyTwin) verifyTwin {
		return func(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
			found, err := verify(ctx, req)
			return append(found, "the weather"), err
		}
	})},
	"takes a refused twin for a verified one": {"either of the two is verified as any account is", onTwinVerify(func(_ *drivertest.FakeServer, verify verifyTwin) verifyTwin {
		return func(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
			found, err := verify(ctx, req)
			if errors.Is(err, dbdrivers.ErrRefused) {
				return nil, nil
			}
			return found, err
		}
	})},
	"takes a barred twin for a verified one": {"either of the two is verified as any account is", onTwinVerify(func(_ *drivertest.FakeServer, verify verifyTwin) verifyTwin {
		return func(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
			found, err := verify(ctx, req)
			if errors.Is(err, dbdrivers.ErrBarred) {
				return nil, nil
			}
			return found, err
		}
	})},
	"cannot verify where there is no twin": {"either of the two is verified as any account is", onTwinVerify(func(srv *drivertest.FakeServer, verify verifyTwin) verifyTwin {
		return func(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
			if !srv.Exists(req.Twin) {
				return nil, dbdrivers.Classify(dbdrivers.ErrUnsupported, "comparing", nil)
			}
			return verify(ctx, req)
		}
	})},
	"signs in twice to verify a twin": {"a twin is opened by one sign-in", onTwinVerify(func(_ *drivertest.FakeServer, verify verifyTwin) verifyTwin {
		return func(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
			_, _ = verify(ctx, req)
			return verify(ctx, req)
		}
	})},
	"tells a refused twin what it is not equal in": {"either of the two is verified as any account is", onTwinVerify(func(_ *drivertest.FakeServer, verify verifyTwin) verifyTwin {
		return func(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
			found, err := verify(ctx, req)
			if errors.Is(err, dbdrivers.ErrRefused) {
				found = append(found, "the weather")
			}
			return found, err
		}
	})},
	"does not hear that opening a twin is cancelled": {"a cancelled call returns at once", onTwin(func(_ *drivertest.FakeServer, open openTwin) openTwin {
		return func(_ context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			return open(context.Background(), req)
		}
	})},
	"gives its sibling what is the twin's": {"a twin with a right of its own is not opened with it", onTwinDone(func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest, report *dbdrivers.TwinReport) {
		for _, removed := range report.Removed {
			srv.Grant(req.Canonical, strings.TrimPrefix(removed, "right "))
		}
	})},
	"hands over unasked": {"what a twin owns is handed over on the operator's word", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) { req.Adopt = true })},
	"hands nothing over": {"what a twin owns is handed over on the operator's word", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) { req.Adopt = false })},
	"hands over to somebody": {"what a twin owns is handed over on the operator's word", onTwinDone(func(srv *drivertest.FakeServer, _ dbdrivers.OpenTwinRequest, report *dbdrivers.TwinReport) {
		for _, adopted := range report.Adopted {
			srv.Own("somebody", strings.TrimPrefix(adopted, "object "))
		}
	})},
	"does not report what it handed over": {"what a twin owns is handed over on the operator's word", onTwinDone(func(_ *drivertest.FakeServer, _ dbdrivers.OpenTwinRequest, report *dbdrivers.TwinReport) {
		report.Adopted = nil
	})},
	"opens a twin that has come to own something": {"a twin that comes to own something is not opened", onTwinFailed(dbdrivers.ErrUnsupported, func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest) {
		srv.CreateAccount(req.Twin, req.Password.Reveal())
	})},
	"does not say that a twin owns something": {"a twin that comes to own something is not opened", onTwin(func(_ *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			report, err := open(ctx, req)
			if errors.Is(err, dbdrivers.ErrTwinOwns) {
				err = dbdrivers.Classify(dbdrivers.ErrUnsupported, "opening", errors.New(err.Error()))
			}
			return report, err
		}
	})},
	"does not name what a twin owns": {"a twin that comes to own something is not opened", onTwin(func(_ *drivertest.FakeServer, open openTwin) openTwin {
		return func(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
			report, err := open(ctx, req)
			if errors.Is(err, dbdrivers.ErrTwinOwns) {
				err = dbdrivers.Classify(dbdrivers.ErrUnsupported, "opening", dbdrivers.ErrTwinOwns)
			}
			return report, err
		}
	})},
	"hands over what a stranger owns": {"nothing is handed over of an account that is unproven", onTwinRequest(func(req *dbdrivers.OpenTwinRequest) { req.Proven = req.Proven || req.Adopt })},
	"gives the password before it hands over": {"a hand-over that is cut off is completed", onTwinFailed(dbdrivers.ErrUnreachable, func(srv *drivertest.FakeServer, req dbdrivers.OpenTwinRequest) {
		if req.Adopt {
			srv.CreateAccount(req.Twin, req.Password.Reveal())
			srv.MarkTwin(req.Twin, req.Canonical)
		}
	})},
}

func init() {
	maps.Copy(brokenDrivers, brokenTwins)
	maps.Copy(brokenDrivers, brokenPairs)
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
