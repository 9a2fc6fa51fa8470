package awstopology_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/integration/rdsapi"
	"github.com/dbrotation/dbrotation/rotator"
)

func TestAManagedAdminsServerIsFoundByItsTag(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	regions := estate()
	here := regions[home]
	here.Clusters = append(here.Clusters, rdsapi.Cluster{ID: long, ARN: arnOf(home, "cluster", long), Engine: "docdb", Port: 27017, Endpoint: long + ".cluster-c0homehash00.eu-west-1.docdb.amazonaws.com"})
	mariadb := single(home, "shop", "")
	mariadb.Engine, mariadb.Endpoint.Port = "mariadb", 3310
	here.Instances = append(here.Instances, mariadb)
	regions[home] = here

	for _, tt := range []struct {
		name string
		tags map[string]string
		want rotator.Endpoint
		asks string
	}{
		{"an instance", map[string]string{"aws:rds:primaryDBInstanceArn": arnOf(home, "db", "main"), "aws:secretsmanager:owningService": "rds", "team": "a"},
			mainServer, "DescribeDBInstances in eu-west-1"},
		{"an instance of MariaDB on a port of its own", map[string]string{"aws:rds:primaryDBInstanceArn": arnOf(home, "db", "shop")},
			rotator.Endpoint{Host: host("shop."), Port: 3310, Engine: "mariadb"}, "DescribeDBInstances in eu-west-1"},
		{"a cluster, by its writer endpoint", map[string]string{"aws:rds:primaryDBClusterArn": arnOf(home, "cluster", "prod")},
			prodWriter, "DescribeDBClusters in eu-west-1"},
		{"a cluster of DocumentDB", map[string]string{"aws:rds:primaryDBClusterArn": arnOf(home, "cluster", long)},
			rotator.Endpoint{Host: long + ".cluster-c0homehash00.eu-west-1.docdb.amazonaws.com", Port: 27017, Engine: "docdb"}, "DescribeDBClusters in eu-west-1"},
		{"in another Region, where another instance has the name", map[string]string{"aws:rds:primaryDBInstanceArn": arnOf(abroad, "db", "main")},
			rotator.Endpoint{Host: far("main."), Port: 5432, Engine: "postgres"}, "DescribeDBInstances in us-east-2"},
		{"by a tag in small letters", map[string]string{"aws:rds:primarydbinstancearn": arnOf(home, "db", "main")},
			mainServer, "DescribeDBInstances in eu-west-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, paged := range []bool{false, true} {
				service := serve(t, regions)
				if paged {
					service.Page()
				}
				got, err := service.topology().Admin(t.Context(), tt.tags)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("endpoint (-want +got):\n%s", diff)
				}
				if calls := service.Calls(); !paged && len(calls) != 1 || calls[0] != tt.asks {
					t.Errorf("asked %q, want %q", calls, tt.asks)
				}
			}
		})
	}
}

// TestAnotherAccountsServerIsNotTakenForOneOfThatName: an admin's password goes
// to the server of the tag's ARN, whatever else the answer holds.
func TestAnotherAccountsServerIsNotTakenForOneOfThatName(t *testing.T) {
	t.Parallel()
	for tag, of := range map[string]string{"aws:rds:primaryDBInstanceArn": "db:main", "aws:rds:primaryDBClusterArn": "cluster:prod"} {
		service := serve(t, estate())
		service.Careless()
		got, err := service.topology().Admin(t.Context(), map[string]string{tag: "arn:aws:rds:eu-west-1:999999999999:" + of})
		if err == nil || len(service.Calls()) != 1 {
			t.Errorf("%s: endpoint %+v, asked %q", of, got, service.Calls())
		}
	}
}

func TestATagThatNamesNoServerSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		tags  map[string]string
		is    error
		says  string
		calls int
	}{
		{"no tags", nil, rotator.ErrUnmanaged, `"masterarn"`, 0},
		{"tags of one's own alone", map[string]string{"primaryDBInstanceArn": arnOf(home, "db", "main"), "rds:primarydbinstancearn": arnOf(home, "db", "main")}, rotator.ErrUnmanaged, `"masterarn"`, 0},
		{"a tag of Redshift's that names no server", map[string]string{"aws:redshift:somethingNew": "arn:aws:redshift:eu-west-1:111122223333:cluster:dw"}, rotator.ErrUnmanaged, `"masterarn"`, 0},
		{"an instance and a cluster", map[string]string{"aws:rds:primaryDBInstanceArn": arnOf(home, "db", "main"), "aws:rds:primaryDBClusterArn": arnOf(home, "cluster", "prod")}, rotator.ErrUnmanaged, "another", 0},
		{"no ARN", map[string]string{"aws:rds:primaryDBInstanceArn": "main"}, rotator.ErrUnmanaged, "no ARN", 0},
		{"an ARN of another kind", map[string]string{"aws:rds:primaryDBInstanceArn": arnOf(home, "cluster", "prod")}, rotator.ErrUnmanaged, "kind", 0},
		{"an instance that was deleted", map[string]string{"aws:rds:primaryDBInstanceArn": arnOf(home, "db", "gone")}, nil, "deleted", 1},
		{"an instance of another account", map[string]string{"aws:rds:primaryDBInstanceArn": "arn:aws:rds:eu-west-1:999999999999:db:main"}, nil, "another account", 1},
		{"a cluster of another account", map[string]string{"aws:rds:primaryDBClusterArn": "arn:aws:rds:eu-west-1:999999999999:cluster:prod"}, nil, "another account", 1},
		{"an instance that is being made", map[string]string{"aws:rds:primaryDBInstanceArn": arnOf(home, "db", "unborn")}, nil, "wait until it is available", 1},
		{"a cluster that is being made", map[string]string{"aws:rds:primaryDBClusterArn": arnOf(home, "cluster", "unborn")}, nil, "wait until it is available", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			service := serve(t, estate())
			got, err := service.topology().Admin(t.Context(), tt.tags)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || tt.is == nil && errors.Is(err, rotator.ErrUnmanaged) {
				t.Fatalf("endpoint %+v, error %v", got, err)
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the error does not say %q: %v", tt.says, err)
			}
			if calls := service.Calls(); len(calls) != tt.calls {
				t.Errorf("%d calls, want %d: %q", len(calls), tt.calls, calls)
			}
		})
	}
}
