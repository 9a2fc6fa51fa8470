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
// equal and no proxy, and none where one of them is no name that Amazon RDS
// makes.
func (t *Topology) Relation(ctx context.Context, host, adminHost, engine string) (rotator.Relation, error) {
	here, known := parse(host)
	same := canonical(host) == canonical(adminHost)
	if same && !here.isProxy() {
		return rotator.Relation{Kind: rotator.RelationSame}, nil
	}
	there, adminKnown := parse(adminHost)
	switch {
	case engine == "redshift":
		return rotator.Relation{}, unrelated("%q is not the admin's %q, and Amazon Redshift has no other endpoints that can be looked up", host, adminHost)
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
	admin := at
	if !same {
		if admin, err = q.place(ctx, there); err != nil {
			return rotator.Relation{}, lookup(adminHost, err)
		}
	}
	chain, err := q.chain(ctx, at.server, admin.server)
	if err != nil {
		return rotator.Relation{}, fmt.Errorf("following what %q replicates: %w", host, err)
	}
	if chain < 0 {
		return rotator.Relation{}, unrelated("%q leads to %s, the admin's %q to %s, which the former does not replicate", host, at.server.arn, adminHost, admin.server.arn)
	}

	relation := rotator.Relation{Kind: rotator.RelationMember, Writer: at.writer}
	if chain > 0 {
		relation.Kind = rotator.RelationReplica
	}
	if at.proxy != nil {
		relation.Kind = rotator.RelationProxy
		relation.Target = at.server.endpoint
		relation.ProxySecrets = at.proxy.secrets
	}
	return relation, nil
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
