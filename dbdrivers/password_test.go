package dbdrivers_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

const planted = "planted-pa55word"

// TestPasswordDoesNotPrint puts a password, alone and inside of what carries
// it, through every way that ends in a log or a document.
func TestPasswordDoesNotPrint(t *testing.T) {
	password := dbdrivers.NewPassword(planted)
	login := dbdrivers.Login{Host: "db", Username: "app", Password: password}
	values := map[string]any{
		"a password":         password,
		"a pointer to it":    &password,
		"a login":            login,
		"a pointer to it ":   &login,
		"a request":          dbdrivers.SetPasswordRequest{As: login, Password: password},
		"another request":    dbdrivers.VerifyRequest{Login: login},
		"a slice":            []dbdrivers.Password{password},
		"a map":              map[string]dbdrivers.Password{"password": password},
		"a map by passwords": map[dbdrivers.Password]int{password: 1},
		"an any":             []any{password},
		// fmt calls no method on what an unexported field holds.
		"an unexported field": struct{ password dbdrivers.Password }{password},
		"a login in unexported fields": &struct {
			inner struct{ login dbdrivers.Login }
		}{struct{ login dbdrivers.Login }{login}},
	}
	for name, value := range values {
		for _, verb := range "vsqxXdobcUeEfFgGpTtw" {
			for _, flags := range []string{"", "+", "#", "-40", "040", ".3", " "} {
				format := "%" + flags + string(verb)
				unprinted(t, name+" by "+format, fmt.Sprintf(format, value))
			}
		}
		unprinted(t, name+" by Sprint", fmt.Sprint(value))
		unprinted(t, name+" in an error", fmt.Errorf("signing in: %v", value).Error())

		var text, document bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("signing in", "value", value, slog.Group("group", "inner", value))
		slog.New(slog.NewJSONHandler(&document, nil)).Info("signing in", "value", value, slog.Group("group", "inner", value))
		unprinted(t, name+" by slog's text", text.String())
		unprinted(t, name+" by slog's JSON", document.String())

		if encoded, err := json.Marshal(value); err == nil {
			unprinted(t, name+" by JSON", string(encoded))
		}
		if encoded, err := xml.Marshal(value); err == nil {
			unprinted(t, name+" by XML", string(encoded))
		}
	}
}

// unprinted fails if text shows the password, in clear or in hexadecimal, or
// enough of it to be one's start.
func unprinted(t *testing.T, how, text string) {
	t.Helper()
	for _, shown := range []string{planted, planted[:8], fmt.Sprintf("%x", planted), fmt.Sprintf("%X", planted), fmt.Sprintf("%d", []byte(planted))} {
		if strings.Contains(text, shown) {
			t.Errorf("%s: the password shows in %q", how, text)
		}
	}
}

func TestPasswordKeepsItsText(t *testing.T) {
	password := dbdrivers.NewPassword(planted)
	if got := password.Reveal(); got != planted {
		t.Errorf("revealed %q; want %q", got, planted)
	}
	if password.IsEmpty() || !dbdrivers.NewPassword("").IsEmpty() || !(dbdrivers.Password{}).IsEmpty() {
		t.Error("IsEmpty does not tell an empty password from another")
	}
	if !password.Equal(dbdrivers.NewPassword(planted)) || password.Equal(dbdrivers.NewPassword(planted+" ")) {
		t.Error("Equal does not tell equal passwords from others")
	}
}

// TestPasswordIsNotReadFromDocuments: what a document shows is a placeholder,
// and must not come back as a password.
func TestPasswordIsNotReadFromDocuments(t *testing.T) {
	encoded, err := json.Marshal(dbdrivers.NewPassword(planted))
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Password dbdrivers.Password }
	err = json.Unmarshal([]byte(`{"Password":`+string(encoded)+`}`), &document)
	if err == nil && !document.Password.IsEmpty() {
		t.Errorf("a placeholder was read as the password %q", document.Password.Reveal())
	}
}

// clientError stands for an error of a client library.
type clientError struct{ code int }

func (e *clientError) Error() string { return fmt.Sprintf("code %d", e.code) }

func TestClassify(t *testing.T) {
	cause := &clientError{code: 7}
	err := fmt.Errorf("testing the secret: %w", dbdrivers.Classify(dbdrivers.ErrBusy, "signing in to db:5432", cause))
	if got := dbdrivers.ClassOf(err); !errors.Is(got, dbdrivers.ErrBusy) {
		t.Errorf("class %v; want busy", got)
	}
	var reached *clientError
	if !errors.As(err, &reached) || reached != cause {
		t.Error("errors.As does not reach the client library's error")
	}
	if want := "testing the secret: signing in to db:5432: the server is busy: code 7"; err.Error() != want {
		t.Errorf("told as %q; want %q", err, want)
	}
	if want := "signing in: the server is busy"; dbdrivers.Classify(dbdrivers.ErrBusy, "signing in", nil).Error() != want {
		t.Errorf("without a cause it is not told as %q", want)
	}
}

func TestClassOf(t *testing.T) {
	classes := []error{
		dbdrivers.ErrRefused, dbdrivers.ErrBarred, dbdrivers.ErrUnreachable, dbdrivers.ErrTLS, dbdrivers.ErrNotWritable,
		dbdrivers.ErrBusy, dbdrivers.ErrPrivilege, dbdrivers.ErrPasswordRules, dbdrivers.ErrUnsupported,
	}
	for _, class := range classes {
		if got := dbdrivers.ClassOf(dbdrivers.Classify(class, "doing", errors.New("cause"))); !errors.Is(got, class) {
			t.Errorf("class %v; want %v", got, class)
		}
	}
	for _, err := range []error{nil, errors.New("of nobody")} {
		if got := dbdrivers.ClassOf(err); got != nil {
			t.Errorf("the class of %v is %v; want none", err, got)
		}
	}
}

func TestAddress(t *testing.T) {
	tests := map[string]dbdrivers.Login{
		"db.example:5432":      {Host: "db.example", Port: 5432},
		"10.0.0.1:3306":        {Host: "10.0.0.1", Port: 3306},
		"[2001:db8::1]:5432":   {Host: "2001:db8::1", Port: 5432},
		"[fe80::1%eth0]:27017": {Host: "fe80::1%eth0", Port: 27017},
	}
	for want, login := range tests {
		if got := login.Address(); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

func TestBySelf(t *testing.T) {
	request := dbdrivers.SetPasswordRequest{As: dbdrivers.Login{Username: "app"}, Account: "app"}
	if !request.BySelf() {
		t.Error("an account that changes its own password is not told so")
	}
	request.As.Username = "App"
	if request.BySelf() {
		t.Error("names that differ in case are taken for one")
	}
}
