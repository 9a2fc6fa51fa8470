package integration_test

import (
	"crypto/rand"
	"testing"

	"github.com/dbrotation/dbrotation/integration/dbservers"
)

// TestAnAccountOfATwinsNameIsNotMadeItsNamesakesEqual: somebody owns NAME_clone,
// and writes a secret that claims NAME with a guess. AWSPREVIOUS opens, and is
// the attacker's own.
func TestAnAccountOfATwinsNameIsNotMadeItsNamesakesEqual(t *testing.T) {
	t.Parallel()
	server := sharedPostgres(t, dbservers.PostgresOptions{Version: "18", Plaintext: true})
	s := newStage(t, stageOptions{server: server, env: map[string]string{"CREATE_TWINS": "true", "ADOPT": "reassign"}})
	victim, password := s.account()
	own := "planted-" + rand.Text()
	s.planted.add(own)
	if err := server.CreateUser(t.Context(), victim+"_clone", own); err != nil {
		t.Fatal(err)
	}
	document := s.document(victim+"_clone", own)
	s.byStrategy("alternating", document)
	arn := s.secret(document)
	s.edit(arn, func(document map[string]any) { document["username"], document["password"] = victim, "planted-guess" })
	before := s.roleDump(victim + "_clone")

	s.failsAs(arn, "forbidden", "nothing proves", victim+"_clone")
	if s.roleDump(victim+"_clone") != before {
		t.Error("the attacker's account changed")
	}
	if !s.accepts(victim, password) || !s.accepts(victim+"_clone", own) {
		t.Error("a password changed")
	}
}
