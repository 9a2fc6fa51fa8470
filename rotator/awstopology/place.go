package awstopology

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/dbrotation/dbrotation/rotator"
)

// How the resources of Amazon RDS begin in their ARNs.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.ARN.html
const (
	prefixInstance = "db:"
	prefixCluster  = "cluster:"
)

// errAbsent: the service shows the function's account nothing of that name.
var errAbsent = errors.New("there is no such endpoint or server")

// server is what holds accounts: a cluster, or an instance that is in none.
type server struct {
	arn arn.ARN
	// source is what the server replicates; the zero value where it is no
	// replica.
	source arn.ARN
	// endpoint is where writes go.
	endpoint rotator.Endpoint
}

// isReplica reports whether the server takes its accounts from another.
func (s *server) isReplica() bool { return s.source != (arn.ARN{}) }

// place is what a host name leads to.
type place struct {
	server *server
	// writer is true where the name is known to lead to what takes writes.
	writer bool
	// proxy is what stands between, if something does.
	proxy *proxy
}

// proxy is whom a proxy signs in as, as far as the service says it.
type proxy struct {
	secrets, users []string
}

// place asks the service what a host name leads to. errAbsent where it knows
// no such name: what is called alike counts for nothing.
func (q *inquiry) place(ctx context.Context, name hostname) (place, error) {
	switch name.form {
	case clusterForm:
		found, err := q.cluster(ctx, resource{name.region, name.id})
		if err != nil {
			return place{}, err
		}
		return found.place(name.host)
	case customForm:
		return q.customPlace(ctx, name)
	case proxyForm, proxyEndpointForm:
		return q.proxyPlace(ctx, name)
	}
	found, err := q.instance(ctx, resource{name.region, name.id})
	if err != nil {
		return place{}, err
	}
	if !names(found.Endpoint, name.host) {
		return place{}, errAbsent
	}
	member, err := q.owner(ctx, name.region, found)
	if err != nil {
		return place{}, err
	}
	writer := !member.isReplica()
	if id := aws.ToString(found.DBClusterIdentifier); id != "" {
		of, err := q.cluster(ctx, resource{name.region, id})
		if err != nil {
			return place{}, err
		}
		writer = writer && of.writes(aws.ToString(found.DBInstanceIdentifier))
	}
	return place{server: member, writer: writer}, nil
}

// customPlace finds a custom endpoint, whose name does not tell its cluster.
func (q *inquiry) customPlace(ctx context.Context, name hostname) (place, error) {
	all, err := q.allClusters(ctx, name.region)
	if err != nil {
		return place{}, err
	}
	for _, each := range all {
		for _, custom := range each.CustomEndpoints {
			if canonical(custom) == name.host {
				of, err := newCluster(each)
				if err != nil {
					return place{}, err
				}
				return place{server: of.server}, nil
			}
		}
	}
	return place{}, errAbsent
}

// names reports whether an instance is reached by host. An instance that is
// being made has no endpoint.
func names(endpoint *types.Endpoint, host string) bool {
	return endpoint != nil && canonical(aws.ToString(endpoint.Address)) == host
}

// server looks a server up by its ARN; of an instance in a cluster it is the
// cluster.
func (q *inquiry) server(ctx context.Context, named arn.ARN) (*server, error) {
	if strings.HasPrefix(named.Resource, prefixCluster) {
		found, err := q.cluster(ctx, resource{named.Region, named.String()})
		if err != nil {
			return nil, err
		}
		if found.server.arn != named {
			return nil, errAbsent
		}
		return found.server, nil
	}
	found, err := q.instance(ctx, resource{named.Region, named.String()})
	if err != nil {
		return nil, err
	}
	if aws.ToString(found.DBInstanceArn) != named.String() {
		return nil, errAbsent
	}
	return q.owner(ctx, named.Region, found)
}

// owner is the server that an instance belongs to: its cluster, or itself.
func (q *inquiry) owner(ctx context.Context, region string, instance *types.DBInstance) (*server, error) {
	if id := aws.ToString(instance.DBClusterIdentifier); id != "" {
		found, err := q.cluster(ctx, resource{region, id})
		if err != nil {
			return nil, err
		}
		return found.server, nil
	}
	own, err := arn.Parse(aws.ToString(instance.DBInstanceArn))
	if err != nil {
		return nil, fmt.Errorf("reading the instance's ARN: %w", err)
	}
	if instance.Endpoint == nil || aws.ToString(instance.Endpoint.Address) == "" {
		return nil, fmt.Errorf("%s has no endpoint yet (its status is %q): wait until it is available", own, aws.ToString(instance.DBInstanceStatus))
	}
	itself := &server{arn: own, endpoint: rotator.Endpoint{
		Host:   aws.ToString(instance.Endpoint.Address),
		Port:   int(aws.ToInt32(instance.Endpoint.Port)),
		Engine: aws.ToString(instance.Engine),
	}}
	if of := aws.ToString(instance.ReadReplicaSourceDBClusterIdentifier); of != "" {
		itself.source = sourceOf(own, prefixCluster, of)
	} else if of := aws.ToString(instance.ReadReplicaSourceDBInstanceIdentifier); of != "" {
		itself.source = sourceOf(own, prefixInstance, of)
	}
	return itself, nil
}

// sourceOf is the ARN of what a replica replicates. The service names it by its
// identifier where it is of the same Region, and by its ARN where it is not.
func sourceOf(replica arn.ARN, prefix, source string) arn.ARN {
	if parsed, err := arn.Parse(source); err == nil {
		return parsed
	}
	replica.Resource = prefix + source
	return replica
}
