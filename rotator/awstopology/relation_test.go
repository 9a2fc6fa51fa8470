package awstopology_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/rotator"
)

var (
	prodWriter = rotator.Endpoint{Host: host("prod.cluster-"), Port: 5433, Engine: "aurora-postgresql"}
	mainServer = rotator.Endpoint{Host: host("main."), Port: 5432, Engine: "postgres"}
)

var relations = []struct {
	name        string
	host, admin string
	want        rotator.Relation
	calls       int
}{
	{"one name", host("main."), host("main."), rotator.Relation{Kind: rotator.RelationSame}, 0},
	{"one name, as DNS compares them", strings.ToUpper(host("main.")) + ".", host("main."), rotator.Relation{Kind: rotator.RelationSame}, 0},
	{"one name that is none of AWS's", "db.corp.example", "DB.corp.example", rotator.Relation{Kind: rotator.RelationSame}, 0},
	{"one address", "10.0.0.7", "10.0.0.7", rotator.Relation{Kind: rotator.RelationSame}, 0},

	{"a replica", host("replica."), host("main."), rotator.Relation{Kind: rotator.RelationReplica}, 2},
	{"a replica in another Region, whose source is named by its ARN", far("copy."), host("main."), rotator.Relation{Kind: rotator.RelationReplica}, 2},
	{"a replica of a replica", host("leaf."), host("main."), rotator.Relation{Kind: rotator.RelationReplica}, 3},
	{"a replica of a replica in another Region", far("copy-of-copy."), host("main."), rotator.Relation{Kind: rotator.RelationReplica}, 3},
	{"an instance that replicates a cluster", host("reporting."), host("prod.cluster-"), rotator.Relation{Kind: rotator.RelationReplica}, 2},
	{"an instance that replicates a cluster by one of its members", host("legacy."), host("prod.cluster-"), rotator.Relation{Kind: rotator.RelationReplica}, 3},
	{"a cluster that replicates a cluster in another Region", far("prod-dr.cluster-"), host("prod.cluster-"), rotator.Relation{Kind: rotator.RelationReplica}, 2},

	{"the reader endpoint", host("prod.cluster-ro-"), host("prod.cluster-"), rotator.Relation{Kind: rotator.RelationMember}, 1},
	{"a custom endpoint", host("reports.cluster-custom-"), host("prod.cluster-"), rotator.Relation{Kind: rotator.RelationMember}, 2},
	{"two custom endpoints", host("reports.cluster-custom-"), host("etl.cluster-custom-"), rotator.Relation{Kind: rotator.RelationMember}, 2},
	{"the member that is the writer now", host("prod-1."), host("prod.cluster-"), rotator.Relation{Kind: rotator.RelationMember, Writer: true}, 2},
	{"a member that is a reader now", host("prod-2."), host("prod.cluster-"), rotator.Relation{Kind: rotator.RelationMember}, 2},
	{"two members", host("prod-2."), host("prod-1."), rotator.Relation{Kind: rotator.RelationMember}, 3},
	{"the writer endpoint, where the admin names a member", host("prod.cluster-"), host("prod-1."), rotator.Relation{Kind: rotator.RelationMember, Writer: true}, 2},

	{"a proxy of a cluster", host("front.proxy-"), host("prod.cluster-"),
		rotator.Relation{Kind: rotator.RelationProxy, Proxy: host("front.proxy-"), Writer: true, Target: prodWriter, ProxySecrets: []string{appSecret, adminSecret}, ProxyUsers: []string{"app"}}, 3},
	{"a proxy of a cluster, where the admin names a member", host("front.proxy-"), host("prod-2."),
		rotator.Relation{Kind: rotator.RelationProxy, Proxy: host("front.proxy-"), Writer: true, Target: prodWriter, ProxySecrets: []string{appSecret, adminSecret}, ProxyUsers: []string{"app"}}, 4},
	{"a proxy's endpoint for reading", host("readers.endpoint.proxy-"), host("prod.cluster-"),
		rotator.Relation{Kind: rotator.RelationProxy, Proxy: host("readers.endpoint.proxy-"), Target: prodWriter, ProxySecrets: []string{appSecret, adminSecret}, ProxyUsers: []string{"app"}}, 4},
	{"a proxy's further endpoint for writing", host("writers.endpoint.proxy-"), host("prod.cluster-"),
		rotator.Relation{Kind: rotator.RelationProxy, Proxy: host("writers.endpoint.proxy-"), Writer: true, Target: prodWriter, ProxySecrets: []string{appSecret, adminSecret}, ProxyUsers: []string{"app"}}, 4},
	{"a proxy of an instance", host("plain.proxy-"), host("main."),
		rotator.Relation{Kind: rotator.RelationProxy, Proxy: host("plain.proxy-"), Writer: true, Target: mainServer, ProxySecrets: []string{appSecret}}, 4},
	{"one name, which is a proxy's", host("plain.proxy-"), host("plain.proxy-"),
		rotator.Relation{Kind: rotator.RelationProxy, Proxy: host("plain.proxy-"), Writer: true, Target: mainServer, ProxySecrets: []string{appSecret}}, 3},
	{"what is behind the admin's proxy", host("prod-1."), host("front.proxy-"), rotator.Relation{Kind: rotator.RelationMember, Writer: true}, 4},
}

func TestARelationIsProvenByTheService(t *testing.T) {
	t.Parallel()
	for _, tt := range relations {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := serve(t, estate())
			got, err := service.topology().Relation(t.Context(), tt.host, tt.admin, "postgres")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("relation (-want +got):\n%s", diff)
			}
			if calls := service.Calls(); len(calls) != tt.calls {
				t.Errorf("%d calls, want %d: %q", len(calls), tt.calls, calls)
			}
		})
	}
}

