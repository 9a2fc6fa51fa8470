package rotator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

// admin is the login that masterarn names.
type admin struct {
	arn   string
	login dbdrivers.Login
}

// admin reads the admin's secret and decides where its password goes. The
// application's secret has no say in that: host, port, database and TLS are
// the admin's own, and the two secrets must mean the same server.
func (a *attempt) admin(ctx context.Context, current *document) (admin, error) {
	arn := current.adminARN
	version, err := a.get(ctx, arn, VersionRef{Label: labelCurrent})
	if errors.Is(err, ErrNoSuchVersion) {
		return admin{}, fail(ClassInvalidSecret, "Store the admin's credential in it with PutSecretValue.", "the admin's secret %s has no value: %w", arn, err)
	}
	if err != nil {
		return admin{}, fmt.Errorf("reading the admin's secret, which %q names: %w", fieldAdmin, err)
	}
	d, faults := a.document(version)
	if d != nil && d.engine == "" && d.host == "" && d.username != "" && !d.password.IsEmpty() && len(faults) == 1 {
		return admin{}, fail(ClassUnsupported, `Name an admin's secret that holds "engine" and "host" as well.`,
			"the admin's secret %s holds a username and a password alone, as those that Amazon RDS manages; this version cannot look its server up", arn)
	}
	faults = append(faults, d.hostMissing()...)
	if d != nil {
		driver, ok := a.config.Drivers[d.engine]
		switch {
		case d.engine == "":
		case !ok:
			faults = append(faults, Fault{fieldEngine, "names an engine that this function does not know; it knows " + a.engineNames()})
		case driver.Traits().Engine != a.traits.Engine:
			faults = append(faults, Fault{fieldEngine, fmt.Sprintf("is %s, but the account's engine is %s", d.engine, a.engine)})
		default:
			faults = append(faults, d.check(a.traits)...)
		}
	}
	if len(faults) > 0 {
		return admin{}, &DocumentError{SecretARN: arn, Label: labelCurrent, Faults: faults}
	}
	if d.username == current.username {
		return admin{}, fail(ClassForbidden, "Rotate the admin by a secret of its own, without "+fieldAdmin+".",
			"the account %q is the admin itself", current.username)
	}

	adminLogin := d.login(a.traits, tlsconf.Settings{Roots: a.config.Roots})
	account := a.login(current)
	if !sameHost(account.Host, adminLogin.Host) && !slices.ContainsFunc(a.config.AdminHosts, func(host string) bool { return sameHost(host, account.Host) }) {
		return admin{}, fail(ClassForbidden, "Correct the host, or list it in the function's ADMIN_HOSTS if it is another name of the admin's server.",
			"the secret's host %q is not the admin's %q", account.Host, adminLogin.Host)
	}
	if account.Port != adminLogin.Port {
		return admin{}, fail(ClassForbidden, "Correct the port.", "the secret's port %d is not the admin's %d", account.Port, adminLogin.Port)
	}
	return admin{arn: arn, login: adminLogin}, nil
}

// sameHost compares host names as DNS does.
func sameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
