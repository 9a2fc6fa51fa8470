package drivertest

import (
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// testPowers holds the driver to what its fixture claims. A power is a method,
// and one that was lost, or has another signature by mistake, would only leave
// its tests out.
func (f Fixture) testPowers(t *testing.T) {
	_, opens := f.Driver.(dbdrivers.TwinOpener)
	_, retains := f.Driver.(dbdrivers.PasswordRetainer)
	for _, power := range []struct {
		name         string
		has, claimed bool
	}{
		{"TwinOpener", opens, f.Twins != nil},
		{"PasswordRetainer", retains, f.Retain != nil},
	} {
		if power.has != power.claimed {
			t.Errorf("the driver is a dbdrivers.%s: %t; the fixture claims: %t", power.name, power.has, power.claimed)
		}
	}
}
