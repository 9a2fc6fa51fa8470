package dbservers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// FerretDB as the Go module proxy has it, pinned by its checksum. Version 1 has
// a data store of its own, SQLite; version 2 wants a PostgreSQL server beside
// it.
//
// https://github.com/FerretDB/FerretDB/tree/v1.24.0
const (
	ferretModule  = "github.com/FerretDB/FerretDB"
	ferretVersion = "v1.24.0"
	ferretMajor   = "1.24"
	ferretSum     = "h1:7WJmezL48Bj9bYWnhT/bEJgX5gjT5s7LFdHTqkN25rA="
	ferretProgram = "ferretdb"
)

// ferretBuild is the number of the way in which FerretDB is built. A binary of
// another number is built anew.
const ferretBuild = "3"

// builtFerretDB returns the folder that FerretDB's binary is in, and builds it
// where that was not done yet: it takes a minute, once for a machine.
func builtFerretDB(ctx context.Context) (folder string, err error) {
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	folder = filepath.Join(cache, "ferretdb-"+ferretVersion+"-"+ferretBuild)
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	unlock, err := lockFerretDB(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	work, err := ownFolder(cache)
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := buildFerretDB(ctx, work); err != nil {
		return "", err
	}
	// The name appears at once and whole.
	if err := os.Rename(filepath.Join(work, "built"), folder); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return folder, nil
}

// buildFerretDB builds FerretDB into work's folder "built".
func buildFerretDB(ctx context.Context, work string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return &missingError{what: "building FerretDB, the stand-in for DocumentDB, needs Go in the path", err: err}
	}
	told, err := runGo(ctx, work, "mod", "download", "-json", ferretModule+"@"+ferretVersion)
	if err != nil {
		return &missingError{what: "FerretDB, the stand-in for DocumentDB, cannot be had from the Go module proxy (set GOPROXY to one that can be reached)", err: err}
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(told, &module); err != nil {
		return fmt.Errorf("reading what Go says of FerretDB's module: %w", err)
	}
	if module.Sum != ferretSum {
		return fmt.Errorf("the module %s %s has the checksum %s, want %s: do not use it", ferretModule, ferretVersion, module.Sum, ferretSum)
	}
	source := filepath.Join(work, "source")
	if err := copyFolder(module.Dir, source, nil); err != nil {
		return fmt.Errorf("copying FerretDB's source: %w", err)
	}
	if err := changeFerretDB(source); err != nil {
		return fmt.Errorf("changing FerretDB's source: %w", err)
	}
	// A file that is made for a release and is not in the module.
	version := filepath.Join(source, "build", "version", "version.txt")
	if err := os.WriteFile(version, []byte(ferretVersion), 0o600); err != nil {
		return fmt.Errorf("naming FerretDB's version: %w", err)
	}
	if _, err := runGo(ctx, source, "build", "-buildvcs=false", "-trimpath",
		"-o", filepath.Join(work, "built", ferretProgram), "./cmd/ferretdb"); err != nil {
		return fmt.Errorf("building FerretDB: %w", err)
	}
	return nil
}

// ferretChange is a line of FerretDB's source that is another one here.
type ferretChange struct{ file, from, to string }

// ferretChanges make the stand-in quicker where tests sign in many times and leave
// many users, and nothing else:
//
//   - a password is iterated to the least that MongoDB may be set to. Clients
//     iterate as often.
//   - a user is looked for by its key, and not among all that there are.
//
// https://www.mongodb.com/docs/manual/reference/parameters/#mongodb-parameter-param.scramSHA256IterationCount
var ferretChanges = []ferretChange{
	{"internal/util/password/scramsha1.go", "iterationCount: 10_000,", "iterationCount: 5_000,"},
	{"internal/util/password/scramsha256.go", "iterationCount: 15_000,", "iterationCount: 5_000,"},

	{"internal/handler/msg_saslstart.go", "usersCol.Query(ctx, nil)", "usersCol.Query(ctx, &backends.QueryParams{Filter: filter})"},
	{"internal/handler/msg_saslstart.go", ferretImport, ferretImport + "\n" + ferretBackends},
	{
		"internal/handler/msg_hello.go", "usersCol.Query(ctx, nil)",
		`usersCol.Query(ctx, &backends.QueryParams{Filter: must.NotFail(types.NewDocument("_id", db+"."+username))})`,
	},
	{"internal/handler/msg_hello.go", ferretImport, ferretImport + "\n" + ferretBackends},
	{
		"internal/handler/msg_updateuser.go", "usersCol.Query(connCtx, nil)",
		`usersCol.Query(connCtx, &backends.QueryParams{Filter: must.NotFail(types.NewDocument("_id", dbName+"."+username))})`,
	},
}

// Two packages of FerretDB's that its files import.
const (
	ferretImport   = `"github.com/FerretDB/FerretDB/internal/handler/common"`
	ferretBackends = `"github.com/FerretDB/FerretDB/internal/backends"`
)

// changeFerretDB makes the changes. One whose line is not there once is an error.
func changeFerretDB(source string) error {
	for _, change := range ferretChanges {
		path := filepath.Join(source, filepath.FromSlash(change.file))
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Count(string(text), change.from) != 1 {
			return fmt.Errorf("%s does not have %q once", change.file, change.from)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), change.from, change.to, 1)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// runGo runs a command of Go's in a folder, for this machine, whatever the
// environment says of the module or the machine at work here.
func runGo(ctx context.Context, folder string, words ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", words...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(),
		"PWD="+folder, "GOFLAGS=", "GOWORK=off", "GO111MODULE=on", "GOOS=", "GOARCH=", "CGO_ENABLED=0")
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", words[0], err, tail(strings.TrimSpace(told.String())))
	}
	return out.Bytes(), nil
}
