package dbservers

import (
	"context"
	"crypto/md5" //nolint:gosec // It is Redshift's.
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dbrotation/dbrotation/dbdrivers/tlsconf"
	"github.com/dbrotation/dbrotation/integration/dbservers/redshiftgate"
)

const redshiftEngine = "redshift"

// redshiftDialect is that of the PostgreSQL server behind the gate, but for
// what clients of the gate meet.
type redshiftDialect struct {
	*postgresDialect
	options RedshiftOptions
}

var _ dialect = (*redshiftDialect)(nil)

func (d *redshiftDialect) engine() string { return redshiftEngine }

func (d *redshiftDialect) encrypted() bool { return !d.options.NoTLS }

// rejected knows both: the superuser signs in to PostgreSQL.
func (d *redshiftDialect) rejected(err error) bool {
	var refused *pgconn.PgError
	return d.postgresDialect.rejected(err) || errors.As(err, &refused) && refused.Code == "28000" &&
		strings.HasPrefix(refused.Message, "password authentication failed")
}

// createUser gives the server a hash, which hides the password from the rules
// for those in clear text, as Redshift's manual has it.
//
// https://docs.aws.amazon.com/redshift/latest/dg/r_CREATE_USER.html
func (d *redshiftDialect) createUser(ctx context.Context, quiet session, _ *Server, user, password string) error {
	sum := md5.Sum([]byte(password + user)) //nolint:gosec // It is Redshift's.
	return execAll(ctx, quiet, "CREATE ROLE "+quoteName(user)+" LOGIN PASSWORD 'md5"+hex.EncodeToString(sum[:])+"'")
}

// speaksPostgres tells that a server's superuser speaks PostgreSQL's protocol.
func (d *postgresDialect) speaksPostgres() {}

// quietSession leaves no statement in the server's logs.
var quietSession = map[string]string{
	"log_statement":              "none",
	"log_min_error_statement":    "panic",
	"log_min_duration_statement": "-1",
}

// redshiftPlace is the place of the server behind, with the gate in front.
type redshiftPlace struct {
	place
	gate   *redshiftgate.Gate
	behind *Server
}

func (p *redshiftPlace) source() string {
	return p.place.source() + " behind a gate that stands in for Amazon Redshift"
}

func (p *redshiftPlace) address() (string, int) { return p.gate.Addr() }

func (p *redshiftPlace) start(ctx context.Context) error {
	if err := p.place.start(ctx); err != nil {
		return err
	}
	return p.gate.Open()
}

func (p *redshiftPlace) stop(ctx context.Context) error {
	return errors.Join(p.gate.Close(), p.place.stop(ctx))
}

func (p *redshiftPlace) close() error { return errors.Join(p.gate.Close(), p.place.close()) }

// write gives the gate the certificate that the server behind gets, too: one
// certificate proves both.
func (p *redshiftPlace) write(ctx context.Context, files ...file) error {
	content := make(map[string][]byte)
	for _, f := range files {
		content[f.name] = f.content
	}
	if cert, key := content[certificateFile], content[certificateKeyFile]; cert != nil && key != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return err
		}
		settings, err := trustOnly(pair.Leaf)
		if err != nil {
			return err
		}
		p.gate.SetCertificate(pair)
		// The gate looks users up by it.
		p.behind.mu.Lock()
		p.behind.own = settings
		p.behind.mu.Unlock()
	}
	return p.place.write(ctx, files...)
}

func (p *redshiftPlace) beside(context.Context, recipe) (place, error) {
	return nil, errors.New("Redshift has no replicas that follow it")
}

// redshiftCertificate is a certificate for the gate.
func redshiftCertificate(ca *CA) (*tls.Config, error) {
	certPEM, keyPEM, err := ca.Issue(serverNames(loopback)...)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("reading the gate's certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// gateSettings are how this package itself verifies the gate, whatever
// certificate SetTLS gave it.
func (s *Server) gateSettings() tlsconf.Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings := s.own
	settings.Plaintext = !s.dialect.encrypted()
	return settings
}
