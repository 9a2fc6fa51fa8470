package localaws

import (
	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

type getSecretValueInput struct {
	SecretId, VersionId, VersionStage *string
}

type getSecretValueOutput struct {
	ARN, Name, VersionId string
	SecretString         *string  `json:",omitempty"`
	SecretBinary         []byte   `json:",omitempty"`
	VersionStages        []string `json:",omitempty"`
	CreatedDate          epoch
}

// getSecretValue is GetSecretValue:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html.
func (rq *request) getSecretValue(in *getSecretValueInput) (any, error) {
	var v validation
	v.length("versionId", in.VersionId, minToken, maxToken)
	v.length("versionStage", in.VersionStage, 1, maxLabel)
	if err := checkSecretID(&v, in.SecretId); err != nil {
		return nil, err
	}
	secret, err := rq.read(*in.SecretId)
	if err != nil {
		return nil, err
	}
	if err := live(secret); err != nil {
		return nil, err
	}
	version, err := selectVersion(secret, in.VersionId, in.VersionStage)
	if err != nil {
		return nil, err
	}
	value, err := rq.server.store.Open(secret, version)
	if err != nil {
		return nil, err
	}
	if err := rq.server.store.Touch(rq.region, secret.ARN, version.ID); err != nil {
		return nil, err
	}
	out := getSecretValueOutput{
		ARN: secret.ARN, Name: secret.Name, VersionId: version.ID,
		VersionStages: sorted(version.Labels), CreatedDate: epoch{version.Created},
	}
	if value.Binary {
		out.SecretBinary = value.Bytes
	} else {
		text := string(value.Bytes)
		out.SecretString = &text
	}
	return out, nil
}

// selectVersion finds the version of a GetSecretValue. A placeholder is as good
// as none: functions tell by it that there is no pending value yet.
func selectVersion(s *secretstore.Secret, id, label *string) (*secretstore.Version, error) {
	if id == nil {
		wanted := secretstore.Current
		if label != nil {
			wanted = *label
		}
		v := s.Holder(wanted)
		if v == nil || v.Sealed == nil {
			return nil, noLabel(wanted)
		}
		return v, nil
	}
	v := s.Versions[*id]
	if v == nil {
		return nil, noVersion(*id)
	}
	if label != nil && !v.Has(*label) {
		return nil, refuse(codeInvalidRequest, "You provided a VersionStage that is not associated to the provided VersionId.")
	}
	if v.Sealed == nil {
		if label != nil {
			return nil, noLabel(*label)
		}
		return nil, noVersion(*id)
	}
	return v, nil
}

// read returns the secret that id names, or as it was before the last write
// where a fault wants that.
func (rq *request) read(id string) (*secretstore.Secret, error) {
	if rq.stale {
		return rq.server.store.GetStale(rq.region, id)
	}
	return rq.server.store.Get(rq.region, id)
}
