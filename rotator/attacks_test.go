package rotator_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/rotator"
)

// An application's secret is less trusted than its admin's. The rows below are
// what somebody can try who may write the one and not read the other.

// tap is a driver that notes every login it is given, whatever becomes of it:
// a login to a host that no server has would be sent all the same.
type tap struct {
	*drivertest.Fake

	mu     sync.Mutex
	logins []dbdrivers.Login
}

var _ dbdrivers.TwinOpener = (*tap)(nil)

func (d *tap) note(login dbdrivers.Login) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.logins = append(d.logins, login)
}

func (d *tap) Verify(ctx context.Context, req dbdrivers.VerifyRequest) error {
	d.note(req.Login)
	return d.Fake.Verify(ctx, req)
}

func (d *tap) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	d.note(req.As)
	return d.Fake.SetPassword(ctx, req)
}

func (d *tap) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	d.note(req.Admin)
	return d.Fake.OpenTwin(ctx, req)
}

func (d *tap) VerifyTwin(ctx context.Context, req dbdrivers.VerifyTwinRequest) ([]string, error) {
	d.note(req.Login)
	return d.Fake.VerifyTwin(ctx, req)
}

// sent returns the logins that were begun.
func (d *tap) sent() []dbdrivers.Login {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.logins)
}

// tapped lets the world's function reach these servers beside its own, through
// a tap.
func (w *world) tapped(servers ...*drivertest.FakeServer) *tap {
	d := &tap{Fake: drivertest.NewFake(append(servers, w.db)...)}
	w.config.Drivers = map[string]dbdrivers.Driver{"fake": d}
	return d
}

// nothingWasSent fails the test if a login was begun, wherever.
func nothingWasSent(t *testing.T, d *tap) {
	t.Helper()
	for _, login := range d.sent() {
		t.Errorf("%q was signed in to %s", login.Username, login.Address())
	}
}

// nothingOfAdminsWasSent fails the test if an admin's name or password was
// sent, wherever.
func nothingOfAdminsWasSent(t *testing.T, d *tap) {
	t.Helper()
	for _, login := range d.sent() {
		if login.Username == "admin" || login.Password.Reveal() == adminPassword {
			t.Errorf("the admin was signed in to %s as %q", login.Address(), login.Username)
		}
	}
}

// strategies runs a story by each strategy that has an admin.
func strategies(t *testing.T, story func(t *testing.T, strategy rotator.Strategy)) {
	for _, strategy := range []rotator.Strategy{rotator.Single, rotator.Alternating} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			story(t, strategy)
		})
	}
}

// rotatedBy makes the application's secret one of the strategy, and gives the
// function all the leave that an operator would give it.
func (w *world) rotatedBy(strategy rotator.Strategy, admin, app []func(map[string]any)) {
	w.t.Helper()
	w.config.CreateTwins = true
	edits := []func(map[string]any){w.adminSecret(admin...), set("dbrotation", map[string]any{"strategy": string(strategy)})}
	w.secret(append(edits, app...)...)
}

// refuses rotates, retries included, and fails the test unless that ends in an
// error of the class that says every part, with AWSCURRENT as it was.
func (w *world) refuses(class rotator.Class, says ...string) {
	w.t.Helper()
	before := w.text("AWSCURRENT")
	cause := rotationCause(w.t, w.rotate())
	for _, part := range append(says, w.arn) {
		if !strings.Contains(cause, part) {
			w.t.Errorf("the cause does not say %q: %s", part, cause)
		}
	}
	if log := w.log.String(); !strings.Contains(log, `"class":"`+string(class)+`"`) {
		w.t.Errorf("the function's log has no error of class %s: %s", class, log)
	}
	w.nothingPlantedIn("the cause", cause)
	if w.text("AWSCURRENT") != before {
		w.t.Error("AWSCURRENT changed")
	}
}

