package awstopology_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/dbrotation/dbrotation/integration/rdsapi"
	"github.com/dbrotation/dbrotation/rotator/awstopology"
)

const (
	account = "111122223333"
	home    = "eu-west-1"
	abroad  = "us-east-2"
)

// service is an account's Amazon RDS.
type service struct{ *rdsapi.Server }

func serve(t *testing.T, regions map[string]rdsapi.Region) service {
	t.Helper()
	s := service{rdsapi.Start(regions)}
	t.Cleanup(s.Close)
	return s
}

// topology asks the service through the SDK's own client.
func (s service) topology() *awstopology.Topology {
	url := s.URL()
	return awstopology.New(aws.Config{
		Region: home, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "key", ""),
	}, func(o *rds.Options) { o.BaseEndpoint = &url })
}

// host is an endpoint's name at home: RDS puts a hash of the account and the
// Region into it.
func host(made string) string { return made + "c0homehash00.eu-west-1.rds.amazonaws.com" }

// far is an endpoint's name abroad.
func far(made string) string { return made + "c0abroadhash.us-east-2.rds.amazonaws.com" }

func arnOf(region, kind, id string) string {
	return fmt.Sprintf("arn:aws:rds:%s:%s:%s:%s", region, account, kind, id)
}

// single is an instance that stands alone or replicates another.
func single(region, id, replicaOf string) rdsapi.Instance {
	address := host(id + ".")
	if region == abroad {
		address = far(id + ".")
	}
	return rdsapi.Instance{
		ID: id, ARN: arnOf(region, "db", id), Status: "available", Engine: "postgres",
		Endpoint: &rdsapi.Endpoint{Address: address, Port: 5432}, ReplicaOf: replicaOf,
	}
}

// inCluster is an instance at home that is a member of a cluster.
func inCluster(id, of string) rdsapi.Instance {
	i := single(home, id, "")
	i.Engine, i.Cluster = "aurora-postgresql", of
	return i
}

func prod() rdsapi.Cluster {
	return rdsapi.Cluster{
		ID: "prod", ARN: arnOf(home, "cluster", "prod"), Status: "available", Engine: "aurora-postgresql", Port: 5433,
		Endpoint: host("prod.cluster-"), Reader: host("prod.cluster-ro-"), Custom: []string{host("reports.cluster-custom-"), host("etl.cluster-custom-")},
		Members: []rdsapi.Member{{ID: "prod-1", Writer: true}, {ID: "prod-2"}},
	}
}

const (
	appSecret   = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf"
	adminSecret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:admin-AbCdEf"
)

// estate is an account with one of everything.
func estate() map[string]rdsapi.Region {
	ofCluster := single(home, "reporting", "")
	ofCluster.ReplicaOfCluster = "prod"
	creating := rdsapi.Instance{ID: "unborn", ARN: arnOf(home, "db", "unborn"), Status: "creating", Engine: "postgres"}
	return map[string]rdsapi.Region{
		home: {
			Instances: []rdsapi.Instance{
				single(home, "main", ""), single(home, "replica", "main"), single(home, "leaf", "replica"), single(home, "other", ""),
				single(home, "ring-a", "ring-b"), single(home, "ring-b", "ring-a"),
				single(home, "orphan", "deleted"), single(home, "legacy", "prod-1"),
				single(home, "foreign", "arn:aws:rds:eu-west-1:999999999999:db:main"),
				inCluster("prod-1", "prod"), inCluster("prod-2", "prod"), ofCluster, creating,
			},
			Clusters: []rdsapi.Cluster{
				{ID: "staging", ARN: arnOf(home, "cluster", "staging"), Status: "available", Engine: "aurora-postgresql", Port: 5432,
					Endpoint: host("staging.cluster-"), Reader: host("staging.cluster-ro-"), Custom: []string{host("dashboards.cluster-custom-")}},
				{ID: "unborn", ARN: arnOf(home, "cluster", "unborn"), Status: "creating", Engine: "aurora-postgresql"},
				prod(),
			},
			Proxies: []rdsapi.Proxy{
				{Name: "front", ARN: arnOf(home, "db-proxy", "prx-1"), Endpoint: host("front.proxy-"), Auth: []rdsapi.Auth{{Secret: appSecret, User: "app"}, {Secret: adminSecret}}, Targets: []rdsapi.Target{
					{Type: "RDS_INSTANCE", ID: "prod-1", Cluster: "prod"}, {Type: "RDS_INSTANCE", ID: "prod-2", Cluster: "prod"}, {Type: "TRACKED_CLUSTER", ID: "prod"},
				}},
				{Name: "plain", ARN: arnOf(home, "db-proxy", "prx-2"), Endpoint: host("plain.proxy-"), Auth: []rdsapi.Auth{{Secret: appSecret}}, Targets: []rdsapi.Target{{Type: "RDS_INSTANCE", ID: "main"}}},
				{Name: "idle", ARN: arnOf(home, "db-proxy", "prx-3"), Endpoint: host("idle.proxy-")},
				{Name: "torn", ARN: arnOf(home, "db-proxy", "prx-4"), Endpoint: host("torn.proxy-"), Targets: []rdsapi.Target{{Type: "RDS_INSTANCE", ID: "main"}, {Type: "RDS_INSTANCE", ID: "other"}}},
				{Name: "novel", ARN: arnOf(home, "db-proxy", "prx-5"), Endpoint: host("novel.proxy-"), Targets: []rdsapi.Target{{Type: "SOMETHING_NEW", ID: "main"}}},
			},
			ProxyEndpoints: []rdsapi.ProxyEndpoint{
				{Name: "readers", Proxy: "front", Endpoint: host("readers.endpoint.proxy-"), Role: "READ_ONLY"},
				{Name: "writers", Proxy: "front", Endpoint: host("writers.endpoint.proxy-"), Role: "READ_WRITE"},
			},
		},
		abroad: {
			Instances: []rdsapi.Instance{single(abroad, "copy", arnOf(home, "db", "main")), single(abroad, "main", ""), single(abroad, "copy-of-copy", "copy")},
			Clusters: []rdsapi.Cluster{
				{ID: "prod-dr", ARN: arnOf(abroad, "cluster", "prod-dr"), Status: "available", Engine: "aurora-postgresql", Port: 5432,
					Endpoint: far("prod-dr.cluster-"), Reader: far("prod-dr.cluster-ro-"), ReplicaOf: arnOf(home, "cluster", "prod")},
			},
		},
	}
}
