package redshift_test

import (
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/integration/dbservers"
	"github.com/dbrotation/dbrotation/integration/dbservers/redshiftgate"
)

const (
	oldPassword = "Old-pw-1"
	newPassword = "New-pw-1"
)

// TestSetPassword is what a change of a password can meet.
func TestSetPassword(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		arrange []string // with %app as the account
		// admin is the login that makes the change: the server's, another
		// account, or the account itself where it is empty.
		admin   string
		request func(*dbdrivers.SetPasswordRequest)
		masked  bool
		want    error
		says    string
		notes   string
		stays   bool // nothing was changed
		shut    bool // neither password opens
	}{
		{name: "by itself"},
		{name: "by itself, with a statement_timeout of its own", arrange: []string{"ALTER USER %app SET statement_timeout TO 50"}},
		{name: "by an admin", admin: "admin"},
		{name: "by an admin who sees no hashes", admin: "admin", masked: true, notes: "sha256"},
		{name: "by another account", admin: "stranger", want: dbdrivers.ErrPrivilege, says: "no superuser", stays: true},
		{name: "kept as sha256, by itself", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + oldPassword + "'"}, want: dbdrivers.ErrUnsupported, says: `"hash": "md5"`, stays: true},
		{name: "kept as sha256, by an admin", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + oldPassword + "'"}, admin: "admin", want: dbdrivers.ErrUnsupported, says: `"hash": "md5"`, stays: true},
		{name: "kept as sha256, by itself, and md5 is accepted", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + oldPassword + "'"}, request: func(r *dbdrivers.SetPasswordRequest) { r.Hash = "md5" }},
		{name: "kept as sha256, by an admin, and md5 is accepted", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + oldPassword + "'"}, admin: "admin", request: func(r *dbdrivers.SetPasswordRequest) { r.Hash = "md5" }},
		{name: "sha256 is asked for", request: func(r *dbdrivers.SetPasswordRequest) { r.Hash = "sha256" }, want: dbdrivers.ErrUnsupported, says: `no hash "sha256"`, stays: true},
		{name: "the current one is kept as sha256 and is another", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + oldPassword + "'"}, admin: "admin", request: func(r *dbdrivers.SetPasswordRequest) {
			r.Hash, r.Current = "md5", dbdrivers.NewPassword("Other-pw-1")
		}, want: dbdrivers.ErrBusy, says: "somebody has changed it", stays: true},
		{name: "disabled, and nothing is proven", arrange: []string{"ALTER USER %app PASSWORD DISABLE"}, admin: "admin"},
		{name: "an identity provider's", arrange: []string{"ALTER USER %app PASSWORD DISABLE", "ALTER USER %app EXTERNALID 'someone'"}, admin: "admin", want: dbdrivers.ErrUnsupported, says: "identity provider", shut: true},
		{name: "disabled since it was proven", arrange: []string{"ALTER USER %app PASSWORD DISABLE"}, admin: "admin", request: func(r *dbdrivers.SetPasswordRequest) {
			r.Current = dbdrivers.NewPassword(oldPassword)
		}, want: dbdrivers.ErrUnsupported, says: "PASSWORD DISABLE", shut: true},
		{name: "a superuser's", arrange: []string{"ALTER USER %app CREATEUSER"}, admin: "admin", want: dbdrivers.ErrUnsupported, says: "is a superuser", stays: true},
		{name: "against the rules", request: func(r *dbdrivers.SetPasswordRequest) { r.Password = dbdrivers.NewPassword("no-upper-1") }, want: dbdrivers.ErrPasswordRules, says: "upper-case", stays: true},
		{name: "of the service's own account", admin: "admin", request: func(r *dbdrivers.SetPasswordRequest) { r.Account = "rdsdb" }, want: dbdrivers.ErrUnsupported, says: "reserved", stays: true},
	}
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	blind := start(t, dbservers.RedshiftOptions{Plaintext: true, Cluster: redshiftgate.Cluster{HashesMasked: true}})
	stranger := s.create(t, "stranger", oldPassword)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := s
			if test.masked {
				s = blind
			}
			name := "Changing " + string(rune('A'+i))
			req := dbdrivers.SetPasswordRequest{As: s.create(t, name, oldPassword), Account: name, Password: dbdrivers.NewPassword(newPassword)}
			var noted []string
			req.Note = func(text string) { noted = append(noted, text) }
			for _, sql := range test.arrange {
				s.say(t, strings.ReplaceAll(sql, "%app", quoted(name)))
			}
			switch test.admin {
			case "admin":
				req.As = s.Admin
			case "stranger":
				req.As = stranger
			}
			if test.request != nil {
				test.request(&req)
			}
			check(t, set(t, req), test.want, test.says, oldPassword, newPassword)
			if text := strings.Join(noted, "; "); test.notes == "" != (text == "") || !strings.Contains(text, test.notes) {
				t.Errorf("it noted %q; want %q", text, test.notes)
			}
			if test.shut {
				if s.opens(t, name, oldPassword) || s.opens(t, name, newPassword) {
					t.Error("a password opens it")
				}
				return
			}
			opens, shut := newPassword, oldPassword
			if test.stays {
				opens, shut = shut, opens
			}
			login := s.Login(name, opens)
			if err := verify(t, login); err != nil {
				t.Errorf("the password that is to open: %v", err)
			}
			check(t, verify(t, withPassword(login, shut)), dbdrivers.ErrRefused, "does not exist", opens, shut)
			if !test.stays {
				if hash := s.kept(t, name); !strings.HasPrefix(hash, "md5") {
					t.Errorf("it is kept as %.3s...", hash)
				}
			}
		})
	}
}