func TestASecretAimsTheAdminsPasswordElsewhere(t *testing.T) {
	t.Parallel()
	const evil = "evil.example.com"
	for _, row := range []struct {
		name  string
		host  string // default: the admin's
		port  any    // default: the admin's
		hosts []string
		admin []func(map[string]any)
		class rotator.Class
		says  string
	}{
		{name: "an alias that nobody listed", host: "alias.example.com", class: rotator.ClassForbidden, says: "ADMIN_HOSTS"},
		{name: "an address", host: "203.0.113.9", class: rotator.ClassForbidden, says: "203.0.113.9"},
		{name: "an IPv6 address", host: "2001:db8::9", class: rotator.ClassForbidden, says: "2001:db8::9"},
		{name: "an IPv4 address in IPv6's writing", host: "::ffff:203.0.113.9", admin: []func(map[string]any){set("host", "203.0.113.9")}, class: rotator.ClassForbidden, says: "203.0.113.9"},
		{name: "a name that begins as the admin's host", host: host + ".evil.example.com", class: rotator.ClassForbidden, says: evil},
		{name: "a name that ends as the admin's host", host: "evil-" + host, class: rotator.ClassForbidden, says: "evil-"},
		{name: "a name below the admin's host", host: "evil." + host, class: rotator.ClassForbidden, says: "evil."},
		{name: "a name below a listed one", host: "evil.alias.example.com", hosts: []string{"alias.example.com"}, class: rotator.ClassForbidden, says: "evil.alias"},
		{name: "the admin's host without its domain", host: "db", class: rotator.ClassForbidden, says: `"db"`},
		{name: "the name of this machine", host: "localhost", class: rotator.ClassForbidden, says: "localhost"},

		{name: "an IPv6 address in brackets", host: "[2001:db8::9]", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "an IPv6 address with a zone", host: "fe80::9%" + host, class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a port in the host", host: "evil.example.com:5999", class: rotator.ClassInvalidSecret, says: `the port in "port"`},
		{name: "a URL", host: "fake://" + host + "@evil.example.com/", class: rotator.ClassInvalidSecret, says: "is a URL"},
		{name: "a user before the host", host: host + "@evil.example.com", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a user and a password before the host", host: "app:x@evil.example.com", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a list of hosts", host: host + ",evil.example.com", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a folder of sockets", host: "/var/run/evil", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "an abstract socket", host: "@evil", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "settings behind the host", host: host + "?host=evil.example.com", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "settings of a connection string", host: host + " hostaddr=203.0.113.9", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "two dots at the end", host: host + "..", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a blank behind the host", host: host + " ", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a zero byte", host: host + "\x00.evil.example.com", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a new line", host: host + "\nevil.example.com", class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a letter of another alphabet", host: strings.Replace(host, "a", "\u0430", 1), class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a dot of another script", host: strings.Replace(host, ".", "\u3002", 1), class: rotator.ClassInvalidSecret, says: `"host"`},
		{name: "a letter that is another one's small form", host: "d\u212a.example.com", admin: []func(map[string]any){set("host", "dk.example.com")}, class: rotator.ClassInvalidSecret, says: `"host"`},

		{name: "another port", port: 6000, class: rotator.ClassForbidden, says: "6000"},
		{name: "another port, as text", port: "6000", class: rotator.ClassForbidden, says: "6000"},
		{name: "the default port, where the admin has another", port: 5999, admin: []func(map[string]any){set("port", 6000)}, class: rotator.ClassForbidden, says: "5999"},
		{name: "another port of the host in other letters", host: "DB.EXAMPLE.COM.", port: 6000, class: rotator.ClassForbidden, says: "6000"},
		{name: "another port of a listed alias", host: "alias.example.com", port: 6000, hosts: []string{"alias.example.com"}, class: rotator.ClassForbidden, says: "6000"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			strategies(t, func(t *testing.T, strategy rotator.Strategy) {
				w := newWorld(t)
				w.config.AdminHosts = row.hosts
				var app []func(map[string]any)
				var there []*drivertest.FakeServer
				if row.host != "" {
					// Whoever waits there would let both in.
					there = append(there, w.elsewhere(row.host))
					app = append(app, set("host", row.host))
				}
				if row.port != nil {
					app = append(app, set("port", row.port))
				}
				d := w.tapped(there...)
				w.rotatedBy(strategy, row.admin, app)
				w.refuses(row.class, row.says)
				nothingWasSent(t, d)
				w.unchanged()
			})
		})
	}
}

