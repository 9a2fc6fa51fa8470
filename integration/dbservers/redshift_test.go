package dbservers

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
)

func startRedshiftHere(t *testing.T, opt RedshiftOptions, w way) *Server {
	t.Helper()
	s, err := startRedshift(within(t), opt, w)
	return started(t, s, err)
}

// redshiftFlavour tells the stories of every engine of the stand-in.
func redshiftFlavour() flavour {
	f := postgresFlavour()
	f.engine = redshiftEngine
	f.wantsTLS = func(err error) bool {
		return sqlState("28000")(err) && strings.Contains(err.Error(), "no pg_hba.conf entry") && strings.HasSuffix(err.Error(), "SSL off (SQLSTATE 28000)")
	}
	// The gate reaches the server in plaintext.
	f.accepted = `connection authorized: user=app"1 database=appdb`
	return f
}

// TestAStandInForRedshiftFromStartToClose is one long story, since a server is
// dear.
func TestAStandInForRedshiftFromStartToClose(t *testing.T) {
	t.Parallel()
	forced, err := wayFromEnvironment()
	check(t, err)
	for _, w := range []way{processWay, containerWay} {
		if forced != anyWay && forced != w {
			continue
		}
		t.Run("in a "+string(w), func(t *testing.T) {
			t.Parallel()
			ctx, f := within(t), redshiftFlavour()
			s := startRedshiftHere(t, RedshiftOptions{}, w)
			if s.Engine != "redshift" || s.Version != "8.0.2" || !strings.Contains(s.Source, "behind a gate that stands in for Amazon Redshift") {
				t.Errorf("the server is %s %s, %s", s.Engine, s.Version, s.Source)
			}
			letsNobodyInWithoutVerifiedTLS(ctx, t, s, f)
			tellsWrongPasswordsFromRight(ctx, t, s, f)
			keepsPasswordsOutOfItsLogs(ctx, t, s)
			comesBackWithItsData(ctx, t, s, f)
			changesItsCertificate(ctx, t, s)
			if _, err := s.StartReplica(ctx); err == nil || !strings.Contains(err.Error(), "no replicas") {
				t.Errorf("a replica of Redshift: %v", err)
			}
			p, ok := s.place.(*redshiftPlace)
			if !ok {
				t.Fatalf("the place is a %T", s.place)
			}
			s.place = p.place
			leavesNothingOfRedshift(ctx, t, s, p)
		})
	}
}

func leavesNothingOfRedshift(ctx context.Context, t *testing.T, s *Server, p *redshiftPlace) {
	t.Helper()
	check(t, p.gate.Close())
	leavesNothing(ctx, t, s)
}

func TestTheAdminOfRedshiftIsASuperuserAndSeesRedshift(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := startRedshiftHere(t, RedshiftOptions{}, anyPlace(t))
	check(t, s.CreateUser(ctx, "app", "first"))
	conn, err := Connect(ctx, s.Admin)
	check(t, err)
	defer closeConn(ctx, conn)
	if version := conn.PgConn().ParameterStatus("server_version"); version != s.Version {
		t.Errorf("server_version is %q", version)
	}
	rows, err := conn.Query(ctx, "SELECT usename, usesuper FROM pg_user ORDER BY usename")
	check(t, err)
	type user struct {
		Name  string
		Super bool
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[user])
	check(t, err)
	if diff := cmp.Diff([]user{{"app", false}, {"radmin", true}, {"rdsdb", true}}, got); diff != "" {
		t.Errorf("the users (-want +got):\n%s", diff)
	}
	check(t, s.ExecRedshift(ctx, "CREATE GROUP readers", "ALTER GROUP readers ADD USER app"))
	if err := s.ExecRedshift(ctx, "DO $$ BEGIN END $$"); !sqlState("42601")(err) {
		t.Errorf("a statement that Redshift does not know: %v", err)
	}
}

func TestAStandInForRedshiftTakesPlaintextWhereItIsToldTo(t *testing.T) {
	t.Parallel()
	ctx := within(t)
	s := startRedshiftHere(t, RedshiftOptions{Plaintext: true}, anyPlace(t))
	plain := s.Admin
	plain.TLS = tlsconf.Settings{Plaintext: true}
	for _, login := range []dbdrivers.Login{plain, s.Admin} {
		conn, err := Connect(ctx, login)
		check(t, err)
		closeConn(ctx, conn)
	}
	without := startRedshiftHere(t, RedshiftOptions{NoTLS: true}, anyPlace(t))
	check(t, without.CreateUser(ctx, "app", "first"))
	opens(ctx, t, without, "app", "first", true)
	opens(ctx, t, without, "app", "second", false)
	encrypted := without.Admin
	encrypted.TLS = tlsconf.Settings{Roots: without.Roots}
	if _, err := Connect(ctx, encrypted); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("a client that wants TLS: %v", err)
	}
}
