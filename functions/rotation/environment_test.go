package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dbrotation/dbrotation/rotator"
)

func variables(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestWhatTheEnvironmentDecides(t *testing.T) {
	for _, row := range []struct {
		name string
		env  []string
		want rotator.Config
	}{
		{"nothing is set", nil, rotator.Config{}},
		{"a template's empty parameters count as unset",
			[]string{"PASSWORD_LENGTH", "", "STRATEGY", "", "ADMIN_MAY_RESET", "", "ADMIN_HOSTS", "", "TWINS", "", "OWNER_ROLES", "", "ADOPT", "", "SSL_ROOTS", "", "WAIT_FOR_REPLICAS", "", "SECRETS_MANAGER_ENDPOINT", "", "EXCLUDE_NUMBERS", ""},
			rotator.Config{}},
		{"no characters excluded", []string{"EXCLUDE_CHARACTERS", ""}, rotator.Config{Password: rotator.PasswordPolicy{ExcludeCharacters: aws.String("")}}},
		{"excluded characters keep their spaces", []string{"EXCLUDE_CHARACTERS", " '\""}, rotator.Config{Password: rotator.PasswordPolicy{ExcludeCharacters: aws.String(" '\"")}}},
		{"the words AWS's functions take for true", []string{"EXCLUDE_NUMBERS", "yes", "EXCLUDE_PUNCTUATION", "1", "EXCLUDE_UPPERCASE", "Y", "EXCLUDE_LOWERCASE", "True", "REQUIRE_EACH_INCLUDED_TYPE", "false"},
			rotator.Config{Password: rotator.PasswordPolicy{ExcludeNumbers: aws.Bool(true), ExcludePunctuation: aws.Bool(true), ExcludeUppercase: aws.Bool(true), ExcludeLowercase: aws.Bool(true), RequireEachIncludedType: aws.Bool(false)}}},
		{"our own", []string{"PASSWORD_LENGTH", "40", "STRATEGY", "single", "ADMIN_MAY_RESET", "true", "CREATE_TWINS", "true", "ADMIN_HOSTS", "a.example.com, b.example.com,", "WAIT_FOR_REPLICAS", "1m30s"},
			rotator.Config{Password: rotator.PasswordPolicy{Length: aws.Int(40)}, Strategy: rotator.Single, CreateTwins: true, AdminMayReset: true, AdminHosts: []string{"a.example.com", "b.example.com"}, WaitForReplicas: 90 * time.Second}},
		{"pairs of accounts, and what they may do",
			[]string{"TWINS", "app_a:app_b, app:app_clone,", "OWNER_ROLES", "app_owner, other_owner", "ADOPT", "reassign"},
			rotator.Config{
				Twins:      []rotator.TwinPair{{Canonical: "app_a", Twin: "app_b"}, {Canonical: "app", Twin: "app_clone"}},
				OwnerRoles: []string{"app_owner", "other_owner"}, Adopt: true,
			}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := fromEnvironment(variables(row.env...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got.rotation, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryWrongVariableIsNamedAtOnce(t *testing.T) {
	wrong := []string{
		"SECRETS_MANAGER_ENDPOINT", "secretsmanager", "PASSWORD_LENGTH", "long", "EXCLUDE_NUMBERS", "maybe", "EXCLUDE_PUNCTUATION", "2",
		"STRATEGY", "both", "TWINS", "app_a:app_b,app_c", "ADOPT", "true", "ADMIN_MAY_RESET", "please", "CREATE_TWINS", "2", "SSL_ROOTS", filepath.Join(t.TempDir(), "absent.pem"), "WAIT_FOR_REPLICAS", "30",
	}
	_, err := fromEnvironment(variables(wrong...))
	if err == nil {
		t.Fatal("no error")
	}
	for i := 0; i < len(wrong); i += 2 {
		if !strings.Contains(err.Error(), wrong[i]) {
			t.Errorf("error does not name %s: %v", wrong[i], err)
		}
	}
}

func TestATwinThatIsNoPair(t *testing.T) {
	for _, twins := range []string{"app", "app:", ":app", "app:app", "a:b:c", "a:b,c", ":"} {
		if _, err := fromEnvironment(variables("TWINS", twins)); err == nil || !strings.Contains(err.Error(), "TWINS") {
			t.Errorf("%q: error %v", twins, err)
		}
	}
}

func TestRootsThatAreNoCertificates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fromEnvironment(variables("SSL_ROOTS", path)); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Errorf("error %v", err)
	}
}
