package documentdb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/documentdb"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestMain closes the servers that the tests have started.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

var servers dbservers.Pool

func inTime(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func verify(t *testing.T, driver documentdb.Driver, login dbdrivers.Login) error {
	return driver.Verify(inTime(t), dbdrivers.VerifyRequest{Login: login})
}

func set(t *testing.T, driver documentdb.Driver, as dbdrivers.Login, name, password string) error {
	return driver.SetPassword(inTime(t), dbdrivers.SetPasswordRequest{As: as, Account: name, Password: dbdrivers.NewPassword(password)})
}

// check asserts an error's class, what it tells, and that it shows no secret.
func check(t *testing.T, err, class error, tells string, secrets ...string) {
	t.Helper()
	drivertest.WantSafe(t, err, append(secrets, masterPassword, firstPassword, nextPassword, strangePassword)...)
	switch {
	case class == nil && err == nil:
	case class == nil:
		t.Errorf("error %v; want none", err)
	case !errors.Is(err, class):
		t.Errorf("error %v; want %q", err, class)
	case !strings.Contains(err.Error(), tells):
		t.Errorf("error %v; want one that tells %q", err, tells)
	}
}

const (
	firstPassword = "First-password-1"
	nextPassword  = "Next-password-2"
)
