package awstopology

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/rotator"
)

// longestChain is how many steps of replication are followed, more than the
// service allows for any engine. It keeps a ring from being walked for ever.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ReadRepl.html
const longestChain = 5

const listTheHost = "correct the host, or list it in the function's ADMIN_HOSTS if it is another name of the admin's server"

// Relation implements rotator.Topology. It makes no call where the hosts are
// equal and no proxy, none where they differ and one of them is no name that
// Amazon RDS makes, and none for Amazon Redshift: a custom domain, an endpoint in
// another VPC or one of an elastic cluster of Amazon DocumentDB is listed in
// ADMIN_HOSTS.
func (t *Topology) Relation(ctx context.Context, host, adminHost, engine string) (rotator.Relation, error) {
	if canonical(host) == canonical(adminHost) {
		return t.itself(ctx, host, engine)
	}
	here, known := parse(host)
	there, adminKnown := parse(adminHost)
	switch {
	case engine == "redshift":
		return rotator.Relation{}, unrelated("%q is not the admin's %q, and of Amazon Redshift no other endpoints are looked up", host, adminHost)
	case !known:
		return rotator.Relation{}, unrelated("%q is no endpoint's name of Amazon RDS, and it is not the admin's %q", host, adminHost)
	case !adminKnown:
		return rotator.Relation{}, unrelated("the admin's host %q is no endpoint's name of Amazon RDS, and the secret's is %q", adminHost, host)
	case here.domain != there.domain:
		return rotator.Relation{}, unrelated("%q and the admin's %q are of different partitions of AWS", host, adminHost)
	}

	q := t.ask()
	at, err := q.place(ctx, here)
	if err != nil {
		return rotator.Relation{}, lookup(host, err)
	}
	admin, err := q.place(ctx, there)
	if err != nil {
		return rotator.Relation{}, lookup(adminHost, err)
	}
	chain, err := q.chain(ctx, at.server, admin.server)
	if err != nil {
		return rotator.Relation{}, fmt.Errorf("following what %q replicates: %w", host, err)
	}
	if chain < 0 {
		return rotator.Relation{}, unrelated("%q leads to %s, the admin's %q to %s, which the former does not replicate", host, at.server.arn, adminHost, admin.server.arn)
	}
	switch {
	case at.proxy != nil:
		return at.proxied(here), nil
	case chain > 0:
		return rotator.Relation{Kind: rotator.RelationReplica, Writer: at.writer}, nil
	}
	return rotator.Relation{Kind: rotator.RelationMember, Writer: at.writer}, nil
}

// itself says what one name is: a proxy's, by itself or as an alias, or just
// the same.
func (t *Topology) itself(ctx context.Context, host, engine string) (rotator.Relation, error) {
	if !mayBeProxied(engine) {
		return rotator.Relation{Kind: rotator.RelationSame}, nil
	}
	name, known := parse(host)
	if !known {
		name, known = t.aliasOf(ctx, host)
	}
	if !known || !name.isProxy() {
		return rotator.Relation{Kind: rotator.RelationSame}, nil
	}
	at, err := t.ask().place(ctx, name)
	switch {
	case errors.Is(err, errAbsent):
		return rotator.Relation{}, fmt.Errorf("%q is the name of a proxy that Amazon RDS does not show to the function's account, so the server behind it is not known: %s", name.host, nameTheDatabase)
	case err != nil:
		return rotator.Relation{}, fmt.Errorf("looking up the proxy %q: %w", name.host, err)
	}
	return at.proxied(name), nil
}

// proxied is the relation of a proxy, by its endpoint's name, to the server
// behind it.
func (p place) proxied(name hostname) rotator.Relation {
	return rotator.Relation{
		Kind: rotator.RelationProxy, Writer: p.writer,
		Proxy: name.host, Target: p.server.endpoint,
		ProxySecrets: p.proxy.secrets, ProxyUsers: p.proxy.users,
	}
}

// chain counts the steps of replication from one server back to another: none
// where they are one, and -1 where there is no way.
func (q *inquiry) chain(ctx context.Context, from, to *server) (int, error) {
	if from.arn == to.arn {
		return 0, nil
	}
	at := from
	for steps := 1; steps <= longestChain; steps++ {
		switch {
		case at.source == to.arn:
			return steps, nil
		case !at.isReplica(), at.source.AccountID != to.arn.AccountID:
			return -1, nil // the end; or a server of another account, which does not show it to this one
		}
		var err error
		at, err = q.server(ctx, at.source)
		switch {
		case errors.Is(err, errAbsent):
			return -1, nil // what was replicated is gone
		case err != nil:
			return 0, err
		case at.arn == to.arn: // the source was a member of the admin's cluster
			return steps, nil
		}
	}
	return -1, nil
}

// unrelated says why nothing proves that a host is the admin's server, and what
// to do.
func unrelated(format string, args ...any) error {
	return fmt.Errorf("%w: %s; %s", rotator.ErrUnrelated, fmt.Sprintf(format, args...), listTheHost)
}

// lookup says what it means that a host could not be looked up.
func lookup(host string, err error) error {
	if errors.Is(err, errAbsent) {
		return unrelated("Amazon RDS shows the function's account no endpoint %q", host)
	}
	return fmt.Errorf("looking up the host %q: %w", host, err)
}
