package awstopology_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/integration/rdsapi"
	"github.com/dbrotation/dbrotation/rotator"
)

// docdb is an endpoint's name of Amazon DocumentDB at home.
func docdb(made string) string { return made + "c0homehash00.eu-west-1.docdb.amazonaws.com" }

// documents is an account with two clusters of Amazon DocumentDB, for which
// Amazon RDS answers.
func documents() map[string]rdsapi.Region {
	member := func(id string) rdsapi.Instance {
		i := inCluster(id, "docs")
		i.Engine, i.Endpoint = "docdb", &rdsapi.Endpoint{Address: docdb(id + "."), Port: 27017}
		return i
	}
	cluster := func(id string) rdsapi.Cluster {
		return rdsapi.Cluster{
			ID: id, ARN: arnOf(home, "cluster", id), Status: "available", Engine: "docdb", Port: 27017,
			Endpoint: docdb(id + ".cluster-"), Reader: docdb(id + ".cluster-ro-"),
		}
	}
	docs := cluster("docs")
	docs.Members = []rdsapi.Member{{ID: "docs-1", Writer: true}, {ID: "docs-2"}}
	return map[string]rdsapi.Region{home: {Instances: []rdsapi.Instance{member("docs-1"), member("docs-2")}, Clusters: []rdsapi.Cluster{cluster("other"), docs}}}
}

// TestTheRelationsOfDocumentDB holds for every name that secrets give the engine.
func TestTheRelationsOfDocumentDB(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, host, admin string
		want              rotator.RelationKind // "" = unrelated
		writer            bool
		calls             int
	}{
		{"one name", docdb("docs.cluster-"), docdb("docs.cluster-"), rotator.RelationSame, false, 0},
		{"one name of one's own", "docs.corp.example", "docs.corp.example", rotator.RelationSame, false, 0},
		{"a proxy's name, of which there is none", host("front.proxy-"), host("front.proxy-"), rotator.RelationSame, false, 0},
		{"the reader endpoint", docdb("docs.cluster-ro-"), docdb("docs.cluster-"), rotator.RelationMember, false, 1},
		{"the member that is the primary now", docdb("docs-1."), docdb("docs.cluster-"), rotator.RelationMember, true, 2},
		{"a member that is a replica now", docdb("docs-2."), docdb("docs.cluster-"), rotator.RelationMember, false, 2},
		{"another cluster", docdb("other.cluster-"), docdb("docs.cluster-"), "", false, 2},
		{"another cluster's reader endpoint", docdb("other.cluster-ro-"), docdb("docs.cluster-"), "", false, 2},
		{"an alias of one's own", "docs.corp.example", docdb("docs.cluster-"), "", false, 0},
		{"an elastic cluster", "docs-111122223333.eu-west-1.docdb-elastic.amazonaws.com", docdb("docs.cluster-"), "", false, 0},
	} {
		for _, engine := range []string{"docdb", "documentdb", "mongo"} {
			t.Run(tt.name+", called "+engine, func(t *testing.T) {
				t.Parallel()
				service := serve(t, documents())
				topology := service.topology()
				topology.AskDNS(func(context.Context, string, string) (net.Conn, error) {
					t.Error("DNS was asked")
					return nil, errors.New("not asked for")
				})
				got, err := topology.Relation(t.Context(), tt.host, tt.admin, engine)
				switch {
				case tt.want == "" && (!errors.Is(err, rotator.ErrUnrelated) || !strings.Contains(err.Error(), "ADMIN_HOSTS")):
					t.Errorf("relation %+v, error %v", got, err)
				case tt.want != "" && (err != nil || got.Kind != tt.want || got.Writer != tt.writer):
					t.Errorf("relation %+v, error %v; want %s, writer %t", got, err, tt.want, tt.writer)
				}
				if calls := service.Calls(); len(calls) != tt.calls {
					t.Errorf("%d calls, want %d: %q", len(calls), tt.calls, calls)
				}
			})
		}
	}
}
