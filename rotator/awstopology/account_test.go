package awstopology_test

import "fmt"

// host is an endpoint's name at home: RDS puts a hash of the account and the
// Region into it.
func host(made string) string { return made + "c0homehash00.eu-west-1.rds.amazonaws.com" }

// far is an endpoint's name abroad.
func far(made string) string { return made + "c0abroadhash.us-east-2.rds.amazonaws.com" }

func arnOf(region, kind, id string) string {
	return fmt.Sprintf("arn:aws:rds:%s:%s:%s:%s", region, account, kind, id)
}

// single is an instance that stands alone or replicates another.
func single(region, id, replicaOf string) instance {
	address := host(id + ".")
	if region == abroad {
		address = far(id + ".")
	}
	return instance{
		ID: id, ARN: arnOf(region, "db", id), Status: "available", Engine: "postgres",
		Endpoint: &endpoint{address, 5432}, ReplicaOf: replicaOf,
	}
}

// inCluster is an instance at home that is a member of a cluster.
func inCluster(id, of string) instance {
	i := single(home, id, "")
	i.Engine, i.Cluster = "aurora-postgresql", of
	return i
}

func prod() cluster {
	return cluster{
		ID: "prod", ARN: arnOf(home, "cluster", "prod"), Status: "available", Engine: "aurora-postgresql", Port: 5433,
		Endpoint: host("prod.cluster-"), Reader: host("prod.cluster-ro-"), Custom: []string{host("reports.cluster-custom-"), host("etl.cluster-custom-")},
		Members: []member{{"prod-1", true}, {"prod-2", false}},
	}
}

const (
	appSecret   = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app-AbCdEf"
	adminSecret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:admin-AbCdEf"
)

// estate is an account with one of everything.
func estate() map[string]regional {
	ofCluster := single(home, "reporting", "")
	ofCluster.ReplicaOfGroup = "prod"
	creating := instance{ID: "unborn", ARN: arnOf(home, "db", "unborn"), Status: "creating", Engine: "postgres"}
	return map[string]regional{
		home: {
			instances: []instance{
				single(home, "main", ""), single(home, "replica", "main"), single(home, "leaf", "replica"), single(home, "other", ""),
				single(home, "ring-a", "ring-b"), single(home, "ring-b", "ring-a"),
				single(home, "orphan", "deleted"), single(home, "legacy", "prod-1"),
				single(home, "foreign", "arn:aws:rds:eu-west-1:999999999999:db:main"),
				inCluster("prod-1", "prod"), inCluster("prod-2", "prod"), ofCluster, creating,
			},
			clusters: []cluster{
				{ID: "staging", ARN: arnOf(home, "cluster", "staging"), Status: "available", Engine: "aurora-postgresql", Port: 5432,
					Endpoint: host("staging.cluster-"), Reader: host("staging.cluster-ro-"), Custom: []string{host("dashboards.cluster-custom-")}},
				{ID: "unborn", ARN: arnOf(home, "cluster", "unborn"), Status: "creating", Engine: "aurora-postgresql"},
				prod(),
			},
			proxies: []proxy{
				{Name: "front", ARN: arnOf(home, "db-proxy", "prx-1"), Endpoint: host("front.proxy-"), Auth: []auth{{appSecret}, {adminSecret}}, targets: []target{
					{Type: "RDS_INSTANCE", ID: "prod-1", Tracked: "prod"}, {Type: "RDS_INSTANCE", ID: "prod-2", Tracked: "prod"}, {Type: "TRACKED_CLUSTER", ID: "prod"},
				}},
				{Name: "plain", ARN: arnOf(home, "db-proxy", "prx-2"), Endpoint: host("plain.proxy-"), Auth: []auth{{appSecret}}, targets: []target{{Type: "RDS_INSTANCE", ID: "main"}}},
				{Name: "idle", ARN: arnOf(home, "db-proxy", "prx-3"), Endpoint: host("idle.proxy-")},
				{Name: "torn", ARN: arnOf(home, "db-proxy", "prx-4"), Endpoint: host("torn.proxy-"), targets: []target{{Type: "RDS_INSTANCE", ID: "main"}, {Type: "RDS_INSTANCE", ID: "other"}}},
				{Name: "novel", ARN: arnOf(home, "db-proxy", "prx-5"), Endpoint: host("novel.proxy-"), targets: []target{{Type: "SOMETHING_NEW", ID: "main"}}},
			},
			endpoints: []proxyEndpoint{
				{Name: "readers", Proxy: "front", Endpoint: host("readers.endpoint.proxy-"), Role: "READ_ONLY"},
				{Name: "writers", Proxy: "front", Endpoint: host("writers.endpoint.proxy-"), Role: "READ_WRITE"},
			},
		},
		abroad: {
			instances: []instance{single(abroad, "copy", arnOf(home, "db", "main")), single(abroad, "main", ""), single(abroad, "copy-of-copy", "copy")},
			clusters: []cluster{
				{ID: "prod-dr", ARN: arnOf(abroad, "cluster", "prod-dr"), Status: "available", Engine: "aurora-postgresql", Port: 5432,
					Endpoint: far("prod-dr.cluster-"), Reader: far("prod-dr.cluster-ro-"), ReplicaOf: arnOf(home, "cluster", "prod")},
			},
		},
	}
}