// TestSignIn is what a sign-in can meet.
func TestSignIn(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	strict := start(t, dbservers.RedshiftOptions{})
	tests := []struct {
		name    string
		server  *server
		arrange []string
		login   func(*dbdrivers.Login)
		want    error
		says    string
	}{
		{name: "all is well"},
		{name: "without TLS, where it may", login: func(l *dbdrivers.Login) { l.TLS.Plaintext = true }},
		{name: "without TLS, where it may not", server: strict, login: func(l *dbdrivers.Login) { l.TLS.Plaintext = true }, want: dbdrivers.ErrTLS, says: `(require_ssl in the cluster's parameter group); remove "ssl": false`},
		{name: "a wrong password", login: func(l *dbdrivers.Login) { l.Password = dbdrivers.NewPassword(newPassword) }, want: dbdrivers.ErrRefused, says: "password authentication failed"},
		{name: "an account that does not exist", login: func(l *dbdrivers.Login) { l.Username = "nobody" }, want: dbdrivers.ErrRefused, says: "does not exist"},
		{name: "a password that was disabled", arrange: []string{"ALTER USER %app PASSWORD DISABLE"}, want: dbdrivers.ErrRefused, says: "disabled"},
		{name: "kept as sha256", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + oldPassword + "'"}},
		{name: "kept as sha256, without TLS", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + oldPassword + "'"}, login: func(l *dbdrivers.Login) { l.TLS.Plaintext = true }},
		{name: "kept as sha256, and a wrong password", arrange: []string{"ALTER USER %app PASSWORD 'sha256|" + oldPassword + "'"}, login: func(l *dbdrivers.Login) { l.Password = dbdrivers.NewPassword(newPassword) }, want: dbdrivers.ErrRefused, says: "password authentication failed"},
		{name: "no connection left", arrange: []string{"ALTER USER %app CONNECTION LIMIT 0"}, want: dbdrivers.ErrBarred, says: "CONNECTION LIMIT"},
		{name: "no such database", login: func(l *dbdrivers.Login) { l.Database = "no such database" }, want: dbdrivers.ErrBarred, says: `"dbname"`},
		{name: "a name that no account has", login: func(l *dbdrivers.Login) { l.Username = strings.Repeat("n", 128) }, want: dbdrivers.ErrUnsupported, says: "127 bytes"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := s
			if test.server != nil {
				s = test.server
			}
			name := "signing_in_" + string(rune('a'+i))
			login := s.create(t, name, oldPassword)
			for _, sql := range test.arrange {
				s.say(t, strings.ReplaceAll(sql, "%app", quoted(name)))
			}
			if test.login != nil {
				test.login(&login)
			}
			_, before := s.signIns(t, login.Username)
			check(t, verify(t, login), test.want, test.says, oldPassword, newPassword)
			if _, after := s.signIns(t, login.Username); after-before > 1 {
				t.Errorf("the server refused %d sign-ins of one call", after-before)
			}
		})
	}
}
