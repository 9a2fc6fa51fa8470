package localaws_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/dbrotation/dbrotation/integration/localaws"
)

// TestRefusals checks codes and messages. The messages are AWS's own where they
// are given in full.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := start(t)
	id := w.create("app", "1")
	w.must(w.put(id, "second", "2"))
	w.must(w.put(id, "third", "3", "AWSPENDING"))
	w.create("deleted", "1")
	_, err := w.sm.DeleteSecret(w.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("deleted")})
	w.must(err)
	create := func(in secretsmanager.CreateSecretInput) error {
		_, err := w.sm.CreateSecret(w.Context(), &in)
		return err
	}
	put := func(in secretsmanager.PutSecretValueInput) error {
		_, err := w.sm.PutSecretValue(w.Context(), &in)
		return err
	}
	update := func(in secretsmanager.UpdateSecretInput) error {
		_, err := w.sm.UpdateSecret(w.Context(), &in)
		return err
	}
	remove := func(in secretsmanager.DeleteSecretInput) error {
		_, err := w.sm.DeleteSecret(w.Context(), &in)
		return err
	}
	get := func(id, version, label string) error {
		_, err := w.get(id, version, label)
		return err
	}
	tagged := func(tags ...types.Tag) error {
		_, err := w.sm.TagResource(w.Context(), &secretsmanager.TagResourceInput{SecretId: &id, Tags: tags})
		return err
	}
	random := func(in secretsmanager.GetRandomPasswordInput) error {
		_, err := w.sm.GetRandomPassword(w.Context(), &in)
		return err
	}
	const badName = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
	const isDeleted = "You can't perform this operation on the secret because it was marked for deletion."
	for _, c := range []struct {
		story         string
		err           error
		code, message string
	}{
		{"create: the token has another value", create(secretsmanager.CreateSecretInput{Name: aws.String("app"), SecretString: aws.String("other"), ClientRequestToken: aws.String(token("first"))}),
			"ResourceExistsException", "You can't use ClientRequestToken " + token("first") + " because that value is already in use for a version of secret " + id + "."},
		{"create: the name is taken", create(secretsmanager.CreateSecretInput{Name: aws.String("app"), SecretString: aws.String("1")}),
			"ResourceExistsException", "The operation failed because the secret app already exists."},
		{"create: the name waits for deletion", create(secretsmanager.CreateSecretInput{Name: aws.String("deleted"), SecretString: aws.String("1")}),
			"InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion."},
		{"create: a bad name", create(secretsmanager.CreateSecretInput{Name: aws.String("a b")}), "ValidationException", badName},
		{"create: a name of 513 characters", create(secretsmanager.CreateSecretInput{Name: aws.String(strings.Repeat("a", 513))}), "ValidationException", "less than or equal to 512"},
		{"create: a description of 2,049 characters", create(secretsmanager.CreateSecretInput{Name: aws.String("x"), Description: aws.String(strings.Repeat("é", 2049))}), "ValidationException", "less than or equal to 2048"},
		{"create: 65,537 bytes", create(secretsmanager.CreateSecretInput{Name: aws.String("x"), SecretString: aws.String(strings.Repeat("é", 32768) + "x")}), "ValidationException", "less than or equal to 65536"},
		{"create: both values", create(secretsmanager.CreateSecretInput{Name: aws.String("x"), SecretString: aws.String("1"), SecretBinary: []byte("1")}), "InvalidParameterException", "You can't specify both a binary secret value and a string secret value in the same secret."},
		{"create: a customer's key", create(secretsmanager.CreateSecretInput{Name: aws.String("x"), KmsKeyId: aws.String("alias/mine")}), "InvalidParameterException", "leave out KmsKeyId"},
		{"create: a replica", create(secretsmanager.CreateSecretInput{Name: aws.String("x"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("us-east-1")}}}), "InvalidParameterException", "leave out AddReplicaRegions"},
		{"create: a token of 31 characters", create(secretsmanager.CreateSecretInput{Name: aws.String("x"), ClientRequestToken: aws.String(strings.Repeat("t", 31))}), "ValidationException", "greater than or equal to 32"},

		{"put: the token has another value", put(secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("other"), ClientRequestToken: aws.String(token("second"))}),
			"ResourceExistsException", "You can't use ClientRequestToken " + token("second") + " because that value is already in use for a version of secret " + id + "."},
		{"put: the same bytes, but binary", put(secretsmanager.PutSecretValueInput{SecretId: &id, SecretBinary: []byte("2"), ClientRequestToken: aws.String(token("second"))}), "ResourceExistsException", "already in use"},
		{"put: no value", put(secretsmanager.PutSecretValueInput{SecretId: &id}), "InvalidRequestException", "You must provide either SecretString or SecretBinary."},
		{"put: both values", put(secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("1"), SecretBinary: []byte("1")}), "InvalidParameterException", "You can't specify both a binary secret value and a string secret value in the same secret."},
		{"put: 21 labels", put(secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("1"), VersionStages: numbered(21)}), "ValidationException", "less than or equal to 20"},
		{"put: a label of 257 characters", put(secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("1"), VersionStages: []string{strings.Repeat("l", 257)}}), "ValidationException", "less than or equal to 256"},
		{"put: a short RotationToken", put(secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("1"), RotationToken: aws.String("short")}), "ValidationException", "rotationToken"},
		{"put: a RotationToken of other characters", put(secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: aws.String("1"), RotationToken: aws.String(strings.Repeat("_", 36))}), "ValidationException", "rotationToken"},
		{"put: no such secret", w.put("none", "x", "1"), "ResourceNotFoundException", "Secrets Manager can't find the specified secret."},
		{"put: marked for deletion", w.put("deleted", "x", "1"), "InvalidRequestException", isDeleted},
		{"update: the token has another value", update(secretsmanager.UpdateSecretInput{SecretId: &id, SecretString: aws.String("other"), ClientRequestToken: aws.String(token("second"))}), "ResourceExistsException", "already in use"},
		{"update: marked for deletion", update(secretsmanager.UpdateSecretInput{SecretId: aws.String("deleted"), Description: aws.String("d")}), "InvalidRequestException", isDeleted},

		{"get: no such secret", get("none", "", ""), "ResourceNotFoundException", "Secrets Manager can't find the specified secret."},
		{"get: a bad name", get("a b", "", ""), "ValidationException", badName},
		{"get: no such label", get(id, "", "blue"), "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: blue"},
		{"get: no such version", get(id, "none", ""), "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + token("none")},
		{"get: the label is on another version", get(id, "first", "AWSCURRENT"), "InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId."},
		{"get: marked for deletion", get("deleted", "", ""), "InvalidRequestException", isDeleted},
		{"get: another account", get(strings.Replace(id, localaws.Account, "111111111111", 1), "", ""), "ResourceNotFoundException", ""},
		{"get: another Region", get(strings.Replace(id, region, "us-east-1", 1), "", ""), "ResourceNotFoundException", ""},
		{"get: another suffix", get(id[:len(id)-6]+"AAAAAA", "", ""), "ResourceNotFoundException", ""},

		{"move: AWSCURRENT without its holder", w.move(id, "AWSCURRENT", "", "third"), "InvalidParameterException",
			"The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version " + token("second") + ", so you must explicitly reference that version in RemoveFromVersionId."},
		{"move: from a version that does not hold it", w.move(id, "AWSPENDING", "first", "second"), "InvalidParameterException", "attached to version " + token("third")},
		{"move: AWSCURRENT to nowhere", w.move(id, "AWSCURRENT", "second", ""), "InvalidParameterException",
			"You can only move staging label AWSCURRENT to a different secret version. It can’t be completely removed."},
		{"move: to no version", w.move(id, "blue", "", "none"), "ResourceNotFoundException", ""},
		{"move: neither from nor to", w.move(id, "blue", "", ""), "InvalidParameterException", ""},
		{"move: marked for deletion", w.move("deleted", "blue", "", "first"), "InvalidRequestException", isDeleted},

		{"delete: a window of 6 days", remove(secretsmanager.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: aws.Int64(6)}), "InvalidParameterException", "between 7 and 30"},
		{"delete: a window of 31 days", remove(secretsmanager.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: aws.Int64(31)}), "InvalidParameterException", "between 7 and 30"},
		{"delete: a window, and by force", remove(secretsmanager.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: aws.Int64(7), ForceDeleteWithoutRecovery: aws.Bool(true)}), "InvalidParameterException", ""},
		{"delete: twice", remove(secretsmanager.DeleteSecretInput{SecretId: aws.String("deleted")}), "InvalidRequestException", isDeleted},
		{"delete: no such secret", remove(secretsmanager.DeleteSecretInput{SecretId: aws.String("none")}), "ResourceNotFoundException", ""},

		{"tag: a key of 129 characters", tagged(types.Tag{Key: aws.String(strings.Repeat("k", 129)), Value: aws.String("")}), "ValidationException", "less than or equal to 128"},
		{"tag: AWS's own prefix", tagged(types.Tag{Key: aws.String("aws:x"), Value: aws.String("")}), "ValidationException", "aws:"},
		{"tag: 51 of them", tagged(tags(51)...), "InvalidParameterException", "at most 50"},

		{"password: too short for the types", random(secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(3)}), "InvalidParameterException", "Password length is too short based on the required types."},
		{"password: 4,097 characters", random(secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(4097)}), "ValidationException", "passwordLength"},
		{"password: nothing left", random(secretsmanager.GetRandomPasswordInput{ExcludeLowercase: aws.Bool(true), ExcludeUppercase: aws.Bool(true), ExcludeNumbers: aws.Bool(true), ExcludePunctuation: aws.Bool(true)}), "InvalidParameterException", ""},
	} {
		t.Run(c.story, func(t *testing.T) {
			(&world{T: t}).wantError(c.err, c.code, c.message)
		})
	}
	w.wantLabels(id, map[string][]string{"first": {"AWSPREVIOUS"}, "second": {"AWSCURRENT"}, "third": {"AWSPENDING"}})
}

