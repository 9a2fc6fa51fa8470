package awsstore_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/uuid"

	"github.com/dbrotation/dbrotation/integration/localaws"
	"github.com/dbrotation/dbrotation/rotator"
	"github.com/dbrotation/dbrotation/rotator/awsstore"
)

const home = "eu-west-1"

func start(t *testing.T) *localaws.Server {
	t.Helper()
	server, err := localaws.Start(localaws.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

func client(server *localaws.Server, region string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region: region, BaseEndpoint: aws.String(server.Endpoint()), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(localaws.AccessKey, localaws.SecretKey, ""),
	})
}

func create(t *testing.T, server *localaws.Server, region, value string) (arn, version string) {
	t.Helper()
	out, err := client(server, region).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("s"), SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
	return *out.ARN, *out.VersionId
}

func TestASecretIsAskedForInItsOwnRegion(t *testing.T) {
	t.Parallel()
	server := start(t)
	store := awsstore.New(client(server, home))
	for region, value := range map[string]string{home: "here", "us-east-2": "there"} {
		arn, id := create(t, server, region, value)
		version, err := store.Get(t.Context(), arn, rotator.VersionRef{Label: "AWSCURRENT"})
		if err != nil {
			t.Fatal(err)
		}
		if version.Value.Reveal() != value || version.ID != id {
			t.Errorf("the secret of %s reads as another", region)
		}
		description, err := store.Describe(t.Context(), arn)
		if err != nil {
			t.Fatal(err)
		}
		if len(description.Labels[id]) != 1 {
			t.Errorf("labels %v", description.Labels)
		}
	}
	for _, call := range server.Calls() {
		if !strings.Contains(call.SecretID, call.Region) && call.SecretID != "s" {
			t.Errorf("%s was asked of %s in %s", call.Operation, call.SecretID, call.Region)
		}
	}
}

func TestWhatSecretsManagersAnswersMean(t *testing.T) {
	t.Parallel()
	server := start(t)
	store := awsstore.New(client(server, home))
	arn, id := create(t, server, home, "one")
	binary, err := client(server, home).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("b"), SecretBinary: []byte("two")})
	if err != nil {
		t.Fatal(err)
	}

	if _, err := store.Get(t.Context(), arn, rotator.VersionRef{VersionID: uuid.NewString()}); !errors.Is(err, rotator.ErrNoSuchVersion) {
		t.Errorf("an unknown version: %v", err)
	}
	if _, err := store.Get(t.Context(), arn, rotator.VersionRef{Label: "AWSPREVIOUS"}); !errors.Is(err, rotator.ErrNoSuchVersion) {
		t.Errorf("an unused label: %v", err)
	}
	missing := strings.Replace(arn, ":s-", ":absent-", 1)
	if _, err := store.Get(t.Context(), missing, rotator.VersionRef{Label: "AWSCURRENT"}); err == nil || errors.Is(err, rotator.ErrNoSuchVersion) {
		t.Errorf("an unknown secret reads as a missing version: %v", err)
	}
	version, err := store.Get(t.Context(), *binary.ARN, rotator.VersionRef{Label: "AWSCURRENT"})
	if err != nil || !version.Binary || version.Value.Reveal() != "" {
		t.Errorf("a binary secret: %v, %v", version, err)
	}

	put := rotator.PutRequest{SecretID: arn, VersionID: uuid.NewString(), Value: rotator.NewValue("new")}
	for range 2 {
		if err := store.Put(t.Context(), put); err != nil {
			t.Errorf("storing, and storing the same again: %v", err)
		}
	}
	put.Value = rotator.NewValue("other")
	if err := store.Put(t.Context(), put); !errors.Is(err, rotator.ErrVersionExists) {
		t.Errorf("another value under the same version: %v", err)
	}
	if err := store.MoveLabel(t.Context(), rotator.MoveLabelRequest{SecretID: arn, Label: "AWSCURRENT", From: id, To: put.VersionID}); err != nil {
		t.Error(err)
	}
	err = store.MoveLabel(t.Context(), rotator.MoveLabelRequest{SecretID: arn, Label: "AWSCURRENT", From: id, To: put.VersionID})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "InvalidParameterException" {
		t.Errorf("moving a label that is elsewhere: %v", err)
	}
}

func TestADeniedCallNamesThePermission(t *testing.T) {
	t.Parallel()
	server := start(t)
	store := awsstore.New(client(server, home))
	arn, _ := create(t, server, home, "one")
	for action, call := range map[string]func() error{
		"secretsmanager:DescribeSecret": func() error { _, err := store.Describe(t.Context(), arn); return err },
		"secretsmanager:GetSecretValue": func() error {
			_, err := store.Get(t.Context(), arn, rotator.VersionRef{Label: "AWSCURRENT"})
			return err
		},
		"secretsmanager:PutSecretValue": func() error {
			return store.Put(t.Context(), rotator.PutRequest{SecretID: arn, VersionID: uuid.NewString(), Value: rotator.NewValue("x")})
		},
		"secretsmanager:UpdateSecretVersionStage": func() error {
			return store.MoveLabel(t.Context(), rotator.MoveLabelRequest{SecretID: arn, Label: "AWSPENDING", From: uuid.NewString()})
		},
	} {
		server.Inject(localaws.Fault{Kind: localaws.FailBefore, Code: "AccessDeniedException"})
		if err := call(); !errors.Is(err, rotator.ErrDenied) || !strings.Contains(err.Error(), action) {
			t.Errorf("%s: %v", action, err)
		}
	}
}

func TestNoAnswerIsSaidAsSuch(t *testing.T) {
	t.Parallel()
	server := start(t)
	store := awsstore.New(client(server, home))
	arn, _ := create(t, server, home, "one")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Describe(t.Context(), arn); !errors.Is(err, rotator.ErrNoAnswer) {
		t.Errorf("error %v", err)
	}
}

func TestAnEndpointOfOneRegionServesNoOther(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{
		"https://secretsmanager.eu-west-1.amazonaws.com",
		"https://secretsmanager.eu-west-1.api.aws",
		"https://vpce-0123.secretsmanager.eu-west-1.vpce.amazonaws.com",
	} {
		var asked string
		store := awsstore.New(secretsmanager.New(secretsmanager.Options{
			Region: home, BaseEndpoint: &endpoint, Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
			HTTPClient: sender(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.Host
				return nil, errors.New("not sent")
			}),
		}))
		if _, err := store.Describe(t.Context(), "arn:aws:secretsmanager:us-east-2:000000000000:secret:s-AbCdEf"); !errors.Is(err, rotator.ErrNoAnswer) {
			t.Errorf("error %v", err)
		}
		if asked != "secretsmanager.us-east-2.amazonaws.com" {
			t.Errorf("with %s, %s was asked for a secret of us-east-2", endpoint, asked)
		}
	}
}

// sender sees a request in place of the network.
type sender func(*http.Request) (*http.Response, error)

func (s sender) Do(r *http.Request) (*http.Response, error) { return s(r) }
