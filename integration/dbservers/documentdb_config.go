package dbservers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"syscall"
)

// The names of a MongoDB server's files in its own folder.
const (
	mongoData  = "data"
	mongoConf  = "mongod.conf"
	mongoFirst = "first.js"
	mongoPair  = "server.pem"
)

// mongoRecipe describes a MongoDB server with authorization. Its first user is
// made while nobody else can reach it.
//
// https://www.mongodb.com/docs/manual/reference/configuration-options/
func (d *documentdbDialect) mongoRecipe(ca *CA, superuser string) recipe {
	return recipe{
		release: d.release,
		// Both end it in good order; a kill does not hurt either.
		stopSignal: syscall.SIGTERM,
		endSignal:  syscall.SIGKILL,
		files: func(s site) ([]file, error) {
			first, err := mongoFirstUser(d.superuser(), superuser)
			if err != nil {
				return nil, err
			}
			files := []file{
				{name: mongoConf, mode: 0o600, content: d.mongoConfiguration(s)},
				{name: mongoFirst, mode: 0o600, passing: true, content: first},
			}
			if d.options.NoTLS {
				return files, nil
			}
			secured, err := certificateFiles(s, ca)
			if err != nil {
				return nil, err
			}
			return append(files, withMongoPair(secured)...), nil
		},
		data: mongoData,
		// The data folder holds the first user's password, and so is nobody
		// else's.
		settle: func(s site) []string {
			mongod := shellWords(s.bin+"/mongod", "--dbpath", s.dir+"/"+mongoData)
			return []string{"/bin/sh", "-ec", "mkdir " + shellWords(s.dir+"/"+mongoData) + "\n" +
				mongod + " --bind_ip 127.0.0.1 --fork " + shellWords("--port", strconv.Itoa(s.port), "--logpath", s.dir+"/first.log") + "\n" +
				"HOME=" + shellWords(s.dir) + " " + shellWords(s.bin+"/mongosh", "--quiet", "--port", strconv.Itoa(s.port), "admin", s.dir+"/"+mongoFirst) + "\n" +
				mongod + " --shutdown"}
		},
		run: func(s site) []string { return []string{s.bin + "/mongod", "--config", s.dir + "/" + mongoConf} },
	}
}

// mongoFirstUser is a script that makes a user with all rights.
func mongoFirstUser(name, password string) ([]byte, error) {
	user, err := json.Marshal(map[string]any{
		"user": name, "pwd": password, "roles": []map[string]string{{"role": "root", "db": adminDatabase}},
	})
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "db.getSiblingDB(%q).createUser(%s)\n", adminDatabase, user), nil
}

func (d *documentdbDialect) mongoConfiguration(s site) []byte {
	mode := "requireTLS"
	switch {
	case d.options.NoTLS:
		mode = "disabled"
	case d.options.Plaintext:
		mode = "allowTLS"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "storage:\n  dbPath: %q\n", s.dir+"/"+mongoData)
	fmt.Fprintf(&b, "net:\n  port: %d\n  bindIp: %q\n  unixDomainSocket:\n    enabled: false\n  tls:\n    mode: %s\n", s.port, s.listen, mode)
	if mode != "disabled" {
		fmt.Fprintf(&b, "    certificateKeyFile: %q\n", s.dir+"/"+mongoPair)
	}
	b.WriteString("security:\n  authorization: enabled\n")
	return b.Bytes()
}

// withMongoPair adds the one file that MongoDB reads a certificate and its key
// from, where files hold both.
func withMongoPair(files []file) []file {
	var cert, key []byte
	for _, f := range files {
		switch f.name {
		case certificateFile:
			cert = f.content
		case certificateKeyFile:
			key = f.content
		}
	}
	if cert == nil || key == nil {
		return files
	}
	return append(files, file{name: mongoPair, mode: 0o600, content: bytes.Join([][]byte{cert, key}, nil)})
}

// mongoPlace is a place whose files of a certificate are MongoDB's too.
type mongoPlace struct{ place }

func (p mongoPlace) write(ctx context.Context, files ...file) error {
	return p.place.write(ctx, withMongoPair(files)...)
}

func (p mongoPlace) beside(context.Context, recipe) (place, error) { return nil, errNoReplicas }
