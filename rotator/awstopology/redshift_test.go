package awstopology_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/redshiftapi"
	"github.com/dbrotation/dbrotation/rotator"
	"github.com/dbrotation/dbrotation/rotator/awstopology"
)

const (
	tagOfCluster   = "aws:redshift:primaryClusterArn"
	tagOfNamespace = "aws:redshift-serverless:namespaceArn"
)

func clusterARN(region, owner, id string) string {
	return "arn:aws:redshift:" + region + ":" + owner + ":cluster:" + id
}

func namespaceARN(region, id string) string {
	return "arn:aws:redshift-serverless:" + region + ":" + account + ":namespace/" + id
}

func warehouse(region, id string) redshiftapi.Cluster {
	return redshiftapi.Cluster{
		ID: id, Status: "available", Namespace: "arn:aws:redshift:" + region + ":" + account + ":namespace:00000000-0000-0000-0000-000000000001",
		Database: "warehouse",
		Secret:   "arn:aws:secretsmanager:" + region + ":" + account + ":secret:redshift!" + id + "-AbCdEf",
		Endpoint: &redshiftapi.Endpoint{Address: id + ".c0homehash00." + region + ".redshift.amazonaws.com", Port: 5439}, Domain: id + ".corp.example",
	}
}

func workgroup(region, name, namespace string) redshiftapi.Workgroup {
	return redshiftapi.Workgroup{
		Name: name, Namespace: namespace, Status: "AVAILABLE", Domain: name + ".corp.example",
		Endpoint: &redshiftapi.Endpoint{Address: name + "." + account + "." + region + ".redshift-serverless.amazonaws.com", Port: 5440},
	}
}

// warehouses is an account with one of everything of Amazon Redshift.
func warehouses() map[string]redshiftapi.Region {
	paused, elder, unknown := warehouse(home, "paused"), warehouse(home, "elder"), warehouse(home, "unknown")
	paused.Status, paused.Endpoint = "paused", nil
	elder.Namespace = ""
	unknown.Namespace, unknown.Secret = "", ""
	unborn := workgroup(home, "unborn", "unborn")
	unborn.Status, unborn.Endpoint = "CREATING", nil
	return map[string]redshiftapi.Region{
		home: {
			Clusters: []redshiftapi.Cluster{warehouse(home, "other"), warehouse(home, "dw"), paused, elder, unknown},
			Namespaces: []redshiftapi.Namespace{
				{ARN: namespaceARN(home, "1"), Name: "other", Status: "AVAILABLE"},
				{ARN: namespaceARN(home, "2"), Name: "idle", Status: "AVAILABLE"},
				{ARN: namespaceARN(home, "3"), Name: "unborn", Status: "AVAILABLE"},
				{ARN: namespaceARN(home, "4"), Name: "torn", Status: "AVAILABLE"},
				{ARN: namespaceARN(home, "5"), Name: "sales", Status: "AVAILABLE", Database: "sales"},
			},
			Workgroups: []redshiftapi.Workgroup{
				workgroup(home, "other-wg", "other"), unborn,
				workgroup(home, "torn-b", "torn"), workgroup(home, "torn-a", "torn"),
				workgroup(home, "sales-wg", "sales"),
			},
		},
		abroad: {
			Clusters:   []redshiftapi.Cluster{warehouse(abroad, "dw")},
			Namespaces: []redshiftapi.Namespace{{ARN: namespaceARN(abroad, "5"), Name: "sales", Status: "AVAILABLE", Database: "sales"}},
			Workgroups: []redshiftapi.Workgroup{workgroup(abroad, "sales-wg", "sales")},
		},
	}
}

// redshiftService is an account's Amazon Redshift, beside an Amazon RDS that
// nobody has a reason to ask.
type redshiftService struct {
	*redshiftapi.Server
	rds     service
	clients int // that were made
}

func serveRedshift(t *testing.T) *redshiftService {
	t.Helper()
	s := &redshiftService{Server: redshiftapi.Start(warehouses()), rds: serve(t, estate())}
	t.Cleanup(s.Close)
	t.Cleanup(func() {
		if calls := s.rds.Calls(); len(calls) != 0 {
			t.Errorf("Amazon RDS was asked %q", calls)
		}
	})
	return s
}

// topology asks the services through the SDK's own clients.
func (s *redshiftService) topology() *awstopology.Topology {
	own, other := s.URL(), s.rds.URL()
	return awstopology.New(aws.Config{
		Region: home, BaseEndpoint: &own, Retryer: func() aws.Retryer { s.clients++; return aws.NopRetryer{} },
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "key", ""),
	}, func(o *rds.Options) { o.BaseEndpoint = &other })
}

