package dbservers

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrotation/dbrotation/integration/dbservers/documentdbgate"
)

// documentdbReleases are the stand-ins as containers. MongoDB is in no release
// of Debian. No machine that this was written on could fetch the image: that
// way to run it is unproven.
//
// https://hub.docker.com/_/mongo
var documentdbReleases = releases{{
	engine: "documentdb", major: "7.0", port: 27017,
	image:    "mongo:7.0.15",
	binaries: "/usr/bin",
	program:  "mongod",
	account:  "mongodb",
}}

// GatedFerretDB names the stand-in for DocumentDB that is FerretDB behind package
// documentdbgate.
const GatedFerretDB = "gated FerretDB"

// DocumentDBStandIns names the stand-ins for DocumentDB that a run of the tests
// holds here: the one that StartDocumentDB takes by itself, as "", and, where
// the environment does not forbid it, the gated one.
func DocumentDBStandIns() []string {
	if w, err := wayFromEnvironment(); err != nil || w == containerWay {
		return []string{""}
	}
	return []string{"", GatedFerretDB}
}

// DocumentDBOptions say which stand-in for Amazon DocumentDB to start. The zero
// value offers TLS and demands it.
type DocumentDBOptions struct {
	// NoTLS makes a server that offers no TLS.
	NoTLS bool
	// Plaintext lets clients in without TLS too: for a gate that stands in
	// front of the server.
	Plaintext bool
	// Gated takes FerretDB and the gate in front of it also where a container
	// of MongoDB could be had: for what DocumentDB differs from MongoDB in.
	Gated bool
	// Behavior is which cluster the gate plays. One that is not the usual one
	// implies Gated.
	Behavior documentdbgate.Behavior
}

// StartDocumentDB starts a stand-in for Amazon DocumentDB, which nobody can run,
// and returns when it serves. The caller closes it. [Server.Source] says which
// it is:
//
//   - a container of MongoDB, where a registry can be reached: its accounts,
//     roles and authorization are real, and MongoDB's, not DocumentDB's. Its
//     users live in admin here.
//   - FerretDB, built from the Go module proxy once for a machine, behind package
//     documentdbgate, which holds to what DocumentDB documents.
//
// The server's Admin is shaped as the primary user of a cluster, with the role
// root, and Superuser is serviceadmin, which a cluster's owner cannot sign in as.
// All accounts live in the database admin; Database is where they have rights.
//
// A statement of [Server.Exec] is a command in MongoDB's Extended JSON, said to
// admin or to the database that its "$db" names; it takes no arguments.
func StartDocumentDB(ctx context.Context, opt DocumentDBOptions) (*Server, error) {
	w, err := wayFromEnvironment()
	if err != nil {
		return nil, fmt.Errorf("starting a stand-in for DocumentDB: %w", err)
	}
	s, err := startDocumentDB(ctx, opt, w)
	if err != nil {
		return nil, fmt.Errorf("starting a stand-in for DocumentDB: %w", err)
	}
	return s, nil
}

func startDocumentDB(ctx context.Context, opt DocumentDBOptions, w way) (*Server, error) {
	gated := opt.Gated || opt.Behavior != documentdbgate.Behavior{}
	if w == containerWay && gated {
		return nil, fmt.Errorf("a container of MongoDB has no gate: leave DocumentDBOptions.Gated and Behavior empty, or unset %s", waysVariable)
	}
	if w == processWay || gated {
		return startFerretDB(ctx, opt)
	}
	s, err := startMongoDB(ctx, opt)
	var missing *missingError
	if w == containerWay || !errors.As(err, &missing) {
		return s, err
	}
	s, err = startFerretDB(ctx, opt)
	var missingToo *missingError
	if errors.As(err, &missingToo) {
		return nil, &missingError{what: missing.what + "; and " + missingToo.what, err: errors.Join(missing.err, missingToo.err)}
	}
	return s, err
}

// startMongoDB starts MongoDB in a container.
func startMongoDB(ctx context.Context, opt DocumentDBOptions) (*Server, error) {
	s, err := startServer(ctx, &documentdbDialect{release: documentdbReleases.newest(), options: opt}, containerWay)
	if err != nil {
		return nil, err
	}
	s.place = mongoPlace{s.place}
	return s, nil
}

// PlayDocumentDB makes a stand-in for DocumentDB play another cluster from now
// on: a reader, say. It is an error where no gate stands in front of the server.
func (s *Server) PlayDocumentDB(b documentdbgate.Behavior) error {
	if err := s.open(); err != nil {
		return fmt.Errorf("playing another cluster: %w", err)
	}
	p, is := s.place.(*ferretPlace)
	if !is {
		return fmt.Errorf("playing another cluster: %s cannot; set DocumentDBOptions.Behavior when it is started", s.Source)
	}
	p.play(b)
	return nil
}