func numbered(n int) []string {
	var labels []string
	for i := range n {
		labels = append(labels, fmt.Sprint("l", i))
	}
	return labels
}

func tags(n int) []types.Tag {
	var all []types.Tag
	for i := range n {
		all = append(all, types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("v")})
	}
	return all
}

// TestMissingTokens sends what the SDK would not: it fills the token in.
func TestMissingTokens(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.create("app", "1")
	for operation, code := range map[string]string{
		"CreateSecret": "InvalidRequestException", "PutSecretValue": "InvalidRequestException",
		"UpdateSecret": "InvalidRequestException", "RotateSecret": "InvalidParameterException",
	} {
		status, got, message := w.send(signed(operation, `{"Name":"x","SecretId":"app","SecretString":"2"}`))
		if status != http.StatusBadRequest || got != code || message != "You must provide a ClientRequestToken value. We recommend a UUID-type value." {
			t.Errorf("%s: %d %s %q", operation, status, got, message)
		}
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		story, operation, body, code string
	}{
		{"no such operation", "MakeCoffee", `{}`, "UnknownOperationException"},
		{"no JSON", "GetSecretValue", `{"SecretId":`, "SerializationException"},
		{"a number for a name", "GetSecretValue", `{"SecretId":7}`, "SerializationException"},
		{"no SecretId", "GetSecretValue", `{}`, "ValidationException"},
	} {
		status, code, _ := w.send(signed(c.operation, c.body))
		if status != http.StatusBadRequest || code != c.code {
			t.Errorf("%s: %d %s, want %s", c.story, status, code, c.code)
		}
	}
}
