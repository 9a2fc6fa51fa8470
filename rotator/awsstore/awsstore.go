// Package awsstore is a rotator.SecretStore over the Secrets Manager client of
// the AWS SDK, and nothing else.
package awsstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/dbrotation/dbrotation/rotator"
)

// Store asks Secrets Manager in the Region of the secret that is asked for: a
// secret of another Region is named by its ARN. It is safe for concurrent use.
type Store struct {
	client *secretsmanager.Client
}

var _ rotator.SecretStore = (*Store)(nil)

// New returns a store over client, whose Region and endpoint serve every
// secret of the client's own Region.
func New(client *secretsmanager.Client) *Store {
	return &Store{client: client}
}

// region makes one request go to the Region of secretID's ARN. The client's
// own endpoint, where one is configured, is that of its own Region only.
func (s *Store) region(secretID string) func(*secretsmanager.Options) {
	return func(options *secretsmanager.Options) {
		if parsed, err := arn.Parse(secretID); err == nil && parsed.Region != "" && parsed.Region != options.Region {
			options.Region = parsed.Region
			options.BaseEndpoint = elsewhere(options.BaseEndpoint)
		}
	}
}

// elsewhere keeps an endpoint that serves every Region (one that names no AWS
// Region, as an emulator's) and drops one that belongs to a Region.
func elsewhere(endpoint *string) *string {
	if endpoint != nil && (strings.Contains(*endpoint, ".amazonaws.com") || strings.Contains(*endpoint, ".api.aws")) {
		return nil
	}
	return endpoint
}

// Describe calls DescribeSecret.
func (s *Store) Describe(ctx context.Context, secretID string) (rotator.Description, error) {
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secretID}, s.region(secretID))
	if err != nil {
		return rotator.Description{}, meaning("secretsmanager:DescribeSecret", err)
	}
	description := rotator.Description{
		RotationEnabled: aws.ToBool(out.RotationEnabled),
		NextRotation:    aws.ToTime(out.NextRotationDate),
		Labels:          out.VersionIdsToStages,
		OwningService:   aws.ToString(out.OwningService),
	}
	for _, tag := range out.Tags {
		if description.Tags == nil {
			description.Tags = map[string]string{}
		}
		description.Tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	for _, replica := range out.ReplicationStatus {
		description.Replicas = append(description.Replicas, rotator.Replica{
			Region: aws.ToString(replica.Region), Status: string(replica.Status), Message: aws.ToString(replica.StatusMessage),
		})
	}
	return description, nil
}

// Get calls GetSecretValue.
func (s *Store) Get(ctx context.Context, secretID string, version rotator.VersionRef) (rotator.Version, error) {
	input := &secretsmanager.GetSecretValueInput{SecretId: &secretID}
	if version.VersionID != "" {
		input.VersionId = &version.VersionID
	} else {
		input.VersionStage = &version.Label
	}
	out, err := s.client.GetSecretValue(ctx, input, s.region(secretID))
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) && strings.Contains(missing.ErrorMessage(), "specified secret value") {
		return rotator.Version{}, fmt.Errorf("%w: %w", rotator.ErrNoSuchVersion, err)
	}
	if err != nil {
		return rotator.Version{}, meaning("secretsmanager:GetSecretValue", err)
	}
	return rotator.Version{
		ID:     aws.ToString(out.VersionId),
		Labels: out.VersionStages,
		Value:  rotator.NewValue(aws.ToString(out.SecretString)),
		Binary: out.SecretString == nil,
	}, nil
}

// Put calls PutSecretValue with the label AWSPENDING.
func (s *Store) Put(ctx context.Context, req rotator.PutRequest) error {
	input := &secretsmanager.PutSecretValueInput{
		SecretId:           &req.SecretID,
		ClientRequestToken: &req.VersionID,
		SecretString:       aws.String(req.Value.Reveal()),
		VersionStages:      []string{"AWSPENDING"},
	}
	if token := req.RotationToken.Reveal(); token != "" {
		input.RotationToken = &token
	}
	_, err := s.client.PutSecretValue(ctx, input, s.region(req.SecretID))
	var exists *types.ResourceExistsException
	if errors.As(err, &exists) {
		return fmt.Errorf("%w: %w", rotator.ErrVersionExists, err)
	}
	return meaning("secretsmanager:PutSecretValue", err)
}

// MoveLabel calls UpdateSecretVersionStage.
func (s *Store) MoveLabel(ctx context.Context, req rotator.MoveLabelRequest) error {
	input := &secretsmanager.UpdateSecretVersionStageInput{SecretId: &req.SecretID, VersionStage: &req.Label}
	if req.From != "" {
		input.RemoveFromVersionId = &req.From
	}
	if req.To != "" {
		input.MoveToVersionId = &req.To
	}
	_, err := s.client.UpdateSecretVersionStage(ctx, input, s.region(req.SecretID))
	return meaning("secretsmanager:UpdateSecretVersionStage", err)
}

// meaning wraps what the SDK reports in the rotation's own terms. action is
// the IAM action that the call needs.
func meaning(action string, err error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	var unsent *smithyhttp.RequestSendError
	switch {
	case errors.As(err, &unsent):
		return fmt.Errorf("%w: %w", rotator.ErrNoAnswer, err)
	case errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "AccessDenied"):
		return fmt.Errorf("%w to %s: %w", rotator.ErrDenied, action, err)
	}
	return err
}
