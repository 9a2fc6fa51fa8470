package rotator

import (
	"context"
	"errors"
)

// Topology is what the rotation asks of the database services: where the
// server of a managed admin's secret is, and whether a host is another name of
// the admin's server. Package awstopology implements it over the AWS SDK.
//
// An application's secret is less trusted than its admin's. What a Topology
// says of a host is therefore the word of the service that owns the name, never
// a likeness of names and never what DNS answers: an alias of one's own (a
// CNAME) is listed in the function's ADMIN_HOSTS instead. That an alias leads to
// a proxy is the one thing DNS may say, since it makes a rotation more careful.
//
// A service that refuses an answer is [ErrDenied], with the IAM action that
// the function's role lacks; one that gives none is [ErrServiceSilent]. Neither
// means that a host is unrelated.
type Topology interface {
	// Admin finds the server of an admin's secret that a database service
	// manages. Such a secret holds a username and a password alone; the server
	// is named by a system tag, which only AWS can write. [ErrUnmanaged] where
	// no tag names one. Where a tag names something that several servers serve,
	// a namespace of Amazon Redshift Serverless with several workgroups, none is
	// chosen: that is an error which names them.
	//
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
	// https://docs.aws.amazon.com/documentdb/latest/developerguide/docdb-secrets-manager.html
	// https://docs.aws.amazon.com/redshift/latest/mgmt/redshift-secrets-manager-integration.html
	Admin(ctx context.Context, tags map[string]string) (Endpoint, error)

	// Relation says how host, which the application's secret names, is related
	// to the admin's host. [ErrUnrelated] where the service does not know one
	// of them, or knows both and no relation. engine is that of the secret; it
	// says which service to ask, and nothing more, because secrets call an
	// Aurora cluster "postgres" as well as "aurora-postgresql".
	//
	// Equal names are [RelationSame] and no service is asked. The one exception
	// is the endpoint of a proxy, which may be asked about by naming it twice: a
	// proxy knows the credential under AWSCURRENT alone, so a rotation has to
	// reach what is behind it. An alias of such an endpoint, named twice, is
	// [RelationProxy] too.
	Relation(ctx context.Context, host, adminHost, engine string) (Relation, error)
}

// What a Topology's errors mean to the rotation. They are found by errors.Is;
// errors.As still reaches the client's own error.
var (
	// ErrUnrelated: nothing proves that the host is the admin's server.
	ErrUnrelated = errors.New("the host is not proven to be the admin's server")
	// ErrUnmanaged: the secret bears no tag that names a server.
	ErrUnmanaged = errors.New("no system tag names the secret's server")
	// ErrServiceSilent: the database service could not be reached, did not
	// answer in time, or was not able to: it throttled the call, or failed.
	ErrServiceSilent = errors.New("no answer from the database service")
)

// Endpoint is where a server is reached, as its service says.
type Endpoint struct {
	Host string
	Port int
	// Engine is the service's own name of the engine ("aurora-postgresql",
	// "docdb"), which secrets use too; "redshift" where the service has none.
	Engine string
	// Database is the one that the server was made with, where an admin can sign in
	// to none that is always there. It is empty where the service says none.
	Database string
}

// RelationKind says how a host is related to the admin's host.
type RelationKind string

// The kinds of a Relation.
const (
	// RelationSame: both are one name.
	RelationSame RelationKind = "same"
	// RelationMember: another endpoint of the admin's server: of its cluster
	// the writer, reader or a custom endpoint or a member's own.
	RelationMember RelationKind = "member"
	// RelationReplica: a server that replicates the admin's, at first hand or
	// through other replicas, in any Region.
	RelationReplica RelationKind = "replica"
	// RelationProxy: a proxy in front of the admin's server.
	RelationProxy RelationKind = "proxy"
)

// Relation is how a host is related to the admin's host.
type Relation struct {
	Kind RelationKind
	// Writer is true where the host is known to lead to the server that takes
	// writes, at the time of asking. False is no proof of the contrary: of
	// RelationSame nothing was asked, and a reader endpoint leads to the
	// writer where the cluster has no reader. A change may be seen late on a
	// host that is neither the same nor the writer.
	Writer bool
	// Proxy is the endpoint's name of a RelationProxy, by which its service
	// knows it. It is another than the host that was asked about where DNS says
	// that this one is its alias. Empty for other kinds.
	Proxy string
	// Target is where the rotation signs in instead of at a RelationProxy: the
	// server behind the proxy, by its writer endpoint. Empty for other kinds.
	Target Endpoint
	// ProxySecrets are the ARNs of the secrets that a RelationProxy signs in
	// with. An account in none of them cannot pass the proxy by a password.
	ProxySecrets []string
	// ProxyUsers are the accounts that a RelationProxy signs in as. The service
	// says them only where the proxy's owner did.
	ProxyUsers []string
}
