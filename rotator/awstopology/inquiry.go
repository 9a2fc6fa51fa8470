package awstopology

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	redshifttypes "github.com/aws/aws-sdk-go-v2/service/redshift/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/dbrotation/dbrotation/rotator"
)

// inquiry is the questions to Amazon RDS of one call. It remembers clusters, since the
// endpoints of one are often asked about together, and lives no longer than
// the call: who is the writer changes.
type inquiry struct {
	client   *rds.Client
	clusters map[resource]*cluster
}

// resource names something in a Region, by its identifier or its ARN.
type resource struct {
	region, id string
}

func (q *inquiry) instance(ctx context.Context, r resource) (*types.DBInstance, error) {
	found, err := collect(ctx, "rds:DescribeDBInstances", r.region,
		rds.NewDescribeDBInstancesPaginator(q.client, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &r.id},
			func(o *rds.DescribeDBInstancesPaginatorOptions) { o.StopOnDuplicateToken = true }),
		func(page *rds.DescribeDBInstancesOutput) []types.DBInstance { return page.DBInstances })
	return only(found, err)
}

func (q *inquiry) cluster(ctx context.Context, r resource) (*cluster, error) {
	if known := q.clusters[r]; known != nil {
		return known, nil
	}
	found, err := only(q.describeClusters(ctx, r.region, &rds.DescribeDBClustersInput{DBClusterIdentifier: &r.id}))
	if err != nil {
		return nil, err
	}
	of, err := newCluster(*found)
	if err != nil {
		return nil, err
	}
	for _, id := range []string{r.id, aws.ToString(found.DBClusterIdentifier), of.server.arn.String()} {
		q.clusters[resource{r.region, id}] = of
	}
	return of, nil
}

func (q *inquiry) allClusters(ctx context.Context, region string) ([]types.DBCluster, error) {
	return q.describeClusters(ctx, region, &rds.DescribeDBClustersInput{})
}

func (q *inquiry) describeClusters(ctx context.Context, region string, input *rds.DescribeDBClustersInput) ([]types.DBCluster, error) {
	return collect(ctx, "rds:DescribeDBClusters", region,
		rds.NewDescribeDBClustersPaginator(q.client, input,
			func(o *rds.DescribeDBClustersPaginatorOptions) { o.StopOnDuplicateToken = true }),
		func(page *rds.DescribeDBClustersOutput) []types.DBCluster { return page.DBClusters })
}

func (q *inquiry) proxy(ctx context.Context, r resource) (types.DBProxy, error) {
	found, err := only(collect(ctx, "rds:DescribeDBProxies", r.region,
		rds.NewDescribeDBProxiesPaginator(q.client, &rds.DescribeDBProxiesInput{DBProxyName: &r.id},
			func(o *rds.DescribeDBProxiesPaginatorOptions) { o.StopOnDuplicateToken = true }),
		func(page *rds.DescribeDBProxiesOutput) []types.DBProxy { return page.DBProxies }))
	if err != nil {
		return types.DBProxy{}, err
	}
	return *found, nil
}

func (q *inquiry) proxyEndpoint(ctx context.Context, r resource) (*types.DBProxyEndpoint, error) {
	return only(collect(ctx, "rds:DescribeDBProxyEndpoints", r.region,
		rds.NewDescribeDBProxyEndpointsPaginator(q.client, &rds.DescribeDBProxyEndpointsInput{DBProxyEndpointName: &r.id},
			func(o *rds.DescribeDBProxyEndpointsPaginatorOptions) { o.StopOnDuplicateToken = true }),
		func(page *rds.DescribeDBProxyEndpointsOutput) []types.DBProxyEndpoint { return page.DBProxyEndpoints }))
}

