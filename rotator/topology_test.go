package rotator_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/dbrotation/dbrotation/rotator"
)

// services is what the database services know in a story. Every other host is
// just itself.
type services struct {
	admin   rotator.Endpoint
	proxies map[string]rotator.Relation // by host
	// relation is that of any two hosts; without a kind they have none.
	relation rotator.Relation
	err      error // the answer to every question
	asked    *[]string
}

func (s services) Admin(context.Context, map[string]string) (rotator.Endpoint, error) {
	*s.asked = append(*s.asked, "admin")
	return s.admin, s.err
}

func (s services) Relation(_ context.Context, host, adminHost, engine string) (rotator.Relation, error) {
	relation, proxy := s.proxies[host]
	switch {
	case host != adminHost:
		relation = s.relation
	case !proxy:
		return rotator.Relation{Kind: rotator.RelationSame}, nil
	}
	*s.asked = append(*s.asked, host+" "+adminHost+" "+engine)
	if s.err == nil && relation.Kind == "" {
		return relation, rotator.ErrUnrelated
	}
	return relation, s.err
}

func TestWhatTheDatabaseServicesSay(t *testing.T) {
	t.Parallel()
	managed := []func(map[string]any){drop("host"), drop("engine"), drop("port")}
	reader := []func(map[string]any){set("host", "reader.example.com")}
	farReader := []func(map[string]any){set("host", "reader.example.com"), set("port", 6000)}
	for _, row := range []struct {
		name  string
		admin []func(map[string]any)
		app   []func(map[string]any)
		services
		hosts []string
		asked int
		class rotator.Class // "" = it is set
		says  []string
	}{
		{name: "hosts are equal: nobody is asked"},
		{name: "the operator listed the host: nobody is asked", app: reader, hosts: []string{"reader.example.com"}},
		{name: "the host is another endpoint of the cluster", app: reader, services: services{relation: rotator.Relation{Kind: rotator.RelationMember}}, asked: 1},
		{name: "the host is another endpoint of the cluster, on another port", app: farReader, services: services{relation: rotator.Relation{Kind: rotator.RelationMember}}, asked: 1, class: rotator.ClassForbidden, says: []string{"6000"}},
		{name: "the host is a replica", app: reader, services: services{relation: rotator.Relation{Kind: rotator.RelationReplica}}, asked: 1},
		{name: "the host is a replica, which listens elsewhere", app: farReader, services: services{relation: rotator.Relation{Kind: rotator.RelationReplica}}, asked: 1},
		{name: "the host is unrelated", app: reader, asked: 1, class: rotator.ClassForbidden, says: []string{"reader.example.com", "ADMIN_HOSTS"}},
		{name: "the service refuses to say", app: reader, services: services{err: fmt.Errorf("%w to rds:DescribeDBInstances", rotator.ErrDenied)}, asked: 1, class: rotator.ClassForbidden, says: []string{"rds:DescribeDBInstances", "role"}},
		{name: "the service does not answer", app: reader, services: services{err: rotator.ErrServiceSilent}, asked: 1, class: rotator.ClassUnreachable, says: []string{"endpoint"}},
		{name: "the admin's secret is managed", admin: managed, services: services{admin: rotator.Endpoint{Host: host, Port: 5999, Engine: "fake"}}, asked: 1},
		{name: "the managed admin's server is another one", admin: managed, services: services{admin: rotator.Endpoint{Host: "other.example.com", Port: 5999, Engine: "fake"}}, asked: 2, class: rotator.ClassForbidden, says: []string{"other.example.com"}},
		{name: "the managed admin's server listens elsewhere", admin: managed, services: services{admin: rotator.Endpoint{Host: host, Port: 1, Engine: "fake"}}, asked: 1, class: rotator.ClassForbidden, says: []string{"5999"}},
		{name: "the managed admin's engine is another one", admin: managed, services: services{admin: rotator.Endpoint{Host: host, Port: 5999, Engine: "mysql"}}, asked: 1, class: rotator.ClassInvalidSecret, says: []string{`"engine"`}},
		{name: "no tag names the admin's server", admin: managed, services: services{err: rotator.ErrUnmanaged}, asked: 1, class: rotator.ClassInvalidSecret, says: []string{"secret:admin", "tag"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var asked []string
			row.services.asked = &asked
			w.config.Topology, w.config.AdminHosts = row.services, row.hosts
			w.secret(append([]func(map[string]any){w.adminSecret(row.admin...)}, row.app...)...)
			pending := w.document("AWSCURRENT")
			pending["password"] = pendingPassword
			token := w.pend(encode(t, pending))

			err := w.deliver(rotator.SetSecret, token)
			if len(asked) != row.asked {
				t.Errorf("asked %q, want %d questions", asked, row.asked)
			}
			if row.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				w.opens("AWSPENDING")
				return
			}
			wantClass(t, err, row.class, row.says...)
			if ok, refused := w.db.SignIns(); ok+refused != 0 {
				t.Error("the database was asked")
			}
		})
	}
}

// TestNeitherAccountIsTheAdmin: an admin that rotated itself would give its own
// rights to a twin.
func TestNeitherAccountIsTheAdmin(t *testing.T) {
	t.Parallel()
	for _, username := range []string{"admin", "admin_clone"} {
		for _, admin := range []string{"admin", "admin_clone"} {
			w := newWorld(t)
			var asked []string
			w.config.Topology = services{asked: &asked}
			w.secret(w.adminSecret(set("username", admin)), drop("dbrotation"), set("username", username))
			pending := w.document("AWSCURRENT")
			pending["password"] = pendingPassword
			pending["username"] = map[string]string{"admin": "admin_clone", "admin_clone": "admin"}[username]
			wantClass(t, w.deliver(rotator.SetSecret, w.pend(encode(t, pending))), rotator.ClassForbidden, "is the admin itself")
			if ok, refused := w.db.SignIns(); ok+refused != 0 {
				t.Errorf("%s by %s: the database was asked", username, admin)
			}
		}
	}
}