// TestAListInPagesIsReadToItsEnd: nothing is taken for absent because it is not
// on the first page.
func TestAListInPagesIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range relations {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := serve(t, estate())
			service.Page()
			got, err := service.topology().Relation(t.Context(), tt.host, tt.admin, "postgres")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("relation (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTheSecretsEngineDecidesNoRelation: a cluster of Amazon Aurora is called
// "postgres" in many a secret, and AWS's own functions then look for an instance.
func TestTheSecretsEngineDecidesNoRelation(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"postgres", "aurora-postgresql", "mysql", "aurora-mysql", "mariadb"} {
		topology := serve(t, estate()).topology()
		for _, name := range []string{host("prod.cluster-ro-"), host("prod-2.")} {
			got, err := topology.Relation(t.Context(), name, host("prod.cluster-"), engine)
			if err != nil || got.Kind != rotator.RelationMember {
				t.Errorf("%s, called %s: %v, %v", name, engine, got, err)
			}
		}
	}
}

func TestWhatIsNotProvenIsUnrelated(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		host, admin string
		engine      string
		calls       int
	}{
		{"another instance", host("other."), host("main."), "postgres", 2},
		{"another cluster", host("staging.cluster-"), host("prod.cluster-"), "aurora-postgresql", 2},
		{"another cluster's reader endpoint", host("staging.cluster-ro-"), host("prod.cluster-"), "aurora-postgresql", 2},
		{"another cluster's custom endpoint", host("dashboards.cluster-custom-"), host("prod.cluster-"), "aurora-postgresql", 2},
		{"the same identifier in another Region", far("main."), host("main."), "postgres", 2},
		{"the same identifier in another account", "main.c0otherhash0.eu-west-1.rds.amazonaws.com", host("main."), "postgres", 1},
		{"a replica's identifier in another account", "replica.c0otherhash0.eu-west-1.rds.amazonaws.com", host("main."), "postgres", 1},
		{"a reader endpoint's identifier in another account", "prod.cluster-ro-c0otherhash0.eu-west-1.rds.amazonaws.com", host("prod.cluster-"), "postgres", 1},
		{"a custom endpoint's identifier in another account", "reports.cluster-custom-c0otherhash0.eu-west-1.rds.amazonaws.com", host("prod.cluster-"), "postgres", 1},
		{"a proxy's identifier in another account", "front.proxy-c0otherhash0.eu-west-1.rds.amazonaws.com", host("prod.cluster-"), "postgres", 1},
		{"a proxy's endpoint in another account", "readers.endpoint.proxy-c0otherhash0.eu-west-1.rds.amazonaws.com", host("prod.cluster-"), "postgres", 1},
		{"an admin's server of another account", host("replica."), "main.c0otherhash0.eu-west-1.rds.amazonaws.com", "postgres", 2},
		{"a replica of another account's server of that name", host("foreign."), host("main."), "postgres", 2},
		{"a replica whose source is gone", host("orphan."), host("main."), "postgres", 3},
		{"replicas of each other", host("ring-a."), host("main."), "postgres", 7},
		{"what the admin's server replicates, since nothing is written there", host("main."), host("replica."), "postgres", 2},
		{"a proxy of another instance", host("plain.proxy-"), host("other."), "postgres", 4},
		{"an instance that was never made", host("nobody."), host("main."), "postgres", 1},
		{"an alias of one's own", "db.corp.example", host("main."), "postgres", 0},
		{"an alias below a name that is alike", "main.c0homehash00.rds.corp.example", host("main."), "postgres", 0},
		{"an endpoint's name with somebody's domain behind", host("main.") + ".attacker.example", host("main."), "postgres", 0},
		{"an endpoint's name in another partition", "main.c0homehash00.rds.cn-north-1.amazonaws.com.cn", host("main."), "postgres", 0},
		{"an admin's alias of his own", host("main."), "db.corp.example", "postgres", 0},
		{"an address", "10.0.0.7", host("main."), "postgres", 0},
		{"an IPv6 address", "2001:db8::1", host("main."), "postgres", 0},
		{"a name with empty labels", "main..eu-west-1.rds.amazonaws.com", host("main."), "postgres", 0},
		{"no name", "", host("main."), "postgres", 0},
		{"a kind of endpoint that nobody knows", host("prod.shardgrp-"), host("prod.cluster-"), "postgres", 0},
		{"a cluster of Amazon Redshift", "dw.abc.eu-west-1.redshift.amazonaws.com", "other.abc.eu-west-1.redshift.amazonaws.com", "redshift", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := serve(t, estate())
			got, err := service.topology().Relation(t.Context(), tt.host, tt.admin, tt.engine)
			if !errors.Is(err, rotator.ErrUnrelated) {
				t.Fatalf("relation %+v, error %v", got, err)
			}
			if !strings.Contains(err.Error(), "ADMIN_HOSTS") {
				t.Errorf("the error does not say what to do: %v", err)
			}
			if calls := service.Calls(); len(calls) != tt.calls {
				t.Errorf("%d calls, want %d: %q", len(calls), tt.calls, calls)
			}
		})
	}
}

// TestAProxyThatLeadsNowhereSaysSo: its target is what the rotation needs, and
// no list of the operator's can replace it.
func TestAProxyThatLeadsNowhereSaysSo(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"idle": "has no target: register one", "torn": "has several targets", "novel": "SOMETHING_NEW"} {
		for _, admin := range []string{host("main."), host(name + ".proxy-")} {
			_, err := serve(t, estate()).topology().Relation(t.Context(), host(name+".proxy-"), admin, "postgres")
			if err == nil || errors.Is(err, rotator.ErrUnrelated) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
