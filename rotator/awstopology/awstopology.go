// Package awstopology is a rotator.Topology over the clients of the AWS SDK for
// Amazon RDS, which answers for Amazon Aurora and Amazon DocumentDB as well, for
// Amazon Redshift and for Amazon Redshift Serverless. The latter two are asked for
// the server of a managed admin's secret, and nothing else: they know no relation
// between endpoints.
//
// A name proves nothing here, since an application's secret may hold any. The
// name says what to ask for; what counts is that the service answers with that
// very endpoint, and with ARNs that lead to the admin's server. The service
// answers for the function's own account.
//
// What is asked needs rds:DescribeDBInstances and rds:DescribeDBClusters of the
// function's role; for hosts that are proxies rds:DescribeDBProxies and
// rds:DescribeDBProxyTargets too, and rds:DescribeDBProxyEndpoints for those
// endpoints of a proxy that were added to it. A custom endpoint of a cluster
// needs rds:DescribeDBClusters on all clusters of its Region. An admin's secret
// that Amazon Redshift manages needs redshift:DescribeClusters; one of Redshift
// Serverless redshift-serverless:ListNamespaces and
// redshift-serverless:ListWorkgroups. A function that meets equal hosts alone, no
// proxy and no managed secret, asks nothing and needs none of them.
//
// The tests ask these clients of servers that speak the services' protocols. No
// real cluster of Amazon Redshift or Amazon DocumentDB was asked.
//
// Of a host that is no name of Amazon RDS, DNS is asked whether it is an alias
// of a proxy. Its word can only make a rotation more careful.
package awstopology

import (
	"context"
	"net"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/redshift"
	"github.com/aws/aws-sdk-go-v2/service/redshiftserverless"

	"github.com/dbrotation/dbrotation/rotator"
)

// Topology asks the services in the Region that an ARN or a host name says. It
// remembers nothing of what it was told, and is safe for concurrent use.
type Topology struct {
	client     func() *rds.Client
	redshift   func() *redshift.Client
	serverless func() *redshiftserverless.Client
	resolver   *net.Resolver
}

var _ rotator.Topology = (*Topology)(nil)

// New returns a topology whose clients are made of sdk when they are first
// needed, that of Amazon RDS of options too: most functions never ask, and start
// faster without them.
func New(sdk aws.Config, options ...func(*rds.Options)) *Topology {
	return &Topology{
		client:     sync.OnceValue(func() *rds.Client { return rds.NewFromConfig(sdk, options...) }),
		redshift:   sync.OnceValue(func() *redshift.Client { return redshift.NewFromConfig(sdk) }),
		serverless: sync.OnceValue(func() *redshiftserverless.Client { return redshiftserverless.NewFromConfig(sdk) }),
		resolver:   newResolver((&net.Dialer{}).DialContext),
	}
}

// ask begins the questions to Amazon RDS that one call of Topology leads to.
func (t *Topology) ask() *inquiry {
	return &inquiry{client: t.client(), clusters: map[resource]*cluster{}}
}

// Admin implements rotator.Topology. It makes one call, and two for a namespace
// of Amazon Redshift Serverless; more only where an answer has several pages. The
// engines that it names are those of Amazon RDS, "docdb" and "redshift".
func (t *Topology) Admin(ctx context.Context, tags map[string]string) (rotator.Endpoint, error) {
	named, err := managed(tags)
	if err != nil {
		return rotator.Endpoint{}, err
	}
	var endpoint rotator.Endpoint
	switch named.Service {
	case serviceRedshift:
		endpoint, err = t.redshiftCluster(ctx, named)
	case serviceServerless:
		endpoint, err = t.redshiftNamespace(ctx, named)
	default:
		var found *server
		if found, err = t.ask().server(ctx, named); err == nil {
			endpoint = found.endpoint
		}
	}
	if err != nil {
		return rotator.Endpoint{}, adminLookup(named, err)
	}
	return endpoint, nil
}
