package awstopology

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/redshift"
	"github.com/aws/aws-sdk-go-v2/service/redshift/types"
	"github.com/aws/aws-sdk-go-v2/service/redshiftserverless"
	serverlesstypes "github.com/aws/aws-sdk-go-v2/service/redshiftserverless/types"

	"github.com/dbrotation/dbrotation/rotator"
)

// prefixNamespace is how a namespace of Amazon Redshift Serverless begins in its
// ARN.
//
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonredshiftserverless.html
const prefixNamespace = "namespace/"

// engineRedshift is what secrets call both kinds of Amazon Redshift. The service
// itself names no engine.
const engineRedshift = "redshift"

// redshiftCluster finds the endpoint of a cluster of Amazon Redshift.
//
// https://docs.aws.amazon.com/redshift/latest/APIReference/API_DescribeClusters.html
func (t *Topology) redshiftCluster(ctx context.Context, named arn.ARN) (rotator.Endpoint, error) {
	id := strings.TrimPrefix(named.Resource, prefixCluster)
	found, err := only(collectBy(ctx, "redshift:DescribeClusters", named.Region,
		redshift.NewDescribeClustersPaginator(t.redshift(), &redshift.DescribeClustersInput{ClusterIdentifier: &id},
			func(o *redshift.DescribeClustersPaginatorOptions) { o.StopOnDuplicateToken = true }),
		func(o *redshift.Options) { sendTo(named.Region, &o.Region, &o.BaseEndpoint) },
		func(page *redshift.DescribeClustersOutput) []types.Cluster { return page.Clusters }))
	if err != nil {
		return rotator.Endpoint{}, err
	}
	if !strings.EqualFold(aws.ToString(found.ClusterIdentifier), id) || accountOf(found) != named.AccountID {
		return rotator.Endpoint{}, errAbsent
	}
	if found.Endpoint == nil || aws.ToString(found.Endpoint.Address) == "" {
		return rotator.Endpoint{}, fmt.Errorf("%s has no endpoint now (its status is %q): resume it, or wait until it is available", named, aws.ToString(found.ClusterStatus))
	}
	return rotator.Endpoint{
		Host: aws.ToString(found.Endpoint.Address), Port: int(aws.ToInt32(found.Endpoint.Port)), Engine: engineRedshift, Database: aws.ToString(found.DBName),
	}, nil
}

// accountOf is the account that a cluster is of. The service takes an identifier
// alone, so that the same name in the function's account would be found for a
// cluster of another; and it does not answer with the cluster's own ARN. Its
// namespace and its admin's secret, which has the tag, are of the same account.
func accountOf(cluster *types.Cluster) string {
	for _, text := range []*string{cluster.ClusterNamespaceArn, cluster.MasterPasswordSecretArn} {
		if parsed, err := arn.Parse(aws.ToString(text)); err == nil {
			return parsed.AccountID
		}
	}
	return ""
}

// redshiftNamespace finds the endpoint of the workgroup that serves a namespace
// of Amazon Redshift Serverless. The service is asked for all namespaces, and all
// workgroups, of the Region, since it takes no ARN.
//
// https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/API_ListNamespaces.html
// https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/API_ListWorkgroups.html
func (t *Topology) redshiftNamespace(ctx context.Context, named arn.ARN) (rotator.Endpoint, error) {
	to := func(o *redshiftserverless.Options) { sendTo(named.Region, &o.Region, &o.BaseEndpoint) }
	namespaces, err := collectBy(ctx, "redshift-serverless:ListNamespaces", named.Region,
		redshiftserverless.NewListNamespacesPaginator(t.serverless(), &redshiftserverless.ListNamespacesInput{},
			func(o *redshiftserverless.ListNamespacesPaginatorOptions) { o.StopOnDuplicateToken = true }), to,
		func(page *redshiftserverless.ListNamespacesOutput) []serverlesstypes.Namespace {
			return page.Namespaces
		})
	if err != nil {
		return rotator.Endpoint{}, err
	}
	at := slices.IndexFunc(namespaces, func(n serverlesstypes.Namespace) bool { return aws.ToString(n.NamespaceArn) == named.String() })
	if at < 0 {
		return rotator.Endpoint{}, errAbsent
	}
	name := aws.ToString(namespaces[at].NamespaceName)
	workgroups, err := collectBy(ctx, "redshift-serverless:ListWorkgroups", named.Region,
		redshiftserverless.NewListWorkgroupsPaginator(t.serverless(), &redshiftserverless.ListWorkgroupsInput{},
			func(o *redshiftserverless.ListWorkgroupsPaginatorOptions) { o.StopOnDuplicateToken = true }), to,
		func(page *redshiftserverless.ListWorkgroupsOutput) []serverlesstypes.Workgroup {
			return page.Workgroups
		})
	if err != nil {
		return rotator.Endpoint{}, err
	}
	endpoint, err := servedBy(name, slices.DeleteFunc(workgroups, func(w serverlesstypes.Workgroup) bool { return aws.ToString(w.NamespaceName) != name }))
	endpoint.Database = aws.ToString(namespaces[at].DbName)
	return endpoint, err
}

// servedBy is the endpoint of a namespace's one workgroup. Of several none is
// chosen: the admin's password must not go to whichever is listed first.
func servedBy(namespace string, workgroups []serverlesstypes.Workgroup) (rotator.Endpoint, error) {
	switch len(workgroups) {
	case 0:
		return rotator.Endpoint{}, fmt.Errorf("the namespace %q has no workgroup, so nothing serves it: create one, or %s", namespace, nameTheServer)
	case 1:
	default:
		names := make([]string, len(workgroups))
		for i, each := range workgroups {
			names[i] = fmt.Sprintf("%q", aws.ToString(each.WorkgroupName))
		}
		slices.Sort(names)
		return rotator.Endpoint{}, fmt.Errorf("the namespace %q has several workgroups, %s, and nothing says which one is meant: %s", namespace, strings.Join(names, ", "), nameTheServer)
	}
	at := workgroups[0].Endpoint
	if at == nil || aws.ToString(at.Address) == "" {
		return rotator.Endpoint{}, fmt.Errorf("the workgroup %q of the namespace %q has no endpoint yet (its status is %q): wait until it is available",
			aws.ToString(workgroups[0].WorkgroupName), namespace, workgroups[0].Status)
	}
	return rotator.Endpoint{Host: aws.ToString(at.Address), Port: int(aws.ToInt32(at.Port)), Engine: engineRedshift}, nil
}
