package awstopology

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

const nameTheDatabase = "name the database's own endpoint as the host"

// proxyPlace finds what is behind a proxy. A proxy is in the account and the
// Region of its target.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.html
func (q *inquiry) proxyPlace(ctx context.Context, name hostname) (place, error) {
	proxyName, readOnly := name.id, false
	if name.form == proxyEndpointForm {
		endpoint, err := q.proxyEndpoint(ctx, resource{name.region, name.id})
		if err != nil {
			return place{}, err
		}
		if canonical(aws.ToString(endpoint.Endpoint)) != name.host {
			return place{}, errAbsent
		}
		proxyName = aws.ToString(endpoint.DBProxyName)
		readOnly = endpoint.TargetRole == types.DBProxyEndpointTargetRoleReadOnly
	}
	found, err := q.proxy(ctx, resource{name.region, proxyName})
	if err != nil {
		return place{}, err
	}
	if name.form == proxyForm && canonical(aws.ToString(found.Endpoint)) != name.host {
		return place{}, errAbsent
	}
	own, err := arn.Parse(aws.ToString(found.DBProxyArn))
	if err != nil {
		return place{}, fmt.Errorf("reading the proxy's ARN: %w", err)
	}
	targets, err := q.proxyTargets(ctx, resource{name.region, proxyName})
	if err != nil {
		return place{}, err
	}
	behind, err := target(own, targets)
	if err != nil {
		return place{}, err
	}
	of, err := q.server(ctx, behind)
	if err != nil {
		return place{}, err
	}
	return place{server: of, writer: !readOnly && !of.isReplica(), proxy: newProxy(found)}, nil
}

// target is the one server that a proxy's targets are, or are members of.
func target(proxy arn.ARN, targets []types.DBProxyTarget) (arn.ARN, error) {
	var found []arn.ARN
	for _, each := range targets {
		behind := proxy
		id, tracked := aws.ToString(each.RdsResourceId), aws.ToString(each.TrackedClusterId)
		switch {
		case tracked != "":
			behind.Resource = prefixCluster + tracked
		case each.Type == types.TargetTypeTrackedCluster && id != "":
			behind.Resource = prefixCluster + id
		case each.Type == types.TargetTypeRdsInstance && id != "":
			behind.Resource = prefixInstance + id
		default:
			return arn.ARN{}, fmt.Errorf("a target of the proxy is of the kind %q, which cannot be looked up: %s", each.Type, nameTheDatabase)
		}
		behind.Resource = strings.ToLower(behind.Resource)
		if !slices.Contains(found, behind) {
			found = append(found, behind)
		}
	}
	switch len(found) {
	case 0:
		return arn.ARN{}, fmt.Errorf("the proxy %s has no target: register one, or %s", proxy, nameTheDatabase)
	case 1:
		return found[0], nil
	}
	return arn.ARN{}, fmt.Errorf("the proxy %s has several targets, %s and %s: %s", proxy, found[0], found[1], nameTheDatabase)
}

func newProxy(described types.DBProxy) *proxy {
	p := &proxy{}
	for _, each := range described.Auth {
		if secret := aws.ToString(each.SecretArn); secret != "" {
			p.secrets = append(p.secrets, secret)
		}
		if user := aws.ToString(each.UserName); user != "" {
			p.users = append(p.users, user)
		}
	}
	return p
}