// The application's secret says how its own account is signed in, and has no
// word in how the admin is.
func TestTheAdminsSecretDecidesHowTheAdminSignsIn(t *testing.T) {
	t.Parallel()
	strategies(t, func(t *testing.T, strategy rotator.Strategy) {
		w := newWorld(t)
		d := w.tapped()
		own := map[string]any{"strategy": string(strategy), "sslServerName": "evil.example.com"}
		w.rotatedBy(strategy, []func(map[string]any){set("dbname", "admins"), set("region", "home")}, []func(map[string]any){
			set("dbrotation", own), set("ssl", false), set("dbname", "evil"),
			set("region", "evil"), set("authSource", "evil"), set("sslmode", "disable"), set("hostaddr", "203.0.113.9"),
		})
		if err := w.rotate(); err != nil {
			t.Fatal(err)
		}
		w.signsIn("AWSCURRENT")
		asAdmin := 0
		for _, login := range d.sent() {
			if (login.Username == "admin") != (login.Password.Reveal() == adminPassword) {
				t.Errorf("%q was signed in with the admin's password, or the admin with another", login.Username)
			}
			if login.Username != "admin" {
				continue
			}
			asAdmin++
			if login.Host != host || login.Port != 5999 || login.Database != "admins" {
				t.Errorf("the admin was signed in to %s, database %q", login.Address(), login.Database)
			}
			if login.TLS.Plaintext || login.TLS.ServerName != "" {
				t.Errorf("the admin was signed in without TLS (%v), or under the server name %q", login.TLS.Plaintext, login.TLS.ServerName)
			}
			if want := map[string]string{"region": "home"}; !maps.Equal(login.Params, want) {
				t.Errorf("the admin was signed in with the parameters %v, want %v", login.Params, want)
			}
		}
		if asAdmin != 1 {
			t.Errorf("the admin was signed in %d times, want once", asAdmin)
		}
	})
}

// Each secret speaks for its own password: one that says nothing of TLS is never
// sent without it, whatever the other says.
func TestNoSecretTurnsTLSOffForAnother(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		admin, app []func(map[string]any)
		adminPlain bool
		provedBare bool // the account's proof goes without TLS
		testedBare bool
	}{
		{name: "neither turns it off"},
		{name: "the admin's turns it off", admin: []func(map[string]any){set("ssl", false)}, adminPlain: true},
		{name: "the application's turns it off", app: []func(map[string]any){set("ssl", false)}, testedBare: true},
		{name: "both turn it off", admin: []func(map[string]any){set("ssl", false)}, app: []func(map[string]any){set("ssl", false)}, adminPlain: true, provedBare: true, testedBare: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			strategies(t, func(t *testing.T, strategy rotator.Strategy) {
				w := newWorld(t)
				d := w.tapped()
				w.rotatedBy(strategy, row.admin, row.app)
				if err := w.rotate(); err != nil {
					t.Fatal(err)
				}
				var got []bool
				for _, login := range d.sent() {
					got = append(got, login.TLS.Plaintext)
				}
				if want := []bool{row.provedBare, row.adminPlain, row.testedBare}; !slices.Equal(got, want) {
					t.Errorf("without TLS went the account, the admin, pending: %v, want %v", got, want)
				}
			})
		})
	}
}

// Where the engine is sent the new password itself, an admin's secret does not send
// it without TLS on its own.
func TestNoAdminSendsAPasswordWithoutTLS(t *testing.T) {
	t.Parallel()
	bare := []func(map[string]any){set("ssl", false)}
	for _, row := range []struct {
		name       string
		admin, app []func(map[string]any)
		refused    bool
	}{
		{name: "neither turns TLS off"},
		{name: "the admin's turns it off", admin: bare, refused: true},
		{name: "the application's turns it off", app: bare},
		{name: "both turn it off", admin: bare, app: bare},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			strategies(t, func(t *testing.T, strategy rotator.Strategy) {
				w := newWorld(t)
				d := w.tapped()
				traits := d.Traits()
				traits.SendsPassword = true
				d.SetTraits(traits)
				w.rotatedBy(strategy, row.admin, row.app)
				if !row.refused {
					if err := w.rotate(); err != nil {
						t.Error(err)
					}
					return
				}
				w.refuses(rotator.ClassForbidden, "the admin's secret arn:", `"ssl"`)
				nothingWasSent(t, d)
			})
		})
	}
}