func TestAManagedAdminsRedshiftIsFoundByItsTag(t *testing.T) {
	t.Parallel()
	const (
		clusters   = "redshift:DescribeClusters in "
		namespaces = "redshift-serverless:ListNamespaces in "
		workgroups = "redshift-serverless:ListWorkgroups in "
	)
	for _, tt := range []struct {
		name string
		tags map[string]string
		want rotator.Endpoint
		asks []string
	}{
		{"a cluster", map[string]string{tagOfCluster: clusterARN(home, account, "dw"), "aws:secretsmanager:owningService": "redshift", "team": "a"},
			rotator.Endpoint{Host: "dw.c0homehash00.eu-west-1.redshift.amazonaws.com", Port: 5439, Engine: "redshift", Database: "warehouse"}, []string{clusters + home}},
		{"a cluster that says no namespace", map[string]string{tagOfCluster: clusterARN(home, account, "elder")},
			rotator.Endpoint{Host: "elder.c0homehash00.eu-west-1.redshift.amazonaws.com", Port: 5439, Engine: "redshift", Database: "warehouse"}, []string{clusters + home}},
		{"a cluster in another Region, where another has the name", map[string]string{tagOfCluster: clusterARN(abroad, account, "dw")},
			rotator.Endpoint{Host: "dw.c0homehash00.us-east-2.redshift.amazonaws.com", Port: 5439, Engine: "redshift", Database: "warehouse"}, []string{clusters + abroad}},
		{"a cluster, by a tag in small letters", map[string]string{strings.ToLower(tagOfCluster): clusterARN(home, account, "dw")},
			rotator.Endpoint{Host: "dw.c0homehash00.eu-west-1.redshift.amazonaws.com", Port: 5439, Engine: "redshift", Database: "warehouse"}, []string{clusters + home}},
		{"a namespace", map[string]string{tagOfNamespace: namespaceARN(home, "5")},
			rotator.Endpoint{Host: "sales-wg.111122223333.eu-west-1.redshift-serverless.amazonaws.com", Port: 5440, Engine: "redshift", Database: "sales"}, []string{namespaces + home, workgroups + home}},
		{"a namespace in another Region, where another has the name", map[string]string{tagOfNamespace: namespaceARN(abroad, "5")},
			rotator.Endpoint{Host: "sales-wg.111122223333.us-east-2.redshift-serverless.amazonaws.com", Port: 5440, Engine: "redshift", Database: "sales"}, []string{namespaces + abroad, workgroups + abroad}},
		{"a namespace, by a tag in capitals", map[string]string{strings.ToUpper(tagOfNamespace): namespaceARN(home, "5")},
			rotator.Endpoint{Host: "sales-wg.111122223333.eu-west-1.redshift-serverless.amazonaws.com", Port: 5440, Engine: "redshift", Database: "sales"}, []string{namespaces + home, workgroups + home}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, paged := range []bool{false, true} {
				service := serveRedshift(t)
				if paged {
					service.Page()
				}
				got, err := service.topology().Admin(t.Context(), tt.tags)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("paged %t: endpoint (-want +got):\n%s", paged, diff)
				}
				if diff := cmp.Diff(tt.asks, service.Calls()); !paged && diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
				if service.clients != 1 {
					t.Errorf("%d clients were made, want the one that was needed", service.clients)
				}
			}
		})
	}
}

func TestARedshiftThatIsNotThereSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		tags  map[string]string
		is    error
		says  []string
		calls int
	}{
		{"a cluster that is paused", map[string]string{tagOfCluster: clusterARN(home, account, "paused")}, nil, []string{`"paused"`, "resume it"}, 1},
		{"a cluster that was deleted", map[string]string{tagOfCluster: clusterARN(home, account, "gone")}, nil, []string{"Amazon Redshift does not show", "deleted"}, 1},
		{"a cluster of another account, which has one of that name too", map[string]string{tagOfCluster: clusterARN(home, "999999999999", "dw")}, nil, []string{"another account"}, 1},
		{"a cluster that does not say whose it is", map[string]string{tagOfCluster: clusterARN(home, account, "unknown")}, nil, []string{"another account"}, 1},
		{"a namespace without a workgroup", map[string]string{tagOfNamespace: namespaceARN(home, "2")}, nil, []string{`"idle"`, "no workgroup", "create one"}, 2},
		{"a workgroup that is being made", map[string]string{tagOfNamespace: namespaceARN(home, "3")}, nil, []string{`"unborn"`, `"CREATING"`, "wait until it is available"}, 2},
		{"a namespace with two workgroups", map[string]string{tagOfNamespace: namespaceARN(home, "4")}, nil, []string{`several workgroups, "torn-a", "torn-b"`, `"masterarn"`}, 2},
		{"a namespace that was deleted", map[string]string{tagOfNamespace: namespaceARN(home, "gone")}, nil, []string{"Amazon Redshift Serverless does not show", "deleted"}, 1},
		{"a cluster and a namespace", map[string]string{tagOfCluster: clusterARN(home, account, "dw"), tagOfNamespace: namespaceARN(home, "5")}, rotator.ErrUnmanaged, []string{"another"}, 0},
		{"no ARN", map[string]string{tagOfCluster: "dw"}, rotator.ErrUnmanaged, []string{"no ARN"}, 0},
		{"an ARN of the other service", map[string]string{tagOfCluster: namespaceARN(home, "5")}, rotator.ErrUnmanaged, []string{"kind"}, 0},
		{"a workgroup's ARN", map[string]string{tagOfNamespace: strings.Replace(namespaceARN(home, "5"), "namespace/", "workgroup/", 1)}, rotator.ErrUnmanaged, []string{"kind"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := serveRedshift(t)
			got, err := service.topology().Admin(t.Context(), tt.tags)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || tt.is == nil && errors.Is(err, rotator.ErrUnmanaged) {
				t.Fatalf("endpoint %+v, error %v", got, err)
			}
			for _, part := range tt.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if calls := service.Calls(); len(calls) != tt.calls {
				t.Errorf("%d calls, want %d: %q", len(calls), tt.calls, calls)
			}
		})
	}
}

// TestAnAnswerAboutAnotherClusterIsNotBelieved: an admin's password goes to the
// server of the tag's ARN, whatever else the answer holds.
func TestAnAnswerAboutAnotherClusterIsNotBelieved(t *testing.T) {
	t.Parallel()
	regions := warehouses()
	here := regions[home]
	here.Clusters = here.Clusters[:1]
	regions[home] = here
	service := redshiftapi.Start(regions)
	t.Cleanup(service.Close)
	service.Careless()
	url := service.URL()
	topology := awstopology.New(aws.Config{Region: home, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "key", "")})
	if got, err := topology.Admin(t.Context(), map[string]string{tagOfCluster: clusterARN(home, account, "dw")}); err == nil || len(service.Calls()) != 1 {
		t.Errorf("endpoint %+v, asked %q", got, service.Calls())
	}
}

