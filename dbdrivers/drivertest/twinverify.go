package drivertest

import (
	"github.com/dbrotation/dbrotation/dbdrivers"
)

// verifyTwin asks as either of the two.
func (p pair) verifyTwin(login dbdrivers.Login) ([]string, error) {
	p.t.Helper()
	ctx, cancel := contextOf(p.t)
	defer cancel()
	return p.opener.VerifyTwin(ctx, dbdrivers.VerifyTwinRequest{Login: login, Canonical: p.name(), Twin: p.twin})
}

// wantDifferences asserts that both open, and that as many differences are
// listed to each.
func (p pair) wantDifferences(password string, want int) {
	p.t.Helper()
	for _, login := range []dbdrivers.Login{p.login, p.twinAccount(password).login} {
		found, err := p.verifyTwin(login)
		WantSafe(p.t, err, password, p.old())
		switch {
		case err != nil:
			p.t.Errorf("VerifyTwin of %q: %v", login.Username, err)
		case len(found) != want:
			p.t.Errorf("VerifyTwin of %q lists %q; want %d differences", login.Username, found, want)
		}
	}
}

// testVerified: VerifyTwin is Verify, whether there is a twin yet or not.
func (p pair) testVerified() {
	password, wrong := newPassword(), newPassword()
	refused := func(a account) {
		p.t.Helper()
		found, err := p.verifyTwin(a.with(wrong))
		wantClass(p.t, err, dbdrivers.ErrRefused, wrong, password, p.old())
		if len(found) > 0 {
			p.t.Errorf("a wrong password was told of %q", found)
		}
	}
	if found, err := p.verifyTwin(p.login); err != nil || len(found) > 0 {
		p.t.Errorf("without a twin: error %v, differences %q; want neither", err, found)
	}
	refused(p.account)
	refused(p.twinAccount(password))
	p.mustOpenTwin(p.request(password))
	refused(p.account)
	refused(p.twinAccount(password))
	if p.fixture.Bar != nil {
		p.fixture.Bar(p.t, p.twin)
		_, err := p.verifyTwin(p.twinAccount(password).login)
		wantClass(p.t, err, dbdrivers.ErrBarred, password)
	}
}

// testDifferences gives the twin a right of its own and takes it away.
func (p pair) testDifferences() {
	password, extra := newPassword(), p.twins.Right(p.t)
	p.mustOpenTwin(p.request(password))
	p.twins.Grant(p.t, p.twin, extra)
	if !p.twins.Blind {
		p.wantDifferences(password, 1)
	}
	p.twins.Revoke(p.t, p.twin, extra)
	p.wantDifferences(password, 0)
}