// homes is a driver that notes where the accounts of its requests live.
type homes struct {
	*drivertest.Fake

	mu   sync.Mutex
	told []home
}

type home struct{ account, database, authSource string }

func (d *homes) note(account, database string, params map[string]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, home{account, database, params["authSource"]})
}

func (d *homes) SetPassword(ctx context.Context, req dbdrivers.SetPasswordRequest) error {
	d.note(req.Account, req.Database, req.Params)
	return d.Fake.SetPassword(ctx, req)
}

func (d *homes) OpenTwin(ctx context.Context, req dbdrivers.OpenTwinRequest) (dbdrivers.TwinReport, error) {
	d.note(req.Twin, req.Database, req.Params)
	return d.Fake.OpenTwin(ctx, req)
}

// A name is not an account where accounts live in databases: the admin changes the
// one that was proven, and where that lives its own secret says, not the admin's.
func TestTheAccountIsTheOneThatWasProven(t *testing.T) {
	t.Parallel()
	places := func(dbname, authSource string) []func(map[string]any) {
		return []func(map[string]any){set("dbname", dbname), set("authSource", authSource)}
	}
	strategies(t, func(t *testing.T, strategy rotator.Strategy) {
		w := newWorld(t)
		d := &homes{Fake: w.driver}
		w.config.Drivers = map[string]dbdrivers.Driver{"fake": d}
		w.rotatedBy(strategy, places("admins", "admin"), places("shop", "people"))
		w.enable()
		w.enable()
		want := []home{{"app", "shop", "people"}, {"app", "shop", "people"}}
		if strategy == rotator.Alternating {
			want[0].account = "app_clone"
		}
		if !slices.Equal(d.told, want) {
			t.Errorf("the requests were for %v, want %v", d.told, want)
		}
	})
	t.Run("by itself", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		d := &homes{Fake: w.driver}
		w.config.Drivers = map[string]dbdrivers.Driver{"fake": d}
		w.secret(places("shop", "people")...)
		w.enable()
		if want := []home{{"app", "shop", "people"}}; !slices.Equal(d.told, want) {
			t.Errorf("the requests were for %v, want %v", d.told, want)
		}
	})
}

// Whoever writes the secret does not know the password of the account that it
// names: no admin may set it.
func TestASecretReachesForAnotherAccount(t *testing.T) {
	t.Parallel()
	const long = "app_of_somebody_else_whose_name_is_as_long_as_an_account_may_be"
	theirs := []string{"other", "root", "postgres", "rdsadmin", "rds_superuser", "pg_monitor", long}
	for _, row := range []struct {
		name     string
		username string
		class    rotator.Class
		says     string
	}{
		{name: "another application's", username: "other"},
		{name: "another application's, in other letters", username: "OTHER"},
		{name: "another application's, with a blank behind", username: "other "},
		{name: "another application's, with a blank before", username: " other"},
		{name: "another application's, with a character nobody sees", username: "oth\u200ber"},
		{name: "another application's, as a pattern", username: "oth%"},
		{name: "another application's, quoted", username: `"other"`},
		{name: "another admin", username: "root"},
		{name: "the server's superuser", username: "postgres"},
		{name: "the account of RDS", username: "rdsadmin"},
		{name: "a role of RDS", username: "rds_superuser"},
		{name: "a role of the server", username: "pg_monitor"},
		{name: "a name that the server would cut off", username: long + "_", class: rotator.ClassInvalidSecret, says: "64 bytes"},
		{name: "a zero byte behind the name", username: "other\x00", class: rotator.ClassInvalidSecret, says: "zero byte"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			strategies(t, func(t *testing.T, strategy rotator.Strategy) {
				w := newWorld(t)
				for _, name := range theirs {
					w.db.CreateAccount(name, strangePassword)
				}
				w.db.SetAdmin("root", strangePassword)
				d := w.tapped()
				w.rotatedBy(strategy, nil, []func(map[string]any){set("username", row.username)})
				switch {
				case row.class != "":
					w.refuses(row.class, row.says)
					nothingWasSent(t, d)
				case strategy == rotator.Alternating && len(row.username+"_clone") > 63:
					w.refuses(rotator.ClassInvalidSecret, `"username"`)
					nothingWasSent(t, d)
				default:
					w.refuses(rotator.ClassNothingOpens, "AWSCURRENT")
					nothingOfAdminsWasSent(t, d)
				}
				for _, name := range append(theirs, "admin") {
					if name != "admin" && !w.db.Opens(name, strangePassword) || name == "admin" && !w.db.Opens(name, adminPassword) {
						t.Errorf("the password of %q changed", name)
					}
				}
				if w.db.Exists(row.username) != slices.Contains(theirs, row.username) || w.db.Exists(row.username+"_clone") {
					t.Error("an account was created")
				}
			})
		})
	}
}

