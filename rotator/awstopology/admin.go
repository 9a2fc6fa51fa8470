package awstopology

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/dbrotation/dbrotation/rotator"
)

// How the services begin their ARNs and the names of their IAM actions.
const (
	serviceRDS        = "rds"
	serviceRedshift   = "redshift"
	serviceServerless = "redshift-serverless"
)

// serverKind is one kind of server that a managed secret may open: how its ARN
// begins.
type serverKind struct {
	service, prefix string
}

// serverTags are the system tags by which a service says whose server a managed
// secret opens, in lower case. Only AWS can write a tag that begins with "aws:".
// Case varies between the services' documentation and their answers. Amazon
// DocumentDB uses the tag of Amazon RDS, which answers for its clusters; its
// elastic and global clusters have no managed secrets.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
// https://docs.aws.amazon.com/documentdb/latest/developerguide/docdb-secrets-manager.html
// https://docs.aws.amazon.com/redshift/latest/mgmt/redshift-secrets-manager-integration.html
var serverTags = map[string]serverKind{
	"aws:rds:primarydbinstancearn":         {serviceRDS, prefixInstance},
	"aws:rds:primarydbclusterarn":          {serviceRDS, prefixCluster},
	"aws:redshift:primaryclusterarn":       {serviceRedshift, prefixCluster},
	"aws:redshift-serverless:namespacearn": {serviceServerless, prefixNamespace},
}

const nameTheServer = `name in "masterarn" a secret that holds "engine" and "host" beside the admin's username and password`

// managed returns the ARN of the server that the tags of a managed secret name.
func managed(tags map[string]string) (arn.ARN, error) {
	var found []arn.ARN
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		kind, ok := serverTags[strings.ToLower(key)]
		if !ok {
			continue
		}
		parsed, err := arn.Parse(tags[key])
		if err != nil || parsed.Service != kind.service || !strings.HasPrefix(parsed.Resource, kind.prefix) {
			return arn.ARN{}, fmt.Errorf("%w: the tag %q holds %q, which is no ARN of the kind that it is for", rotator.ErrUnmanaged, key, tags[key])
		}
		found = append(found, parsed)
	}
	switch len(found) {
	case 0:
		return arn.ARN{}, fmt.Errorf("%w: %s", rotator.ErrUnmanaged, nameTheServer)
	case 1:
		return found[0], nil
	}
	return arn.ARN{}, fmt.Errorf("%w: one tag names %s, another %s", rotator.ErrUnmanaged, found[0], found[1])
}

// adminLookup says what it means that the server a tag names was not found.
func adminLookup(named arn.ARN, err error) error {
	if errors.Is(err, errAbsent) {
		return fmt.Errorf("looking up the managed admin's server: %s does not show %s to the function's account: if it is another account's, %s; if it was deleted, correct \"masterarn\": %w",
			serviceNames[named.Service], named, nameTheServer, err)
	}
	return fmt.Errorf("looking up the managed admin's server %s: %w", named, err)
}