func (q *inquiry) proxyTargets(ctx context.Context, r resource) ([]types.DBProxyTarget, error) {
	return collect(ctx, "rds:DescribeDBProxyTargets", r.region,
		rds.NewDescribeDBProxyTargetsPaginator(q.client, &rds.DescribeDBProxyTargetsInput{DBProxyName: &r.id},
			func(o *rds.DescribeDBProxyTargetsPaginatorOptions) { o.StopOnDuplicateToken = true }),
		func(page *rds.DescribeDBProxyTargetsOutput) []types.DBProxyTarget { return page.Targets })
}

// pager is what the paginators of one service's client have in common.
type pager[Page, Options any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*Options)) (Page, error)
}

// collect reads all pages of an answer of Amazon RDS, in a Region. action is the
// IAM action that the call needs.
func collect[Page, Item any](ctx context.Context, action, region string, pages pager[Page, rds.Options], items func(Page) []Item) ([]Item, error) {
	return collectBy(ctx, action, region, pages, func(o *rds.Options) { sendTo(region, &o.Region, &o.BaseEndpoint) }, items)
}

// collectBy is collect for any service. to makes a call go to the Region.
func collectBy[Page, Item, Options any](ctx context.Context, action, region string, pages pager[Page, Options], to func(*Options), items func(Page) []Item) ([]Item, error) {
	var all []Item
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, to)
		if err != nil {
			return nil, meaning(action, region, err)
		}
		all = append(all, items(page)...)
	}
	return all, nil
}

// only is the one item of an answer to a question by name.
func only[Item any](items []Item, err error) (*Item, error) {
	switch {
	case err != nil:
		return nil, err
	case len(items) != 1:
		return nil, errAbsent
	}
	return &items[0], nil
}

// sendTo makes a call go to a Region, given a client's own Region and endpoint.
// The endpoint, where one is configured, is that of the own Region only, unless
// it names no Region of AWS, as an emulator's does.
func sendTo(region string, own *string, endpoint **string) {
	if region == *own {
		return
	}
	*own = region
	if at := aws.ToString(*endpoint); strings.Contains(at, ".amazonaws.com") || strings.Contains(at, ".api.aws") {
		*endpoint = nil
	}
}

// serviceNames are the services by what their ARNs and IAM actions call them.
var serviceNames = map[string]string{
	serviceRDS:        "Amazon RDS",
	serviceRedshift:   "Amazon Redshift",
	serviceServerless: "Amazon Redshift Serverless",
}

// again knows the errors that the SDK itself has tried again, in vain: the
// service is throttling, or fails. They say nothing of what was asked about.
var again = retry.IsErrorRetryables(retry.DefaultRetryables)

// meaning wraps what the SDK reports in the rotation's own terms.
func meaning(action, region string, err error) error {
	var (
		api      smithy.APIError
		unsent   *smithyhttp.RequestSendError
		instance *types.DBInstanceNotFoundFault
		cluster  *types.DBClusterNotFoundFault
		proxy    *types.DBProxyNotFoundFault
		endpoint *types.DBProxyEndpointNotFoundFault
		redshift *redshifttypes.ClusterNotFoundFault
	)
	prefix, _, _ := strings.Cut(action, ":")
	switch {
	case errors.As(err, &instance), errors.As(err, &cluster), errors.As(err, &proxy), errors.As(err, &endpoint), errors.As(err, &redshift):
		return fmt.Errorf("%w: %w", errAbsent, err)
	case errors.As(err, &unsent):
		return fmt.Errorf("%w: %s in %s; a function in a VPC needs an interface endpoint or a NAT gateway to reach it: %w", rotator.ErrServiceSilent, serviceNames[prefix], region, err)
	case errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "AccessDenied"):
		return fmt.Errorf("%w to %s: %w", rotator.ErrDenied, action, err)
	case errors.Is(err, context.DeadlineExceeded), again.IsErrorRetryable(err).Bool():
		return fmt.Errorf("%w: calling %s in %s: %w", rotator.ErrServiceSilent, action, region, err)
	}
	return fmt.Errorf("calling %s: %w", action, err)
}
