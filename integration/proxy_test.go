package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/rdsapi"
)

// The proxy of these tests, as Amazon RDS names such. Nobody resolves the name:
// the rotation signs in behind it.
const (
	proxyHost   = "front.proxy-c0homehash00.eu-west-1.rds.amazonaws.com"
	proxyPort   = 6432
	accountARNs = "arn:aws:rds:" + region + ":111122223333:"
)

// startRDS serves an account of Amazon RDS that has these resources.
func startRDS(t *testing.T, has rdsapi.Region) *rdsapi.Server {
	t.Helper()
	service := rdsapi.Start(map[string]rdsapi.Region{region: has})
	t.Cleanup(service.Close)
	return service
}

// instanceOf is a server as Amazon RDS describes it, by this host name.
func instanceOf(id, host string, port int) rdsapi.Instance {
	return rdsapi.Instance{
		ID: id, ARN: accountARNs + "db:" + id, Status: "available", Engine: "postgres",
		Endpoint: &rdsapi.Endpoint{Address: host, Port: port},
	}
}

// behindAProxy is an account with a proxy in front of the server, which signs
// in as users.
func behindAProxy(server *dbservers.Server, users ...string) rdsapi.Region {
	front := rdsapi.Proxy{Name: "front", ARN: accountARNs + "db-proxy:prx-1", Endpoint: proxyHost, Targets: []rdsapi.Target{{Type: "RDS_INSTANCE", ID: "main"}}}
	for _, user := range users {
		front.Auth = append(front.Auth, rdsapi.Auth{User: user})
	}
	return rdsapi.Region{Instances: []rdsapi.Instance{instanceOf("main", server.Host, server.Port)}, Proxies: []rdsapi.Proxy{front}}
}

// atProxy makes a document name the proxy, and verify it.
func atProxy(document map[string]any) {
	ours, _ := document["dbrotation"].(map[string]any)
	if ours == nil {
		ours = map[string]any{"strategy": "single"}
		document["dbrotation"] = ours
	}
	document["host"], document["port"], ours["sslServerName"] = proxyHost, proxyPort, proxyHost
}

// TestPostgresRotatesBehindAProxy: the secret's host is an RDS Proxy's endpoint,
// and the rotation reaches the server behind it.
func TestPostgresRotatesBehindAProxy(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name          string
		byAdmin       bool
		alternating   bool
		calls, logins int
	}{
		{name: "by itself", calls: 8, logins: 2},
		{name: "by an admin", byAdmin: true, calls: 9, logins: 3},
		{name: "two accounts take turns", byAdmin: true, alternating: true, calls: 9, logins: 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := startPostgres(t, dbservers.PostgresOptions{Version: "18"})
			service := startRDS(t, behindAProxy(server))
			s := newStage(t, stageOptions{server: server, env: map[string]string{"AWS_ENDPOINT_URL_RDS": service.URL(), "CREATE_TWINS": "true"}})
			username, first := s.account()
			document := s.document(username, first)
			if row.byAdmin {
				s.adminSecret(document)
			}
			atProxy(document)
			if row.alternating {
				ours, _ := document["dbrotation"].(map[string]any)
				ours["strategy"] = "alternating"
				service.SetRegion(region, behindAProxy(server, username, username+"_clone"))
			}
			arn := s.secret(document)
			for turn := range 2 {
				_, mark := s.serverLog(0)
				before, asked := len(s.aws.Calls()), len(service.Calls())
				if err := s.rotate(arn); err != nil {
					t.Fatalf("%v\n%s", err, s.aws.FunctionLog(function))
				}
				calls := s.callsOfTheFunction(before)
				log, _ := s.serverLog(mark)
				if good, failed := signIns(log); good != row.logins || failed != 0 || calls != row.calls {
					t.Errorf("turn %d: %d sign-ins, %d failed ones, %d calls of Secrets Manager; want %d, none and %d", turn, good, failed, calls, row.logins, row.calls)
				}
				// The proxy, its targets and their server, in set and in test.
				if got := service.Calls()[asked:]; len(got) != 6 {
					t.Errorf("turn %d: Amazon RDS was asked %q, want 6 calls", turn, got)
				}
				if !s.opens(arn, "AWSCURRENT") {
					t.Fatal("AWSCURRENT does not open the database")
				}
			}
			if s.accepts(username, first) {
				t.Error("the first password still opens the database")
			}
		})
	}
}

// TestNothingIsSentBehindAProxyThatIsNotKnown: the server's log counts.
func TestNothingIsSentBehindAProxyThatIsNotKnown(t *testing.T) {
	t.Parallel()
	server := startPostgres(t, dbservers.PostgresOptions{Version: "18"})
	for _, row := range []struct {
		name        string
		alternating bool
		edit        func(service *rdsapi.Server)
		class       string
		says        string
	}{
		{name: "two accounts cannot take turns", alternating: true, class: "unsupported", says: "dual-password"},
		{name: "the role may not ask", edit: func(s *rdsapi.Server) { s.Refuse("DescribeDBProxies", "AccessDenied") }, class: "forbidden", says: "rds:DescribeDBProxies"},
		{name: "the service is not reached", edit: (*rdsapi.Server).Close, class: "unreachable", says: "VPC"},
		{name: "the proxy is another account's", edit: func(s *rdsapi.Server) { s.SetRegion(region, rdsapi.Region{}) }, class: "invalid-secret", says: "database's own endpoint"},
		{name: "the proxy has no target", edit: func(s *rdsapi.Server) {
			has := behindAProxy(server)
			has.Proxies[0].Targets = nil
			s.SetRegion(region, has)
		}, class: "invalid-secret", says: "has no target"},
	} {
		t.Run(row.name, func(t *testing.T) {
			service := startRDS(t, behindAProxy(server))
			if row.edit != nil {
				row.edit(service)
			}
			// One attempt of the SDK's: its retries only make the test slow.
			s := newStage(t, stageOptions{server: server, tries: 1, env: map[string]string{
				"AWS_ENDPOINT_URL_RDS": service.URL(), "AWS_MAX_ATTEMPTS": "1", "CREATE_TWINS": "true",
			}})
			username, first := s.account()
			document := s.document(username, first)
			if row.alternating {
				s.adminSecret(document)
			}
			atProxy(document)
			if ours, _ := document["dbrotation"].(map[string]any); row.alternating {
				ours["strategy"] = "alternating"
			}
			arn := s.secret(document)
			_, mark := s.serverLog(0)
			if err := s.rotate(arn); err == nil {
				t.Fatal("the rotation went through")
			}
			s.password(arn, "AWSPENDING")
			log, _ := s.serverLog(mark)
			if good, failed := signIns(log); good+failed != 0 {
				t.Errorf("the server counts %d sign-ins and %d failed ones, want none", good, failed)
			}
			told := s.aws.FunctionLog(function)
			for _, part := range []string{fmt.Sprintf(`"class":%q`, row.class), row.says} {
				if !strings.Contains(told, part) {
					t.Errorf("the function's log does not say %s:\n%s", part, told)
				}
			}
			if !s.accepts(username, first) {
				t.Error("the account's password changed")
			}
		})
	}
}
