package pgwire

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// pinned names every parameter that pgconn would otherwise take from a PG*
// variable, a password file, a service or the home folder. Without it a
// variable such as PGPORT=abc would not merely be overwritten later: it would
// fail the parsing.
const pinned = "host=localhost port=5432 user=nobody password=none database=none " +
	"passfile='' servicefile='' sslmode=disable sslcert='' sslkey='' sslrootcert='' sslpassword='' " +
	"sslcertmode=allow sslsni=1 sslnegotiation=postgres krbsrvname='' krbspn='' connect_timeout=0 " +
	"target_session_attrs=any min_protocol_version=3.0 max_protocol_version=3.0 channel_binding=prefer " +
	"require_auth='' application_name='' timezone='' options=''"

// template is a configuration that came from ParseConfig, as pgconn demands,
// and holds nothing that anybody set. Callers copy it.
var template = sync.OnceValues(func() (*pgconn.Config, error) {
	config, err := pgconn.ParseConfig(pinned)
	if err == nil {
		return config, nil
	}
	// With everything else pinned only PGSERVICE is left, which no parameter
	// can unset: the service it names must exist. So it is given one, empty,
	// by a name and a file of our own.
	return parseWithEmptyService()
})

func parseWithEmptyService() (_ *pgconn.Config, err error) {
	file, err := os.CreateTemp("", "dbrotation-service-*.conf")
	if err != nil {
		return nil, fmt.Errorf("neutralising PGSERVICE (unset it in the function's environment): %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString("[dbrotation]\n")
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("neutralising PGSERVICE (unset it in the function's environment): %w", err)
	}
	path := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(file.Name())
	config, err := pgconn.ParseConfig(pinned + " service=dbrotation servicefile='" + path + "'")
	if err != nil {
		return nil, fmt.Errorf("preparing the client: %w", err)
	}
	return config, nil
}
