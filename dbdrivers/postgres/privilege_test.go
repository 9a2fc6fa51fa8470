package postgres

import (
	"strings"
	"testing"

	"github.com/dbrotation/dbrotation/dbdrivers"
)

// TestMissingNamesWhatIsMissing: the remedy must be one that the server at
// hand can be given, and that changes something.
func TestMissingNamesWhatIsMissing(t *testing.T) {
	tests := map[string]struct {
		facts     facts
		says, not string
	}{
		"17 without ADMIN OPTION":           {facts: facts{major: 17, actorCreateRole: true}, says: `GRANT "app" TO "admin" WITH ADMIN OPTION`},
		"15 without CREATEROLE":             {facts: facts{major: 15}, says: `ALTER ROLE "admin" CREATEROLE`},
		"15 with all that it asks for":      {facts: facts{major: 15, actorCreateRole: true}, says: "an extension or the provider", not: "run:"},
		"17 with all that it asks for":      {facts: facts{major: 17, actorCreateRole: true, adminOption: true}, says: "an extension or the provider", not: "run:"},
		"15 and an account for replication": {facts: facts{major: 15, actorCreateRole: true, accountReplication: true}, says: "only a superuser"},
		"RDS that restricts passwords":      {facts: facts{major: 17, restricted: true}, says: `GRANT rds_password TO "admin"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.facts.actor = "admin"
			c := &change{req: dbdrivers.SetPasswordRequest{As: dbdrivers.Login{Username: "admin"}, Account: "app"}}
			got := c.missing(test.facts)
			if !strings.Contains(got, test.says) {
				t.Errorf("%q does not say %q", got, test.says)
			}
			if test.not != "" && strings.Contains(got, test.not) {
				t.Errorf("%q says %q, which would change nothing", got, test.not)
			}
		})
	}
}
