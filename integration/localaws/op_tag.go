package localaws

import (
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

func checkTags(v *validation, tags []tag) {
	for _, t := range tags {
		v.length("tags.key", &t.Key, 1, maxTagKey)
		v.length("tags.value", &t.Value, 0, maxTagValue)
		if strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			v.violated("tags.key", "Member must not begin with aws:")
		}
	}
}

// addTags adds tags to a secret; one of a key that is there replaces its value.
func addTags(s *secretstore.Secret, tags []tag) error {
	if s.Tags == nil {
		s.Tags = []secretstore.Tag{}
	}
	for _, t := range tags {
		at := slices.IndexFunc(s.Tags, func(held secretstore.Tag) bool { return held.Key == t.Key })
		if at >= 0 {
			s.Tags[at].Value = t.Value
			continue
		}
		s.Tags = append(s.Tags, secretstore.Tag(t))
	}
	if len(s.Tags) > maxTags {
		return refuse(codeInvalidParameter, "A secret can have at most 50 tags.")
	}
	return nil
}

type tagResourceInput struct {
	SecretId *string
	Tags     []tag
}

// tagResource is TagResource:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_TagResource.html.
func (rq *request) tagResource(in *tagResourceInput) (any, error) {
	var v validation
	checkTags(&v, in.Tags)
	if in.Tags == nil {
		v.required("tags", nil)
	}
	if err := checkSecretID(&v, in.SecretId); err != nil {
		return nil, err
	}
	_, err := rq.server.store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		if err := live(c.Secret); err != nil {
			return err
		}
		return addTags(c.Secret, in.Tags)
	})
	return nil, err
}

type untagResourceInput struct {
	SecretId *string
	TagKeys  []string
}

// untagResource is UntagResource:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UntagResource.html.
// Keys that the secret does not have are passed over.
func (rq *request) untagResource(in *untagResourceInput) (any, error) {
	var v validation
	if in.TagKeys == nil {
		v.required("tagKeys", nil)
	}
	for _, key := range in.TagKeys {
		v.length("tagKeys", &key, 1, maxTagKey)
	}
	if err := checkSecretID(&v, in.SecretId); err != nil {
		return nil, err
	}
	_, err := rq.server.store.Update(rq.region, *in.SecretId, func(c *secretstore.Change) error {
		if err := live(c.Secret); err != nil {
			return err
		}
		c.Tags = slices.DeleteFunc(c.Tags, func(t secretstore.Tag) bool { return slices.Contains(in.TagKeys, t.Key) })
		return nil
	})
	return nil, err
}
