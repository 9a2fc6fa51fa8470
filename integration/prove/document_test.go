package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/rotator"
)

func TestADocumentIsReadAsTheFunctionReadsIt(t *testing.T) {
	t.Parallel()
	const usual = `"engine": "postgres", "host": "db.example", "username": "app", "password": "planted"`
	traits := dbdrivers.Traits{DefaultPort: 5432, DefaultDatabase: "postgres"}
	for _, row := range []struct {
		name, more     string
		port           int
		database       string
		plaintext      bool
		server, params string
		strategy       rotator.Strategy
		next           string
	}{
		{name: "nothing more", port: 5432, database: "postgres", strategy: rotator.Single, next: "app"},
		{name: "a number as a port, and a database", more: `, "port": 5433, "dbname": "shop"`, port: 5433, database: "shop", strategy: rotator.Single, next: "app"},
		{name: "a text as a port", more: `, "port": "5433"`, port: 5433, database: "postgres", strategy: rotator.Single, next: "app"},
		{name: "an empty text as a port", more: `, "port": "", "ssl": true`, port: 5432, database: "postgres", strategy: rotator.Single, next: "app"},
		{name: "no TLS, by a text", more: `, "ssl": "false"`, port: 5432, database: "postgres", plaintext: true, strategy: rotator.Single, next: "app"},
		{name: "no TLS", more: `, "ssl": false`, port: 5432, database: "postgres", plaintext: true, strategy: rotator.Single, next: "app"},
		{name: "what a driver alone knows", more: `, "authSource": "shop", "note": 1`, port: 5432, database: "postgres", params: "shop", strategy: rotator.Single, next: "app"},
		{name: "an admin", more: `, "masterarn": "arn"`, port: 5432, database: "postgres", strategy: rotator.Alternating, next: "app_clone"},
		{name: "a strategy of its own", more: `, "masterarn": "arn", "dbrotation": {"strategy": "dual-password", "sslServerName": "db.corp"}`, port: 5432, database: "postgres",
			server: "db.corp", strategy: rotator.DualPassword, next: "app"},
		{name: "twins, the first's turn is over", more: `, "masterarn": "arn", "dbrotation": {"twins": ["app", "app_b"]}`, port: 5432, database: "postgres", strategy: rotator.Alternating, next: "app_b"},
		{name: "twins, the second's turn is over", more: `, "masterarn": "arn", "dbrotation": {"twins": ["app_a", "app"]}`, port: 5432, database: "postgres", strategy: rotator.Alternating, next: "app_a"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d, err := newDocument("{" + usual + row.more + "}")
			if err != nil {
				t.Fatal(err)
			}
			login, err := d.login(traits, nil)
			if err != nil {
				t.Fatal(err)
			}
			if login.Host != "db.example" || login.Port != row.port || login.Username != "app" || login.Database != row.database || login.Password.Reveal() != "planted" ||
				login.TLS.Plaintext != row.plaintext || login.TLS.ServerName != row.server || login.Params["authSource"] != row.params {
				t.Errorf("login %+v", login)
			}
			for _, kept := range []string{"engine", "username", "password", "masterarn"} {
				if _, ok := login.Params[kept]; ok {
					t.Errorf("a driver is given %q as it stands", kept)
				}
			}
			strategy, err := d.strategy()
			if err != nil || strategy != row.strategy || d.next(strategy) != row.next {
				t.Errorf("%s, %v, then %q; want %s, then %q", strategy, err, d.next(strategy), row.strategy, row.next)
			}
		})
	}
	clone := &document{Username: "app_clone"}
	if got := clone.next(rotator.Alternating); got != "app" {
		t.Errorf("after app_clone it is the turn of %q", got)
	}
}

// TestADocumentThatIsNone: what is wrong is told, and nothing of it quoted.
func TestADocumentThatIsNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"planted", `["planted"]`, `{"password": "planted"}`, `{"engine": "postgres", "host": "h", "username": "a", "password": 1}`,
		`{"engine": "postgres", "host": "h", "username": "a", "password": ""}`, `{"engine": ["planted"], "host": "h", "username": "a", "password": "planted"}`, "",
	} {
		if _, err := newDocument(text); err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, more := range []string{`"port": "planted"`, `"port": 5432.5`, `"ssl": "planted"`} {
		d, err := newDocument(`{"engine": "postgres", "host": "h", "username": "a", "password": "planted", ` + more + "}")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.login(dbdrivers.Traits{}, nil); err == nil || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", more, err)
		}
	}
}

func TestWhatTwoDocumentsDoNotShare(t *testing.T) {
	t.Parallel()
	read := func(text string) *document {
		d, err := newDocument(`{"engine": "postgres", "host": "h", ` + text + "}")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a := read(`"username": "a", "password": "x", "port": 1, "list": [1, {"b": 2}]`)
	if got := a.differences(read(`"list": [1, {"b": 2}], "password": "y", "username": "b", "port": 1`)); len(got) != 0 {
		t.Errorf("%q differ", got)
	}
	if diff := cmp.Diff([]string{"added", "list", "port"}, a.differences(read(`"username": "a", "password": "x", "list": [1, {"b": 3}], "added": null`))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
