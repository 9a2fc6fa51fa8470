package localaws

type describeSecretInput struct{ SecretId *string }

type describeSecretOutput struct {
	secretDetails
	VersionIdsToStages map[string][]string `json:",omitempty"`
}

// describeSecret is DescribeSecret:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html.
// It also answers for a secret that is marked for deletion.
func (rq *request) describeSecret(in *describeSecretInput) (any, error) {
	if err := checkSecretID(new(validation), in.SecretId); err != nil {
		return nil, err
	}
	secret, err := rq.read(*in.SecretId)
	if err != nil {
		return nil, err
	}
	return describeSecretOutput{secretDetails: detailsOf(secret), VersionIdsToStages: versionsToStages(secret)}, nil
}
