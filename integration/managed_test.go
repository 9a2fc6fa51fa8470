package integration_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/rdsapi"
	"github.com/dbrotation/dbrotation/integration/redshiftapi"
)

// systemTags stands between the function and the embedded AWS, and adds to what
// DescribeSecret answers the tags that a database service has written: nobody
// else can write them.
type systemTags struct {
	http *httptest.Server

	mu   sync.Mutex
	to   *url.URL
	tags map[string][2]string // by the secret's ARN
}

func startSystemTags(t *testing.T) *systemTags {
	t.Helper()
	s := &systemTags{tags: map[string][2]string{}}
	s.http = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			s.mu.Lock()
			defer s.mu.Unlock()
			r.SetURL(s.to)
			r.Out.Host = r.In.Host // which is signed
		},
		ModifyResponse: s.add,
	})
	t.Cleanup(s.http.Close)
	return s
}

// passTo sets what stands behind.
func (s *systemTags) passTo(endpoint string) error {
	to, err := url.Parse(endpoint)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
	return err
}

// tag has a secret bear a tag from now on.
func (s *systemTags) tag(arn, key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags[arn] = [2]string{key, value}
}

func (s *systemTags) add(answer *http.Response) error {
	if !strings.HasSuffix(answer.Request.Header.Get("X-Amz-Target"), ".DescribeSecret") || answer.StatusCode != http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	body := map[string]any{}
	if err := json.Unmarshal(text, &body); err != nil {
		return err
	}
	arn, _ := body["ARN"].(string)
	s.mu.Lock()
	defer s.mu.Unlock()
	if tag, ok := s.tags[arn]; ok {
		body["Tags"] = []map[string]string{{"Key": tag[0], "Value": tag[1]}}
	}
	if text, err = json.Marshal(body); err != nil {
		return err
	}
	answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	answer.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return nil
}

// TestAnAdminThatAServiceManages: the admin's secret holds a username and a
// password alone, and a system tag says whose they are. The real function asks the
// service that the tag is of, as its environment says where that is.
func TestAnAdminThatAServiceManages(t *testing.T) {
	t.Parallel()
	const (
		account = ":111122223333:"
		cluster = "arn:aws:redshift:" + region + account + "cluster:dw"
		space   = "arn:aws:redshift-serverless:" + region + account + "namespace/1"
		docs    = "arn:aws:rds:" + region + account + "cluster:docs"
	)
	postgres := func(t *testing.T) *dbservers.Server {
		return startPostgres(t, dbservers.PostgresOptions{Version: "18"})
	}
	warehouse := func(t *testing.T) *dbservers.Server { return startRedshift(t, dbservers.RedshiftOptions{}) }
	documents := func(t *testing.T) *dbservers.Server { return startDocumentDB(t, dbservers.DocumentDBOptions{}) }
	for _, row := range []struct {
		name, tag, arn string
		server         func(*testing.T) *dbservers.Server
		asks           []string
	}{
		{name: "Amazon RDS", tag: "aws:rds:primaryDBInstanceArn", arn: accountARNs + "db:main", server: postgres, asks: []string{"DescribeDBInstances in " + region}},
		{name: "Amazon DocumentDB", tag: "aws:rds:primaryDBClusterArn", arn: docs, server: documents, asks: []string{"DescribeDBClusters in " + region}},
		{name: "Amazon Redshift", tag: "aws:redshift:primaryClusterArn", arn: cluster, server: warehouse, asks: []string{"redshift:DescribeClusters in " + region}},
		{
			name: "Amazon Redshift Serverless", tag: "aws:redshift-serverless:namespaceArn", arn: space, server: warehouse,
			asks: []string{"redshift-serverless:ListNamespaces in " + region, "redshift-serverless:ListWorkgroups in " + region},
		},
	} {
		for _, strategy := range []string{"single", "alternating"} {
			t.Run(row.name+" "+strategy, func(t *testing.T) {
				t.Parallel()
				server := row.server(t)
				here := &redshiftapi.Endpoint{Address: server.Host, Port: server.Port}
				rds := startRDS(t, rdsapi.Region{
					Instances: []rdsapi.Instance{instanceOf("main", server.Host, server.Port)},
					Clusters:  []rdsapi.Cluster{{ID: "docs", ARN: docs, Status: "available", Engine: "docdb", Endpoint: server.Host, Port: server.Port}},
				})
				redshift := redshiftapi.Start(map[string]redshiftapi.Region{region: {
					Clusters: []redshiftapi.Cluster{{
						ID: "dw", Status: "available", Namespace: "arn:aws:redshift:" + region + account + "namespace:1", Endpoint: here, Database: server.Database,
					}},
					Namespaces: []redshiftapi.Namespace{{ARN: space, Name: "sales", Status: "AVAILABLE", Database: server.Database}},
					Workgroups: []redshiftapi.Workgroup{{Name: "wg", Namespace: "sales", Status: "AVAILABLE", Endpoint: here}},
				}})
				t.Cleanup(redshift.Close)
				tags := startSystemTags(t)
				s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{
					"SECRETS_MANAGER_ENDPOINT": tags.http.URL, "AWS_ENDPOINT_URL_RDS": rds.URL(), "CREATE_TWINS": "true",
					"AWS_ENDPOINT_URL_REDSHIFT": redshift.URL(), "AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS": redshift.URL(),
				}})
				if err := tags.passTo(s.aws.Endpoint()); err != nil {
					t.Fatal(err)
				}
				username, first := s.account()
				s.planted.add(server.Admin.Password.Reveal())
				managed := s.secret(map[string]any{"username": server.Admin.Username, "password": server.Admin.Password.Reveal()})
				tags.tag(managed, row.tag, row.arn)
				document := s.document(username, first)
				document["masterarn"], document["dbrotation"] = managed, map[string]any{"strategy": strategy}
				arn := s.secret(document)
				who := []string{username, username + "_clone", server.Admin.Username}
				before, signedIn := len(s.aws.Calls()), s.signIns(who...)
				if err := s.rotate(arn); err != nil {
					t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
				}
				after := s.signIns(who...)
				if asked := append(rds.Calls(), redshift.Calls()...); !slices.Equal(asked, row.asks) {
					t.Errorf("the services were asked %q, want %q", asked, row.asks)
				}
				if good, refused := after.Accepted-signedIn.Accepted, after.Refused-signedIn.Refused; good != 3 || refused != 0 {
					t.Errorf("the server counts %d sign-ins and %d refused ones, want 3 and none", good, refused)
				}
				if calls := s.callsOfTheFunction(before); calls != 10 {
					t.Errorf("%d calls of Secrets Manager, want 10", calls)
				}
				if !s.opens(arn, "AWSCURRENT") || s.accepts(username, first) != (strategy == "alternating") {
					t.Error("AWSCURRENT does not open the database, or the former password does what it should not")
				}
			})
		}
	}
}
