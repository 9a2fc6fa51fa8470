// Package awstopology is a rotator.Topology over the RDS client of the AWS SDK.
// Amazon RDS answers for Amazon Aurora and Amazon DocumentDB as well.
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
// needs rds:DescribeDBClusters on all clusters of its Region. A function that
// meets equal hosts alone, and no proxy, asks nothing and needs none of them.
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

	"github.com/dbrotation/dbrotation/rotator"
)

// Topology asks Amazon RDS in the Region that an ARN or a host name says. It
// remembers nothing of what it was told, and is safe for concurrent use.
type Topology struct {
	client   func() *rds.Client
	resolver *net.Resolver
}

var _ rotator.Topology = (*Topology)(nil)

// New returns a topology whose client is made of sdk and options when it is
// first needed: most functions never ask, and start faster without it.
func New(sdk aws.Config, options ...func(*rds.Options)) *Topology {
	return &Topology{
		client:   sync.OnceValue(func() *rds.Client { return rds.NewFromConfig(sdk, options...) }),
		resolver: newResolver((&net.Dialer{}).DialContext),
	}
}

// ask begins the questions that one call of Topology leads to.
func (t *Topology) ask() *inquiry {
	return &inquiry{client: t.client(), clusters: map[resource]*cluster{}}
}

// Admin implements rotator.Topology. It makes one call.
func (t *Topology) Admin(ctx context.Context, tags map[string]string) (rotator.Endpoint, error) {
	named, err := managed(tags)
	if err != nil {
		return rotator.Endpoint{}, err
	}
	found, err := t.ask().server(ctx, named)
	if err != nil {
		return rotator.Endpoint{}, adminLookup(named, err)
	}
	return found.endpoint, nil
}
