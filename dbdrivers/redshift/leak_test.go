package redshift_test

import (
	"crypto/md5" //nolint:gosec // the server's form, not a choice
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
	"github.com/dbrotation/dbrotation/dbdrivers/drivertest"
	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestServerNeverSeesAPassword reads what the server has logged of each way to
// change a password. What it keeps of it, the md5 of password and name, stands
// in the statement and so wherever the server shows statements; nothing else
// does.
func TestServerNeverSeesAPassword(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	p := s.pair(t, "shown")
	secret := func(of string) string { return "Planted-" + of + "-%&1" }
	own, byAdmin, opened, late := secret("own"), secret("admin"), secret("opened"), secret("late")
	login := p.Login(p.canonical, siblingPassword)
	if err := setOwn(t, login, own); err != nil {
		t.Fatal(err)
	}
	if err := set(t, dbdrivers.SetPasswordRequest{As: s.Admin, Account: p.canonical, Password: dbdrivers.NewPassword(byAdmin)}); err != nil {
		t.Fatal(err)
	}
	req := p.request()
	req.Password = dbdrivers.NewPassword(opened)
	if _, err := openTwin(t, req); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, withPassword(login, late)); err == nil {
		t.Error("a wrong password opens")
	}
	log := strings.ToLower(s.log(t))
	if !strings.Contains(log, p.name) {
		t.Fatal("the log does not tell of the account; it proves nothing")
	}
	for _, password := range []string{own, byAdmin, opened, late} {
		for form, text := range map[string]string{
			"plain": password, "URL-encoded": url.QueryEscape(password), "as a path": url.PathEscape(password),
			"base64": base64.RawStdEncoding.EncodeToString([]byte(password)), "hex": hex.EncodeToString([]byte(password)),
		} {
			if strings.Contains(log, strings.ToLower(text)) {
				t.Errorf("the log shows a password, %s", form)
			}
		}
	}
}

// TestErrorsShowNoHash makes the server refuse the statement that has it.
func TestErrorsShowNoHash(t *testing.T) {
	t.Parallel()
	s := start(t, dbservers.RedshiftOptions{Plaintext: true})
	stranger := s.create(t, "hash_stranger", oldPassword)
	s.create(t, "hash_owner", oldPassword)
	err := set(t, dbdrivers.SetPasswordRequest{As: stranger, Account: "hash_owner", Password: dbdrivers.NewPassword(newPassword)})
	sum := md5.Sum([]byte(newPassword + "hash_owner")) //nolint:gosec // the server's form, not a choice
	check(t, err, dbdrivers.ErrPrivilege, "", newPassword, oldPassword, hex.EncodeToString(sum[:]))
	drivertest.WantSafe(t, err, hex.EncodeToString(sum[:]))
}
