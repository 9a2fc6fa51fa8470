package mariadb

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOwnMethods(t *testing.T) {
	t.Parallel()
	const account = "`a``b`@`%`"
	for name, c := range map[string]struct {
		rest string
		want methods
	}{
		"no password":              {"", methods{{pluginNative, ""}}},
		"no password, and more":    {" REQUIRE SSL", methods{{pluginNative, ""}}},
		"one password":             {" IDENTIFIED BY PASSWORD '*AB'", methods{{pluginNative, "*AB"}}},
		"a key":                    {" IDENTIFIED VIA ed25519 USING 'k/+'", methods{{pluginEd25519, "k/+"}}},
		"three ways":               {" IDENTIFIED VIA ed25519 USING 'k' OR mysql_native_password USING '*AB' OR unix_socket", methods{{pluginEd25519, "k"}, {pluginNative, "*AB"}, {pluginSocket, ""}}},
		"a socket with a name":     {" IDENTIFIED VIA unix_socket USING 'bob' OR mysql_native_password USING '*AB'", methods{{pluginSocket, "bob"}, {pluginNative, "*AB"}}},
		"quotes in a string":       {` IDENTIFIED VIA unix_socket USING 'o'b\' OR ed25519 USING 'k'`, nil},
		"limits after it":          {" IDENTIFIED BY PASSWORD '*AB' WITH MAX_QUERIES_PER_HOUR 5", methods{{pluginNative, "*AB"}}},
		"a lock after it":          {" IDENTIFIED VIA unix_socket ACCOUNT LOCK", methods{{pluginSocket, ""}}},
		"an expiry after it":       {" IDENTIFIED BY PASSWORD '*AB' PASSWORD EXPIRE INTERVAL 9 DAY", methods{{pluginNative, "*AB"}}},
		"something unknown":        {" IDENTIFIED BY PASSWORD '*AB' AND ed25519 USING 'k'", nil},
		"another way to say it":    {" IDENTIFIED WITH ed25519 AS 'k'", nil},
		"a string without its end": {" IDENTIFIED BY PASSWORD '*AB", nil},
		"no string":                {" IDENTIFIED VIA ed25519 USING *AB", nil},
		"a quoted plugin":          {" IDENTIFIED VIA `p q`", nil},
		"nothing after OR":         {" IDENTIFIED VIA ed25519 USING 'k' OR ", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ownMethods("CREATE USER "+account+c.rest, account)
			if errors.Is(err, errNotUnderstood) != (c.want == nil) {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(method{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got, err := ownMethods("CREATE USER `other`@`%` IDENTIFIED BY PASSWORD '*AB'", account); !errors.Is(err, errNotUnderstood) {
		t.Errorf("of another account: %v, %v; want an error", got, err)
	}
}
