package rotator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// admin is the login that masterarn names.
type admin struct {
	arn   string
	login dbdrivers.Login
	// relation is that of the account's server to the admin's. Its kind is
	// empty where the operator's word stands for it.
	relation Relation
}

// admin reads the admin's secret and decides where its password goes. The
// application's secret has no say in that: host, port, database and TLS are
// the admin's own, and the two secrets must mean the same server. account is
// the login of current at the server behind its host, and itself what that host
// is.
func (a *attempt) admin(ctx context.Context, current *document, account dbdrivers.Login, itself Relation) (admin, error) {
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
	if slices.Contains(a.touches(current), d.username) {
		return admin{}, fail(ClassForbidden, "Rotate the admin by a secret of its own, without "+fieldAdmin+".",
			"the account %q is the admin itself", d.username)
	}

	adminItself := itself
	if !sameHost(d.host, current.host) {
		if adminItself, err = a.itself(ctx, d.host); err != nil {
			return admin{}, fmt.Errorf("the admin's secret %s: %w", arn, err)
		}
	}
	login, err := a.behind(a.login(d), adminItself)
	if err != nil {
		return admin{}, fmt.Errorf("the admin's secret %s: %w", arn, err)
	}
	var relation Relation
	switch {
	case sameHost(d.host, current.host):
		relation.Kind = RelationSame
	case slices.ContainsFunc(a.config.AdminHosts, func(listed string) bool { return sameHost(listed, current.host) }):
		// By the operator's word, which says no more than that.
	case itself.isAlias(current.host), adminItself.isAlias(d.host):
		// What DNS says of an alias proves nothing: it is told as it stands.
		return admin{}, fail(ClassForbidden, listTheHost, "the secret's host %q is not the admin's %q", current.host, d.host)
	default:
		relation, err = a.sameServer(ctx, account.Host, login.Host)
		if err != nil && itself.Kind == RelationProxy {
			err = fmt.Errorf("behind the proxy %q: %w", current.host, err)
		}
		if err != nil {
			return admin{}, err
		}
	}
	// A replica may listen on a port of its own.
	if account.Port != login.Port && relation.Kind != RelationReplica {
		return admin{}, fail(ClassForbidden, "Correct the port.", "the account's port %d is not the admin's %d", account.Port, login.Port)
	}
	return admin{arn: arn, login: login, relation: relation}, nil
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
	d.engine, d.host, d.port, d.database = endpoint.Engine, endpoint.Host, endpoint.Port, endpoint.Database
	return nil
}

const listTheHost = "Correct the host, or list it in the function's ADMIN_HOSTS if it is another name of the admin's server."

// sameServer demands that a host is the admin's server, by its name or by the
// word of the service that owns both names, and says how the two are related.
func (a *attempt) sameServer(ctx context.Context, host, adminHost string) (Relation, error) {
	if sameHost(host, adminHost) {
		return Relation{Kind: RelationSame}, nil
	}
	if a.config.Topology == nil {
		return Relation{}, fail(ClassForbidden, listTheHost, "the secret's host %q is not the admin's %q", host, adminHost)
	}
	ctx, cancel, _ := within(ctx, greatestStoreTime)
	defer cancel()
	relation, err := a.config.Topology.Relation(ctx, host, adminHost, a.engine)
	switch {
	case errors.Is(err, ErrUnrelated):
		return Relation{}, fail(ClassForbidden, listTheHost, "the secret's host %q is not the admin's %q: %w", host, adminHost, err)
	case err != nil:
		return Relation{}, topologyFailure(err, fmt.Sprintf("asking whether %q is the admin's server %q", host, adminHost))
	}
	return relation, nil
}

// topologyFailure says what a database service's silence or refusal means.
func topologyFailure(err error, doing string) error {
	switch {
	case errors.Is(err, ErrDenied):
		return fail(ClassForbidden, "Give the function's role this permission.", "%s: %w", doing, err)
	case errors.Is(err, ErrServiceSilent):
		return fail(ClassUnreachable, "Rotate again later. A function in a VPC reaches the service through an interface endpoint or a NAT gateway.", "%s: %w", doing, err)
	}
	return fail(ClassInvalidSecret, "", "%s: %w", doing, err)
}

// sameHost compares host names as DNS does.
func sameHost(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}
