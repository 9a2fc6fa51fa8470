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
	if d.managed(faults) {
		if err := a.findServer(ctx, arn, d); err != nil {
			return admin{}, err
		}
		faults = nil
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
	if d.username == current.username || d.username == a.nextUsername(current) {
		return admin{}, fail(ClassForbidden, "Rotate the admin by a secret of its own, without "+fieldAdmin+".",
			"the account %q is the admin itself", d.username)
	}

	adminLogin := d.login(a.traits, tlsconf.Settings{Roots: a.config.Roots})
	account := a.login(current)
	if err := a.sameServer(ctx, account.Host, adminLogin.Host); err != nil {
		return admin{}, err
	}
	if account.Port != adminLogin.Port {
		return admin{}, fail(ClassForbidden, "Correct the port.", "the secret's port %d is not the admin's %d", account.Port, adminLogin.Port)
	}
	return admin{arn: arn, login: adminLogin}, nil
}

// managed reports whether the document is one that a database service manages:
// a username and a password alone.
func (d *document) managed(faults []Fault) bool {
	return d != nil && d.engine == "" && d.host == "" && d.username != "" && !d.password.IsEmpty() && len(faults) == 1 && len(d.members) == 2
}

// findServer completes a managed admin's document by the server that its
// system tags name: one call of Secrets Manager, and the service's own.
func (a *attempt) findServer(ctx context.Context, arn string, d *document) error {
	if a.config.Topology == nil {
		return fail(ClassUnsupported, `Name an admin's secret that holds "engine" and "host" as well.`,
			"the admin's secret %s holds a username and a password alone, and this function cannot ask a service for its server", arn)
	}
	var description Description
	err := a.store(ctx, "describing the admin's secret "+arn, func(ctx context.Context) (err error) {
		description, err = a.config.Secrets.Describe(ctx, arn)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel, _ := within(ctx, greatestStoreTime)
	defer cancel()
	endpoint, err := a.config.Topology.Admin(ctx, description.Tags)
	if err != nil {
		return topologyFailure(err, "finding the server of the admin's secret "+arn)
	}
	d.engine, d.host, d.port = endpoint.Engine, endpoint.Host, endpoint.Port
	return nil
}

// sameServer demands that the secret's host is the admin's server: by its name,
// by the operator's word, or by that of the service that owns both names.
func (a *attempt) sameServer(ctx context.Context, host, adminHost string) error {
	if sameHost(host, adminHost) || slices.ContainsFunc(a.config.AdminHosts, func(listed string) bool { return sameHost(listed, host) }) {
		return nil
	}
	const remedy = "Correct the host, or list it in the function's ADMIN_HOSTS if it is another name of the admin's server."
	if a.config.Topology == nil {
		return fail(ClassForbidden, remedy, "the secret's host %q is not the admin's %q", host, adminHost)
	}
	ctx, cancel, _ := within(ctx, greatestStoreTime)
	defer cancel()
	relation, err := a.config.Topology.Relation(ctx, host, adminHost, a.engine)
	switch {
	case errors.Is(err, ErrUnrelated):
		return fail(ClassForbidden, remedy, "the secret's host %q is not the admin's %q: %w", host, adminHost, err)
	case err != nil:
		return topologyFailure(err, fmt.Sprintf("asking whether %q is the admin's server %q", host, adminHost))
	case relation.Kind == RelationProxy:
		return fail(ClassUnsupported, "Name the database's own endpoint as the secret's host, and give applications the proxy's by other means.",
			"the secret's host %q is a proxy, which knows the credential under AWSCURRENT alone and so cannot prove a new one", host)
	}
	return nil
}

// topologyFailure says what a database service's silence or refusal means.
func topologyFailure(err error, doing string) error {
	switch {
	case errors.Is(err, ErrDenied):
		return fail(ClassForbidden, "Give the function's role this permission.", "%s: %w", doing, err)
	case errors.Is(err, ErrServiceSilent):
		return fail(ClassUnreachable, "A function in a VPC reaches the service through an interface endpoint or a NAT gateway.", "%s: %w", doing, err)
	}
	return fail(ClassInvalidSecret, "", "%s: %w", doing, err)
}

// sameHost compares host names as DNS does.
func sameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
