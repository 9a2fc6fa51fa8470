package redshiftapi

import "encoding/xml"

// Region is what the account has in one Region.
type Region struct {
	Clusters   []Cluster
	Namespaces []Namespace
	Workgroups []Workgroup
}

// Cluster is a provisioned cluster.
//
// https://docs.aws.amazon.com/redshift/latest/APIReference/API_Cluster.html
type Cluster struct {
	XMLName xml.Name `xml:"Cluster"`
	ID      string   `xml:"ClusterIdentifier"`
	Status  string   `xml:"ClusterStatus"`
	// Namespace is the ARN of the cluster's namespace, in the cluster's account.
	Namespace string `xml:"ClusterNamespaceArn,omitempty"`
	// Secret is the ARN of the admin's secret, where the service manages it.
	Secret string `xml:"MasterPasswordSecretArn,omitempty"`
	// Database is the one that the cluster was made with.
	Database string `xml:"DBName,omitempty"`
	// Endpoint is nil while there is none.
	Endpoint *Endpoint
	// Domain is the cluster's custom domain name.
	Domain string `xml:"CustomDomainName,omitempty"`
}

// Endpoint is where a cluster or a workgroup is reached.
type Endpoint struct {
	Address string `json:"address"`
	Port    int    `json:"port"`
}

// Namespace is a namespace of Amazon Redshift Serverless.
//
// https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/API_Namespace.html
type Namespace struct {
	ARN    string `json:"namespaceArn"`
	Name   string `json:"namespaceName"`
	Status string `json:"status"`
	// Database is the one that the namespace was made with.
	Database string `json:"dbName,omitempty"`
}

// Workgroup is what serves a namespace.
//
// https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/API_Workgroup.html
type Workgroup struct {
	Name      string `json:"workgroupName"`
	Namespace string `json:"namespaceName"`
	Status    string `json:"status"`
	// Endpoint is nil while the workgroup is being made.
	Endpoint *Endpoint `json:"endpoint,omitempty"`
	// Domain is the workgroup's custom domain name.
	Domain string `json:"customDomainName,omitempty"`
}
