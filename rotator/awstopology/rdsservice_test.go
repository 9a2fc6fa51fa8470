package awstopology_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/dbrotation/dbrotation/rotator/awstopology"
)

const (
	account = "111122223333"
	home    = "eu-west-1"
	abroad  = "us-east-2"
)

// The resources of an account, as the service's answers write them.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Types.html
type (
	instance struct {
		XMLName        xml.Name  `xml:"DBInstance"`
		ID             string    `xml:"DBInstanceIdentifier"`
		ARN            string    `xml:"DBInstanceArn"`
		Status         string    `xml:"DBInstanceStatus"`
		Engine         string    `xml:"Engine"`
		Endpoint       *endpoint `xml:"Endpoint"`
		Cluster        string    `xml:"DBClusterIdentifier,omitempty"`
		ReplicaOf      string    `xml:"ReadReplicaSourceDBInstanceIdentifier,omitempty"`
		ReplicaOfGroup string    `xml:"ReadReplicaSourceDBClusterIdentifier,omitempty"`
	}
	endpoint struct {
		Address string
		Port    int
	}
	cluster struct {
		XMLName   xml.Name `xml:"DBCluster"`
		ID        string   `xml:"DBClusterIdentifier"`
		ARN       string   `xml:"DBClusterArn"`
		Status    string
		Engine    string
		Endpoint  string   `xml:",omitempty"`
		Reader    string   `xml:"ReaderEndpoint,omitempty"`
		Custom    []string `xml:"CustomEndpoints>member"`
		Port      int
		Members   []member `xml:"DBClusterMembers>DBClusterMember"`
		ReplicaOf string   `xml:"ReplicationSourceIdentifier,omitempty"`
	}
	member struct {
		ID     string `xml:"DBInstanceIdentifier"`
		Writer bool   `xml:"IsClusterWriter"`
	}
	proxy struct {
		XMLName  xml.Name `xml:"member"`
		Name     string   `xml:"DBProxyName"`
		ARN      string   `xml:"DBProxyArn"`
		Endpoint string
		Auth     []auth `xml:"Auth>member"`
		targets  []target
	}
	auth struct {
		Secret string `xml:"SecretArn"`
	}
	target struct {
		XMLName xml.Name `xml:"member"`
		Type    string
		ID      string `xml:"RdsResourceId"`
		Tracked string `xml:"TrackedClusterId,omitempty"`
	}
	proxyEndpoint struct {
		XMLName  xml.Name `xml:"member"`
		Name     string   `xml:"DBProxyEndpointName"`
		Proxy    string   `xml:"DBProxyName"`
		Endpoint string
		Role     string `xml:"TargetRole"`
	}
)

// regional is what an account has in a Region.
type regional struct {
	instances []instance
	clusters  []cluster
	proxies   []proxy
	endpoints []proxyEndpoint
}

// service is Amazon RDS at the wire: the query protocol, XML, pages.
type service struct {
	*httptest.Server
	regions map[string]regional
	// paged makes every list come one item to a page, after an empty page.
	paged bool
	// careless makes it look at nothing but the name at the end of an ARN.
	careless bool
	// refuse are actions that are answered with an error of this code.
	refuse map[string]string

	mu    sync.Mutex
	calls []string
}

func serve(t *testing.T, regions map[string]regional) *service {
	t.Helper()
	s := &service{regions: regions, refuse: map[string]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// topology asks the service through the SDK's own client.
func (s *service) topology() *awstopology.Topology {
	return awstopology.New(aws.Config{
		Region: home, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "key", ""),
	}, func(o *rds.Options) { o.BaseEndpoint = &s.URL })
}

// asked returns the calls so far, each as "Action in Region".
func (s *service) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// ServeHTTP answers one call.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// Authorization: AWS4-HMAC-SHA256 Credential=id/date/region/rds/aws4_request, ...
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	if len(scope) < 5 || scope[3] != "rds" || r.Form.Get("Version") != "2014-10-31" {
		fault(w, "IncompleteSignature", "not a signed call of the RDS API")
		return
	}
	action, region := r.Form.Get("Action"), scope[2]
	s.mu.Lock()
	s.calls = append(s.calls, action+" in "+region)
	s.mu.Unlock()
	if code := s.refuse[action]; code != "" {
		fault(w, code, "the service was told to answer so")
		return
	}

	has := s.regions[region]
	switch action {
	case "DescribeDBInstances":
		list(s, w, r, "DBInstances", "DBInstanceNotFound", "DBInstanceIdentifier", has.instances, func(i instance) []string { return []string{i.ID, i.ARN} })
	case "DescribeDBClusters":
		list(s, w, r, "DBClusters", "DBClusterNotFoundFault", "DBClusterIdentifier", has.clusters, func(c cluster) []string { return []string{c.ID, c.ARN} })
	case "DescribeDBProxies":
		list(s, w, r, "DBProxies", "DBProxyNotFoundFault", "DBProxyName", has.proxies, func(p proxy) []string { return []string{p.Name} })
	case "DescribeDBProxyEndpoints":
		list(s, w, r, "DBProxyEndpoints", "DBProxyEndpointNotFoundFault", "DBProxyEndpointName", has.endpoints, func(e proxyEndpoint) []string { return []string{e.Name} })
	case "DescribeDBProxyTargets":
		for _, p := range has.proxies {
			if p.Name == r.Form.Get("DBProxyName") {
				list(s, w, r, "Targets", "", "", p.targets, nil)
				return
			}
		}
		fault(w, "DBProxyNotFoundFault", "no such proxy")
	default:
		fault(w, "InvalidAction", action)
	}
}

// list answers with those of items whose name is asked for, or all.
func list[Item any](s *service, w http.ResponseWriter, r *http.Request, element, missing, parameter string, items []Item, namesOf func(Item) []string) {
	if asked := r.Form.Get(parameter); parameter != "" && asked != "" {
		if s.careless {
			asked = asked[strings.LastIndex(asked, ":")+1:]
		}
		items = slices.DeleteFunc(slices.Clone(items), func(item Item) bool { return !slices.Contains(namesOf(item), asked) })
		if len(items) == 0 {
			fault(w, missing, asked+" not found.")
			return
		}
	}
	var marker string
	if s.paged {
		from, err := strconv.Atoi(r.Form.Get("Marker"))
		if err != nil {
			from = -1 // the first page, which is empty
		}
		if from+1 < len(items) {
			marker = strconv.Itoa(from + 1)
		}
		if from < 0 {
			items = nil
		} else {
			items = items[from : from+1]
		}
	}
	body, err := xml.Marshal(items)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if marker != "" {
		marker = "<Marker>" + marker + "</Marker>"
	}
	action := r.Form.Get("Action")
	_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><%[1]sResult><%[2]s>%[3]s</%[2]s>%[4]s</%[1]sResult>`+
		`<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></%[1]sResponse>`, action, element, body, marker)
}

func fault(w http.ResponseWriter, code, message string) {
	status := http.StatusBadRequest
	switch {
	case code == "AccessDenied":
		status = http.StatusForbidden
	case strings.Contains(code, "NotFound"):
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>`+
		`<RequestId>r</RequestId></ErrorResponse>`, code, message)
}
