package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
)

const (
	labelCurrent  = "AWSCURRENT"
	labelPending  = "AWSPENDING"
	labelPrevious = "AWSPREVIOUS"
)

// connect makes a client of the SDK's usual configuration. An ARN says its Region
// itself.
func connect(ctx context.Context, secret string) (*secretsmanager.Client, error) {
	sdk, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	if parsed, err := arn.Parse(secret); err == nil {
		sdk.Region = parsed.Region
	}
	if sdk.Region == "" {
		return nil, errors.New("no Region is configured: set AWS_REGION, or AWS_PROFILE to a profile that has one, or give the secret's ARN")
	}
	return secretsmanager.NewFromConfig(sdk), nil
}

// description is what DescribeSecret answers.
type description struct {
	*secretsmanager.DescribeSecretOutput
}

func (p *prover) describe(ctx context.Context) (description, error) {
	out, err := p.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &p.secret})
	return description{out}, meaning("secretsmanager:DescribeSecret", p.secret, err)
}

// version is the version that carries a label; empty where none does.
func (d description) version(label string) string {
	for id, labels := range d.VersionIdsToStages {
		if slices.Contains(labels, label) {
			return id
		}
	}
	return ""
}

// labels is which version carries which label, in words.
func (d description) labels() string {
	var told []string
	for _, label := range []string{labelCurrent, labelPending, labelPrevious} {
		if id := d.version(label); id != "" {
			told = append(told, label+" on version "+id)
		}
	}
	if len(told) == 0 {
		return "no label"
	}
	return strings.Join(told, ", ")
}

// refusal says why the secret is not to be rotated by this command.
func (d description) refusal() error {
	const operating = "docs/operating.md"
	current, pending := d.version(labelCurrent), d.version(labelPending)
	switch {
	case d.DeletedDate != nil:
		return errors.New("the secret is marked for deletion: restore it by RestoreSecret, or give another")
	case aws.ToString(d.OwningService) != "":
		return fmt.Errorf("the secret is managed, and rotated, by the service %q itself: give the secret of an account that a function rotates", aws.ToString(d.OwningService))
	case aws.ToString(d.RotationLambdaARN) == "":
		return fmt.Errorf("no rotation is configured: let the secret name its function, as %s says under \"Switching rotation on\"", operating)
	case !aws.ToBool(d.RotationEnabled):
		return fmt.Errorf("rotation is switched off: switch it on again, as %s says under \"Switching rotation on\"", operating)
	case current == "":
		return errors.New("the secret has no AWSCURRENT version: store the account's credential by PutSecretValue")
	case pending != "" && pending != current:
		return fmt.Errorf("a rotation is under way, or failed before: AWSPENDING is on version %s. Wait for it, or see %s under \"When a rotation fails\"", pending, operating)
	}
	return nil
}

// functionName is the rotation function's, without its version or alias.
func (d description) functionName() string {
	parsed, err := arn.Parse(aws.ToString(d.RotationLambdaARN))
	if err != nil {
		return aws.ToString(d.RotationLambdaARN)
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(parsed.Resource, "function:"), ":")
	return name
}

// whereTheLogIs names the function's log.
func (d description) whereTheLogIs() string {
	return fmt.Sprintf("The function's log says why: log group /aws/lambda/%s, or the one that the output RotationLogGroup of its stack names", d.functionName())
}

// replicas are the statuses of the secret's replicas, by Region, and whether all
// are in step, or some are still on their way.
func (d description) replicas() (told []string, failed, underWay bool) {
	byRegion := map[string]types.ReplicationStatusType{}
	for _, each := range d.ReplicationStatus {
		byRegion[aws.ToString(each.Region)] = each
	}
	for _, region := range slices.Sorted(maps.Keys(byRegion)) {
		each := byRegion[region]
		text := fmt.Sprintf("%s %s", region, each.Status)
		if message := aws.ToString(each.StatusMessage); message != "" && each.Status == types.StatusTypeFailed {
			text += ": " + message
		}
		told = append(told, text)
		failed = failed || each.Status == types.StatusTypeFailed
		underWay = underWay || each.Status == types.StatusTypeInProgress
	}
	return told, failed, underWay
}

// errDenied is in every error that an IAM or resource policy caused.
var errDenied = errors.New("access denied")

// meaning says what an error of Secrets Manager asks the owner to do. action is
// the IAM action that the call needs.
func meaning(action, secret string, err error) error {
	var api smithy.APIError
	var missing *types.ResourceNotFoundException
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		return fmt.Errorf("there is no secret %q in this account and Region, or it has no such version: correct SECRET_ID, AWS_REGION or AWS_PROFILE: %w", secret, err)
	case errors.As(err, &api) && strings.HasPrefix(api.ErrorCode(), "AccessDenied"):
		return fmt.Errorf("%w to %s: give it to whom you are signed in as, and kms:Decrypt where the secret has a key of its own: %w", errDenied, action, err)
	}
	return fmt.Errorf("calling %s: %w", action, err)
}
