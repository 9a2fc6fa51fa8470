package rdsapi

import "encoding/xml"

// Region is what the account has in one Region.
type Region struct {
	Instances      []Instance
	Clusters       []Cluster
	Proxies        []Proxy
	ProxyEndpoints []ProxyEndpoint
}

// Instance is a DB instance, in a cluster or not.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html
type Instance struct {
	XMLName xml.Name `xml:"DBInstance"`
	ID      string   `xml:"DBInstanceIdentifier"`
	ARN     string   `xml:"DBInstanceArn"`
	Status  string   `xml:"DBInstanceStatus"`
	Engine  string
	// Endpoint is nil while the instance is being made.
	Endpoint *Endpoint
	// Cluster is the identifier of the cluster that the instance is in.
	Cluster string `xml:"DBClusterIdentifier,omitempty"`
	// ReplicaOf is the instance that this one replicates, and ReplicaOfCluster
	// the cluster: an identifier, or an ARN where it is of another Region.
	ReplicaOf        string `xml:"ReadReplicaSourceDBInstanceIdentifier,omitempty"`
	ReplicaOfCluster string `xml:"ReadReplicaSourceDBClusterIdentifier,omitempty"`
}

// Endpoint is where an instance is reached.
type Endpoint struct {
	Address string
	Port    int
}

// Cluster is a DB cluster.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBCluster.html
type Cluster struct {
	XMLName xml.Name `xml:"DBCluster"`
	ID      string   `xml:"DBClusterIdentifier"`
	ARN     string   `xml:"DBClusterArn"`
	Status  string
	Engine  string
	// Endpoint is the writer's, and is empty while the cluster is being made.
	Endpoint string   `xml:",omitempty"`
	Reader   string   `xml:"ReaderEndpoint,omitempty"`
	Custom   []string `xml:"CustomEndpoints>member"`
	Port     int
	Members  []Member `xml:"DBClusterMembers>DBClusterMember"`
	// ReplicaOf is the ARN of the cluster, in another Region, that this one
	// replicates.
	ReplicaOf string `xml:"ReplicationSourceIdentifier,omitempty"`
}

// Member is an instance of a cluster.
type Member struct {
	ID     string `xml:"DBInstanceIdentifier"`
	Writer bool   `xml:"IsClusterWriter"`
}

// Proxy is an RDS Proxy.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBProxy.html
type Proxy struct {
	XMLName  xml.Name `xml:"member"`
	Name     string   `xml:"DBProxyName"`
	ARN      string   `xml:"DBProxyArn"`
	Endpoint string
	Auth     []Auth `xml:"Auth>member"`
	// Targets are those of the proxy's target group.
	Targets []Target `xml:"-"`
}

// Auth is one account that a proxy signs in as.
type Auth struct {
	Secret string `xml:"SecretArn"`
	// User is empty where the service does not say it.
	User string `xml:"UserName,omitempty"`
}

// Target is a server behind a proxy.
type Target struct {
	XMLName xml.Name `xml:"member"`
	// Type is RDS_INSTANCE or TRACKED_CLUSTER.
	Type string
	ID   string `xml:"RdsResourceId"`
	// Cluster is the cluster that an instance is a target for.
	Cluster string `xml:"TrackedClusterId,omitempty"`
}

// ProxyEndpoint is an endpoint that was added to a proxy.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBProxyEndpoint.html
type ProxyEndpoint struct {
	XMLName  xml.Name `xml:"member"`
	Name     string   `xml:"DBProxyEndpointName"`
	Proxy    string   `xml:"DBProxyName"`
	Endpoint string
	// Role is READ_WRITE or READ_ONLY.
	Role string `xml:"TargetRole"`
}
