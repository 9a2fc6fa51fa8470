package awstopology

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/dbrotation/dbrotation/rotator"
)

// cluster is a cluster of Amazon Aurora or Amazon DocumentDB, or a Multi-AZ DB
// cluster of Amazon RDS.
type cluster struct {
	described types.DBCluster
	server    *server
}

func newCluster(described types.DBCluster) (*cluster, error) {
	own, err := arn.Parse(aws.ToString(described.DBClusterArn))
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's ARN: %w", err)
	}
	if aws.ToString(described.Endpoint) == "" {
		return nil, fmt.Errorf("%s has no endpoint yet (its status is %q): wait until it is available", own, aws.ToString(described.Status))
	}
	of := &server{arn: own, endpoint: rotator.Endpoint{
		Host:   aws.ToString(described.Endpoint),
		Port:   int(aws.ToInt32(described.Port)),
		Engine: aws.ToString(described.Engine),
	}}
	if source := aws.ToString(described.ReplicationSourceIdentifier); source != "" {
		of.source = sourceOf(own, prefixCluster, source)
	}
	return &cluster{described: described, server: of}, nil
}

// place is what host, the cluster's writer or reader endpoint, leads to.
// errAbsent where it is neither.
func (c *cluster) place(host string) (place, error) {
	switch host {
	case canonical(aws.ToString(c.described.Endpoint)):
		return place{server: c.server, writer: !c.server.isReplica()}, nil
	case canonical(aws.ToString(c.described.ReaderEndpoint)):
		return place{server: c.server}, nil
	}
	return place{}, errAbsent
}

// writes reports whether the instance is the cluster's writer now.
func (c *cluster) writes(instance string) bool {
	for _, member := range c.described.DBClusterMembers {
		if aws.ToString(member.DBInstanceIdentifier) == instance {
			return aws.ToBool(member.IsClusterWriter)
		}
	}
	return false
}
