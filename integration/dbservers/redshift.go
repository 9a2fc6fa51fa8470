package dbservers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/dbrotation/dbrotation/integration/dbservers/redshiftgate"
)

// redshiftBehind is the version of PostgreSQL that stands in for Redshift: the
// oldest here, and so the nearest.
const redshiftBehind = "15"

// RedshiftOptions say which stand-in for Amazon Redshift to start. The zero
// value is one that demands TLS.
type RedshiftOptions struct {
	// NoTLS makes a server that offers no TLS.
	NoTLS bool
	// Plaintext lets clients in without TLS too, as a cluster does whose
	// parameter require_ssl is off: for a gate that stands in front of the
	// server.
	//
	// https://docs.aws.amazon.com/redshift/latest/mgmt/connecting-ssl-support.html
	Plaintext bool
	// Cluster is what may differ between clusters: what their views show.
	redshiftgate.Cluster
}

// StartRedshift starts what stands in for Amazon Redshift, which runs nowhere
// but at AWS: a PostgreSQL server behind a gate that passes only what Redshift's
// manual knows. The package redshiftgate says what that proves, and what it
// leaves unproven. The caller closes it.
//
// The server's Admin is a superuser, as the admin user of a Redshift cluster is.
// Sessions whose application_name is [redshiftgate.ApplicationName] may say what
// the rotation's driver says, and no more; all others, those of [Connect] among
// them, may say what an application and an operator say too. Superuser goes to
// the PostgreSQL server behind the gate, in its own words, as do [Server.Exec]
// and [Server.ConnectSuperuser]: what they make as a role PostgreSQL alone knows
// as one, so groups and roles of Redshift's are made by [Server.ExecRedshift].
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_superusers.html
func StartRedshift(ctx context.Context, opt RedshiftOptions) (*Server, error) {
	w, err := wayFromEnvironment()
	if err != nil {
		return nil, fmt.Errorf("starting a stand-in for Redshift: %w", err)
	}
	s, err := startRedshift(ctx, opt, w)
	if err != nil {
		return nil, fmt.Errorf("starting a stand-in for Redshift: %w", err)
	}
	return s, nil
}

func startRedshift(ctx context.Context, opt RedshiftOptions, w way) (*Server, error) {
	behind, err := startPostgres(ctx, PostgresOptions{
		Version:   redshiftBehind,
		Plaintext: true,
		Settings:  map[string]string{"password_encryption": "md5", "max_connections": "200"},
	}, w)
	if err != nil {
		return nil, err
	}
	s, err := redshiftBefore(ctx, opt, behind)
	if err != nil {
		return nil, errors.Join(err, behind.Close())
	}
	return s, nil
}

// redshiftBefore opens the gate before a server, which is its own from then on.
func redshiftBefore(ctx context.Context, opt RedshiftOptions, behind *Server) (*Server, error) {
	base, ok := behind.dialect.(*postgresDialect)
	if !ok {
		return nil, fmt.Errorf("a %s server cannot stand in for Redshift", behind.Engine)
	}
	if err := makeRedshift(ctx, opt, behind); err != nil {
		return nil, err
	}
	gate, err := openRedshiftGate(opt, behind)
	if err != nil {
		return nil, err
	}
	host, port := gate.Addr()
	s := &Server{
		Engine:   redshiftEngine,
		Version:  redshiftgate.Version,
		Source:   fmt.Sprintf("%s (PostgreSQL %s) behind a gate that stands in for Amazon Redshift", behind.Source, behind.Version),
		Host:     host,
		Port:     port,
		CA:       behind.CA,
		Roots:    behind.Roots,
		RootsPEM: behind.RootsPEM,
		Database: behind.Database,
		place:    &redshiftPlace{place: behind.place, gate: gate, behind: behind},
		dialect:  &redshiftDialect{postgresDialect: base, options: opt},
		own:      behind.own,
	}
	s.Admin = s.Login(behind.Admin.Username, behind.Admin.Password.Reveal())
	s.Superuser = behind.Superuser
	return s, nil
}

// makeRedshift shapes a new PostgreSQL server's accounts and catalog.
func makeRedshift(ctx context.Context, opt RedshiftOptions, behind *Server) error {
	conn, err := connect(ctx, behind.superuserOf(behind.Database), quietSession)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	for _, sql := range []string{
		"ALTER ROLE " + quoteName(behind.Admin.Username) + " SUPERUSER",
		"DROP ROLE rds_superuser",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("shaping the accounts: %w", err)
		}
	}
	return redshiftgate.Install(ctx, conn, opt.Cluster)
}

func openRedshiftGate(opt RedshiftOptions, behind *Server) (*redshiftgate.Gate, error) {
	config := redshiftgate.Config{
		Server:    net.JoinHostPort(behind.Host, strconv.Itoa(behind.Port)),
		Plaintext: opt.Plaintext || opt.NoTLS,
		Connect: func(ctx context.Context) (*pgx.Conn, error) {
			return connect(ctx, behind.superuserOf(behind.Database), quietSession)
		},
	}
	if !opt.NoTLS {
		cert, err := redshiftCertificate(behind.CA)
		if err != nil {
			return nil, err
		}
		config.TLS = cert
	}
	return redshiftgate.Start(config)
}

// ExecRedshift runs statements as Admin, through the gate and so in Redshift's
// words, for setting up. Each is one that the table of the gate knows of an
// operator.
func (s *Server) ExecRedshift(ctx context.Context, statements ...string) error {
	if s.Engine != redshiftEngine {
		return fmt.Errorf("a %s server does not speak Redshift's words; use Exec", s.Engine)
	}
	if err := s.open(); err != nil {
		return err
	}
	admin := s.Admin
	admin.TLS = s.gateSettings()
	conn, err := Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("executing as the admin of Redshift: %w", err)
		}
	}
	return nil
}