// The admin is never an account of a secret that names it as its admin, under
// no name and not by the operator's leave to reset passwords.
func TestASecretNamesTheAdminAsItsAccount(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		admin    string
		username string
		strategy rotator.Strategy
	}{
		{"itself", "admin", "admin", rotator.Single},
		{"itself, by turns", "admin", "admin", rotator.Alternating},
		{"as the twin of its account", "app_clone", "app", rotator.Alternating},
		{"as the account of which its own is the twin", "app", "app_clone", rotator.Alternating},
	} {
		for _, mayReset := range []bool{false, true} {
			name := row.name
			if mayReset {
				name += ", while the admin may reset"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.config.AdminMayReset = mayReset
				w.db.CreateAccount(row.username, firstPassword)
				w.db.SetAdmin(row.admin, adminPassword)
				d := w.tapped()
				w.rotatedBy(row.strategy, []func(map[string]any){set("username", row.admin)}, []func(map[string]any){set("username", row.username)})
				w.refuses(rotator.ClassForbidden, "the admin itself")
				nothingWasSent(t, d)
				if !w.db.Opens(row.admin, adminPassword) {
					t.Error("the admin's password changed")
				}
			})
		}
	}
}

func TestASecretNamesAnAdminThatIsNotIts(t *testing.T) {
	t.Parallel()
	const theirHost = "theirs.example.com"
	// Another team's admin, on another team's server.
	theirAdmin := []func(map[string]any){set("host", theirHost)}
	for _, row := range []struct {
		name  string
		admin []func(map[string]any)
		app   func(w *world) []func(map[string]any)
		class rotator.Class
		says  string
		asks  bool // the account is asked for at the server that both name
	}{
		{name: "another team's", admin: theirAdmin, class: rotator.ClassForbidden, says: theirHost},
		{name: "another team's, and its server", admin: theirAdmin, class: rotator.ClassNothingOpens, says: "AWSCURRENT", asks: true,
			app: func(*world) []func(map[string]any) { return []func(map[string]any){set("host", theirHost)} }},
		{name: "by its name alone", class: rotator.ClassInvalidSecret, says: `"masterarn"`,
			app: func(*world) []func(map[string]any) { return []func(map[string]any){set("masterarn", "admin")} }},
		{name: "in a Region that is a host", class: rotator.ClassInvalidSecret, says: `"masterarn"`,
			app: func(*world) []func(map[string]any) {
				return []func(map[string]any){set("masterarn", "arn:aws:secretsmanager:evil.example.com/x:000000000000:secret:admin-AbCdEf")}
			}},
		{name: "in another service", class: rotator.ClassInvalidSecret, says: `"masterarn"`,
			app: func(*world) []func(map[string]any) {
				return []func(map[string]any){set("masterarn", "arn:aws:ssm:eu-west-1:000000000000:parameter/admin")}
			}},
		{name: "one that does not exist", class: rotator.ClassSecretsManager, says: `"masterarn"`,
			app: func(*world) []func(map[string]any) {
				return []func(map[string]any){set("masterarn", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:nobody-AbCdEf")}
			}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			strategies(t, func(t *testing.T, strategy rotator.Strategy) {
				w := newWorld(t)
				theirs := drivertest.NewFakeServer(theirHost)
				theirs.CreateAccount("app", strangePassword)
				theirs.SetAdmin("admin", adminPassword)
				d := w.tapped(theirs)
				var app []func(map[string]any)
				if row.app != nil {
					app = row.app(w)
				}
				w.rotatedBy(strategy, row.admin, app)
				w.refuses(row.class, row.says)
				if row.asks {
					nothingOfAdminsWasSent(t, d)
				} else {
					nothingWasSent(t, d)
				}
				w.unchanged()
				if !theirs.Opens("app", strangePassword) || !theirs.Opens("admin", adminPassword) {
					t.Error("a password on the other team's server changed")
				}
			})
		})
	}

	// Secrets Manager takes an ARN without its six random characters too.
	t.Run("itself, by a shorter ARN", func(t *testing.T) {
		t.Parallel()
		strategies(t, func(t *testing.T, strategy rotator.Strategy) {
			w := newWorld(t)
			d := w.tapped()
			w.rotatedBy(strategy, nil, nil)
			document := w.document("AWSCURRENT")
			document["masterarn"] = w.arn[:len(w.arn)-len("-AbCdEf")]
			w.putCurrent(document)
			w.refuses(rotator.ClassForbidden, "the admin itself")
			nothingWasSent(t, d)
			w.unchanged()
		})
	})
}

// Whoever may write a version can put one under AWSPENDING. What would aim an
// admin elsewhere is refused before anything is sent.
func TestAPendingVersionAimsTheAdminElsewhere(t *testing.T) {
	t.Parallel()
	const evil = "evil.example.com"
	for _, row := range []struct {
		name string
		edit func(map[string]any)
		says string
	}{
		{"another host", set("host", evil), `"host"`},
		{"the same host in other letters", set("host", strings.ToUpper(host)), `"host"`},
		{"another port", set("port", 6000), `"port"`},
		{"no port", drop("port"), `"port"`},
		{"another engine", set("engine", "other"), `"engine"`},
		{"another database", set("dbname", "evil"), `"dbname"`},
		{"TLS turned off", set("ssl", false), `"ssl"`},
		{"another admin", set("masterarn", "arn:aws:secretsmanager:eu-west-1:000000000000:secret:evil-AbCdEf"), `"masterarn"`},
		{"no admin", drop("masterarn"), `"masterarn"`},
		{"another server name", set("dbrotation", map[string]any{"sslServerName": evil}), `"dbrotation"`},
		{"another strategy", set("dbrotation", map[string]any{"strategy": "dual-password"}), `"dbrotation"`},
		{"no settings", drop("dbrotation"), `"dbrotation"`},
		{"the admin's account", set("username", "admin"), `"username"`},
		{"another application's account", set("username", "other"), `"username"`},
		{"the account in other letters", set("username", "APP"), `"username"`},
		{"the account with a blank behind", set("username", "app "), `"username"`},
		{"the twin's twin", set("username", "app_clone_clone"), `"username"`},
		{"a key that a driver would read", set("hostaddr", "203.0.113.9"), `"hostaddr"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			strategies(t, func(t *testing.T, strategy rotator.Strategy) {
				w := newWorld(t)
				w.db.CreateAccount("other", strangePassword)
				d := w.tapped(w.elsewhere(evil))
				w.rotatedBy(strategy, nil, nil)
				pending := w.document("AWSCURRENT")
				pending["password"] = pendingPassword
				if strategy == rotator.Alternating {
					pending["username"] = "app_clone"
				}
				row.edit(pending)
				token := w.pend(encode(t, pending))
				wantClass(t, w.deliver(rotator.SetSecret, token), rotator.ClassMismatch, row.says)
				nothingWasSent(t, d)
				w.unchanged()
				w.unchangedAccounts()
			})
		})
	}
}

// AWSPENDING is taken from a rotation under way and put on a version that
// points elsewhere. The rotation's own steps then end, wherever it stands.
func TestThePendingVersionIsExchangedBetweenTwoSteps(t *testing.T) {
	t.Parallel()
	const evil = "evil.example.com"
	steps := []rotator.Step{rotator.SetSecret, rotator.TestSecret, rotator.FinishSecret}
	for done := range steps {
		t.Run("before "+string(steps[done]), func(t *testing.T) {
			t.Parallel()
			strategies(t, func(t *testing.T, strategy rotator.Strategy) {
				w := newWorld(t)
				there := w.elsewhere(evil)
				d := w.tapped(there)
				w.rotatedBy(strategy, nil, nil)
				pending := w.document("AWSCURRENT")
				pending["password"] = pendingPassword
				if strategy == rotator.Alternating {
					pending["username"] = "app_clone"
				}
				token := w.pend(encode(t, pending))
				for _, step := range steps[:done] {
					if err := w.deliver(step, token); err != nil {
						t.Fatal(err)
					}
				}
				pending["host"] = evil
				w.pend(encode(t, pending))
				current, before := w.text("AWSCURRENT"), len(d.sent())
				for _, step := range steps[done:] {
					wantClass(t, w.deliver(step, token), rotator.ClassLabel, token)
				}
				if len(d.sent()) != before {
					t.Error("a login was begun for a version that lost its label")
				}
				if ok, refused := there.SignIns(); ok+refused != 0 {
					t.Error("someone signed in where the exchanged version points")
				}
				if w.text("AWSCURRENT") != current {
					t.Error("AWSCURRENT changed")
				}
			})
		})
	}
}

// The name of the other half of a pair proves nothing, and neither does a
// previous version that anybody may have written.
func TestAForgedPreviousVersionProvesNoTwin(t *testing.T) {
	t.Parallel()
	const evil = "evil.example.com"
	for _, names := range []struct{ mine, theirs string }{
		{"app", "app_clone"}, {"app_clone", "app"}, {"app_clone_clone", "app_clone"},
	} {
		for _, row := range []struct {
			name string
			edit func(previous map[string]any)
		}{
			{"with a guess", set("password", previousPassword)},
			{"with the password of one's own account", set("password", firstPassword)},
			{"on a server that lets it in", func(previous map[string]any) { previous["host"], previous["password"] = evil, previousPassword }},
			{"on another port", func(previous map[string]any) { previous["port"], previous["password"] = 6000, strangePassword }},
			{"under a name that is only alike", func(previous map[string]any) {
				username, _ := previous["username"].(string)
				previous["username"], previous["password"] = strings.ToUpper(username), previousPassword
			}},
		} {
			t.Run(names.mine+" reaches for "+names.theirs+" "+row.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				there := w.elsewhere(evil)
				there.CreateAccount(names.theirs, previousPassword)
				d := w.tapped(there)
				w.db.CreateAccount(names.mine, firstPassword)
				w.db.CreateAccount(names.theirs, strangePassword)
				w.rotatedBy(rotator.Alternating, nil, []func(map[string]any){set("username", names.mine)})
				mine, previous := w.document("AWSCURRENT"), w.document("AWSCURRENT")
				previous["username"] = names.theirs
				row.edit(previous)
				w.putCurrent(previous)
				w.putCurrent(mine)

				w.refuses(rotator.ClassForbidden, names.theirs, "nothing proves")
				if !w.db.Opens(names.theirs, strangePassword) || !w.db.Opens(names.mine, firstPassword) {
					t.Error("a password changed")
				}
				for _, login := range d.sent() {
					if login.Host != host || login.Port != 5999 {
						t.Errorf("%q was signed in to %s", login.Username, login.Address())
					}
				}
			})
		}
	}
}

// Whoever owns an account that merely has a twin's name, and does not know its
// sibling's password, is not made that sibling's equal. AWSPREVIOUS opens it; but
// current is a guess.
func TestATwinsNameAndItsPasswordAreNoProofOfTheSibling(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name     string
		mayReset bool
	}{
		{"by itself", false},
		{"while the admin may reset", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.config.AdminMayReset, w.config.Adopt = row.mayReset, true
			w.db.CreateAccount("app", strangePassword)
			w.db.CreateAccount("app_clone", firstPassword)
			w.db.Grant("app", "read")
			w.rotatedBy(rotator.Alternating, nil, []func(map[string]any){set("username", "app_clone")})
			guess := w.document("AWSCURRENT")
			guess["username"], guess["password"] = "app", currentPassword
			w.putCurrent(guess)

			w.refuses(rotator.ClassForbidden, `"app_clone"`, "nothing proves", "AWSCURRENT")
			if w.db.Has("app_clone", "read") || w.db.TwinOf("app_clone") != "" {
				t.Error("the account was given what its namesake has")
			}
			if !w.db.Opens("app_clone", firstPassword) || !w.db.Opens("app", strangePassword) {
				t.Error("a password changed")
			}
		})
	}
}
