package drivertest

import (
	"errors"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// adoptionTests are of engines whose accounts own things.
var adoptionTests = map[string]func(pair){
	"what a twin owns is handed over on the operator's word": pair.testAdopted,
	"a twin that comes to own something is not opened":       pair.testCameToOwn,
	"nothing is handed over of an account that is unproven":  pair.testUnprovenOwner,
	"a hand-over that is cut off is completed":               pair.testAdoptionCutOff,
}

func (p pair) wantOwner(object, want string) {
	p.t.Helper()
	if owner := p.twins.Owner(p.t, object); owner != want {
		p.t.Errorf("%s is owned by %q; want %q", object, owner, want)
	}
}

// names reports whether one of the texts of a report is of object.
func names(texts []string, object string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, object) })
}

// owning is a stranger of the twin's name that owns something.
func (p pair) owning() (a account, object string) {
	p.t.Helper()
	a = p.fixture.accountNamed(p.t, p.twin, newPassword())
	return a, p.twins.Own(p.t, a.login)
}

func (p pair) testAdopted() {
	password := newPassword()
	_, object := p.owning()
	req := p.request(password)
	req.Proven = true
	if report := p.mustOpenTwin(req); !names(report.Kept, object) || len(report.Adopted) > 0 {
		p.t.Errorf("without the operator's word it reports %+v", report)
	}
	p.wantOwner(object, p.twin)

	req.Adopt = true
	if report := p.mustOpenTwin(req); !names(report.Adopted, object) || names(report.Kept, object) {
		p.t.Errorf("with the operator's word it reports %+v", report)
	}
	p.wantOwner(object, p.name())
	if report := p.mustOpenTwin(req); len(report.Adopted) > 0 || names(report.Kept, object) {
		p.t.Errorf("once more it reports %+v", report)
	}
	p.wantOwner(object, p.name())
}

// testCameToOwn is a twin that was equal, until it made something of its own.
func (p pair) testCameToOwn() {
	before, next := newPassword(), newPassword()
	p.mustOpenTwin(p.request(before))
	object := p.twins.Own(p.t, p.twinAccount(before).login)
	if !p.twins.Blind {
		p.wantDifferences(before, 1)
	}
	_, err := p.open(p.request(next))
	wantClass(p.t, err, dbdrivers.ErrUnsupported, next, before)
	if !errors.Is(err, dbdrivers.ErrTwinOwns) {
		p.t.Errorf("error %v; want that it says that the twin owns something", err)
	}
	if err != nil && !strings.Contains(err.Error(), object) {
		p.t.Errorf("error %v; want that it names %s", err, object)
	}
	p.twinAccount(before).mustOpen(before)
	p.twinAccount(before).mustRefuse(next)
	p.wantOwner(object, p.twin)

	req := p.request(next)
	req.Adopt = true
	if report := p.mustOpenTwin(req); !names(report.Adopted, object) {
		p.t.Errorf("with the operator's word it reports %+v", report)
	}
	p.wantOwner(object, p.name())
}

func (p pair) testUnprovenOwner() {
	next := newPassword()
	stranger, object := p.owning()
	req := p.request(next)
	req.Adopt = true
	_, err := p.open(req)
	wantClass(p.t, err, dbdrivers.ErrUnsupported, next, stranger.old())
	p.wantOwner(object, p.twin)
	stranger.mustOpen(stranger.old())
}

func (p pair) testAdoptionCutOff() {
	for _, answerLost := range []bool{false, true} {
		for nth := range mostMessages {
			if !p.fixture.pair(p.t, p.opener).adoptionCutOffAt(nth, answerLost) {
				break
			}
		}
	}
}

// adoptionCutOffAt reports whether the call came as far as the nth message.
func (p pair) adoptionCutOffAt(nth int, answerLost bool) bool {
	p.t.Helper()
	next := newPassword()
	stranger, object := p.owning()
	req := p.request(next)
	req.Proven, req.Adopt = true, true
	var cut func() bool
	req.Admin, cut = p.twins.Cut(p.t, nth, answerLost)
	_, err := p.open(req)
	if !cut() {
		if err != nil {
			p.t.Errorf("OpenTwin, whose connection was not cut off: %v", err)
		}
		return false
	}
	wantClass(p.t, err, dbdrivers.ErrUnreachable, next, stranger.old())
	if !p.opens(stranger.old()) {
		// The new password is last, and so everything else is done.
		p.wantComplete(next)
		p.wantOwner(object, p.name())
	}
	req.Admin = p.fixture.Admin(p.t)
	p.mustOpenTwin(req)
	p.wantOwner(object, p.name())
	return true
}