func TestARedshiftThatDoesNotAnswerIsNamed(t *testing.T) {
	t.Parallel()
	for action, asked := range map[string]struct {
		service, tag, arn string
		failures          []string
	}{
		"DescribeClusters": {"redshift", tagOfCluster, clusterARN(home, account, "dw"), []string{"Throttling", "InternalFailure", "ServiceUnavailable"}},
		"ListNamespaces":   {"redshift-serverless", tagOfNamespace, namespaceARN(home, "5"), []string{"ThrottlingException", "InternalServerException"}},
		"ListWorkgroups":   {"redshift-serverless", tagOfNamespace, namespaceARN(home, "5"), []string{"ThrottlingException", "InternalServerException"}},
	} {
		permission := asked.service + ":" + action
		service := serveRedshift(t)
		service.Refuse(action, "AccessDenied")
		_, err := service.topology().Admin(t.Context(), map[string]string{asked.tag: asked.arn})
		if !errors.Is(err, rotator.ErrDenied) || errors.Is(err, rotator.ErrServiceSilent) || !strings.Contains(err.Error(), "access denied to "+permission) {
			t.Errorf("%s is denied: %v", permission, err)
		}
		for _, code := range asked.failures {
			service := serveRedshift(t)
			service.Refuse(action, code)
			_, err := service.topology().Admin(t.Context(), map[string]string{asked.tag: asked.arn})
			if !errors.Is(err, rotator.ErrServiceSilent) || errors.Is(err, rotator.ErrDenied) || !strings.Contains(err.Error(), permission) {
				t.Errorf("%s meets %s: %v", permission, code, err)
			}
		}
	}
	for service, tags := range map[string]map[string]string{
		"Amazon Redshift in":            {tagOfCluster: clusterARN(home, account, "dw")},
		"Amazon Redshift Serverless in": {tagOfNamespace: namespaceARN(home, "5")},
	} {
		silent := serveRedshift(t)
		silent.Close()
		if _, err := silent.topology().Admin(t.Context(), tags); !errors.Is(err, rotator.ErrServiceSilent) || !strings.Contains(err.Error(), service) || !strings.Contains(err.Error(), "VPC") {
			t.Errorf("%s is not reached: %v", service, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		late := serveRedshift(t)
		if _, err := late.topology().Admin(ended, tags); err == nil || errors.Is(err, rotator.ErrUnmanaged) || len(late.Calls()) != 0 {
			t.Errorf("%s is given up: %v, asked %q", service, err, late.Calls())
		}
	}
}

// TestTheEnvironmentsEndpointsAreAsked: what the function does with the SDK's own
// configuration, as it is deployed.
func TestTheEnvironmentsEndpointsAreAsked(t *testing.T) {
	docs := estate()
	here := docs[home]
	documents := prod()
	documents.ID, documents.ARN, documents.Engine, documents.Port = "docs", arnOf(home, "cluster", "docs"), "docdb", 27017
	documents.Endpoint = "docs.cluster-c0homehash00.eu-west-1.docdb.amazonaws.com"
	here.Clusters = append(here.Clusters, documents)
	docs[home] = here
	ofRDS, ofRedshift, ofServerless := serve(t, docs), serveRedshift(t), serveRedshift(t)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_RDS": ofRDS.URL(), "AWS_ENDPOINT_URL_REDSHIFT": ofRedshift.URL(), "AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS": ofServerless.URL(),
		"AWS_REGION": home, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "key", "AWS_PROFILE": "",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
	} {
		t.Setenv(name, value)
	}
	sdk, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	topology := awstopology.New(sdk)
	for _, tt := range []struct {
		tag, arn, engine string
		calls            func() []string
		asked            int
	}{
		{tagOfCluster, clusterARN(home, account, "dw"), "redshift", ofRedshift.Calls, 1},
		{tagOfNamespace, namespaceARN(home, "5"), "redshift", ofServerless.Calls, 2},
		{"aws:rds:primaryDBClusterArn", documents.ARN, "docdb", ofRDS.Calls, 1},
	} {
		got, err := topology.Admin(t.Context(), map[string]string{tt.tag: tt.arn})
		if err != nil || got.Engine != tt.engine || got.Host == "" || got.Port == 0 {
			t.Errorf("%s: %+v, %v", tt.tag, got, err)
		}
		if calls := tt.calls(); len(calls) != tt.asked {
			t.Errorf("%s: asked %q, want %d calls of its own service", tt.tag, calls, tt.asked)
		}
	}
}

// TestNoServiceIsAskedAboutRedshiftsHosts: equal names are the same, whatever
// they look like, and others are for the operator to list.
func TestNoServiceIsAskedAboutRedshiftsHosts(t *testing.T) {
	t.Parallel()
	const (
		cluster = "dw.c0homehash00.eu-west-1.redshift.amazonaws.com"
		group   = "sales-wg.111122223333.eu-west-1.redshift-serverless.amazonaws.com"
	)
	for _, tt := range []struct {
		name, host, admin string
		same              bool
	}{
		{"a cluster's endpoint", cluster, strings.ToUpper(cluster) + ".", true},
		{"a workgroup's endpoint", group, group, true},
		{"a custom domain", "dw.corp.example", "dw.corp.example", true},
		{"a name of Amazon RDS", host("front.proxy-"), host("front.proxy-"), true},
		{"a custom domain, where the admin names the cluster", "dw.corp.example", cluster, false},
		{"a workgroup, where the admin names its custom domain", group, "sales.corp.example", false},
		{"another cluster", "other.c0homehash00.eu-west-1.redshift.amazonaws.com", cluster, false},
		{"a workgroup's endpoint in another VPC", "sales-vpce.endpoint.111122223333.eu-west-1.redshift-serverless.amazonaws.com", group, false},
		{"two names of Amazon RDS", host("replica."), host("main."), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := serveRedshift(t)
			got, err := service.topology().Relation(t.Context(), tt.host, tt.admin, "redshift")
			switch {
			case tt.same && (err != nil || got.Kind != rotator.RelationSame):
				t.Errorf("relation %+v, error %v", got, err)
			case !tt.same && (!errors.Is(err, rotator.ErrUnrelated) || !strings.Contains(err.Error(), "ADMIN_HOSTS")):
				t.Errorf("relation %+v, error %v", got, err)
			}
			if service.clients != 0 || len(service.Calls()) != 0 {
				t.Errorf("%d clients were made, asked %q", service.clients, service.Calls())
			}
		})
	}
}
