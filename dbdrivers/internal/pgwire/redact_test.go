package pgwire

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestScrubLeavesNoSecret puts secrets, one of which begins with the other,
// into every text of an error that is free.
func TestScrubLeavesNoSecret(t *testing.T) {
	secrets := []string{"old", "", "older-password"}
	fixed := map[string]bool{"Severity": true, "SeverityUnlocalized": true, "Code": true, "File": true, "Routine": true}
	var planted pgconn.PgError
	fields := reflect.ValueOf(&planted).Elem()
	for i := range fields.NumField() {
		if field := fields.Field(i); field.Kind() == reflect.String && !fixed[fields.Type().Field(i).Name] {
			field.SetString("says old and older-password")
		}
	}
	shown := fmt.Sprintf("%#v", scrub(&planted, secrets))
	for _, secret := range []string{"old", "er-password"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%q is left in %s", secret, shown)
		}
	}
	if !strings.Contains(fmt.Sprintf("%#v", planted), "older-password") {
		t.Error("the server's own error was changed")
	}
}
