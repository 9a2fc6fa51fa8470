package rotator

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// itself asks what a host is: a proxy's endpoint, or just the host. Without a
// Topology it is the latter.
//
// A proxy knows the credential under AWSCURRENT alone. A password that was set
// through it would be one that it does not take before the rotation is over,
// and testSecret could never pass: the application would be locked out. What a
// rotation does, it does at the server behind.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-secrets-arns.html
func (a *attempt) itself(ctx context.Context, host string) (Relation, error) {
	if a.config.Topology == nil {
		return Relation{Kind: RelationSame}, nil
	}
	ctx, cancel, _ := within(ctx, greatestStoreTime)
	defer cancel()
	relation, err := a.config.Topology.Relation(ctx, host, host, a.engine)
	if err != nil {
		return Relation{}, topologyFailure(err, fmt.Sprintf("asking whether the host %q is a proxy's, and for what is behind it", host))
	}
	return relation, nil
}

// isAlias reports whether it is DNS alone that says that host is a proxy's.
func (r Relation) isAlias(host string) bool {
	return r.Kind == RelationProxy && !sameHost(r.Proxy, host)
}

// behind returns the login at the server behind its host, given what the host
// is. The server is verified by its own name: an sslServerName is the proxy's.
//
// Where DNS alone says that the host is a proxy's, the secret must say it too:
// verified TLS through an alias needs the proxy's name as sslServerName. DNS
// would choose the server that is given the password otherwise.
func (a *attempt) behind(login dbdrivers.Login, relation Relation) (dbdrivers.Login, error) {
	if relation.Kind != RelationProxy {
		return login, nil
	}
	if relation.isAlias(login.Host) && !login.TLS.Plaintext && !sameHost(login.TLS.ServerName, relation.Proxy) {
		return dbdrivers.Login{}, fail(ClassInvalidSecret,
			fmt.Sprintf("Name the proxy's or the database's own endpoint as the %q; or keep the alias, and name the proxy's endpoint in {%q: {\"sslServerName\": %q}}.", fieldHost, fieldOurs, relation.Proxy),
			"DNS says that the host %q is an alias of the proxy %q, and DNS alone does not decide where a password goes", login.Host, relation.Proxy)
	}
	login.Host, login.Port, login.TLS.ServerName = relation.Target.Host, relation.Target.Port, ""
	if login.Port == 0 {
		login.Port = a.traits.DefaultPort
	}
	return login, nil
}

// passesBoth demands that a proxy in front of two accounts that take turns signs
// in as both. It would refuse the application every other turn.
func (a *attempt) passesBoth(current *document, relation Relation) error {
	if a.strategyName != Alternating || relation.Kind != RelationProxy {
		return nil
	}
	names := current.pair()
	if slices.Contains(relation.ProxyUsers, names.Canonical) && slices.Contains(relation.ProxyUsers, names.Twin) {
		return nil
	}
	return fail(ClassUnsupported,
		fmt.Sprintf("Rotate by the strategy %s, or %s where the engine has it; or name the database's own endpoint as the %q, where applications sign in. Nothing was changed.", Single, DualPassword, fieldHost),
		"the host %q is the proxy %q, which Amazon RDS does not say signs in as both %q and %q: it would refuse the application after a turn",
		current.host, relation.Proxy, names.Canonical, names.Twin)
}
