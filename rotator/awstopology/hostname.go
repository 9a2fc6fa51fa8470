package awstopology

import (
	"regexp"
	"slices"
	"strings"
)

// form is what a host name's shape says about the endpoint, before the service
// has confirmed it.
type form int

const (
	instanceForm      form = iota + 1 // id.hash: an instance, of a cluster or not
	clusterForm                       // id.cluster-hash, id.cluster-ro-hash: writer and reader
	customForm                        // id.cluster-custom-hash
	proxyForm                         // id.proxy-hash
	proxyEndpointForm                 // id.endpoint.proxy-hash: one that was added to a proxy
)

// hostname is a host name as Amazon RDS makes them, taken apart.
type hostname struct {
	host   string // in DNS's own writing: lower case, no dot at the end
	id     string // of the instance, cluster, proxy or endpoint
	region string
	// domain is what follows the Region and the service's name: that of the
	// partition.
	domain string
	form   form
}

// A Region's name, which stands before the service's name, and in China after it.
var regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]+)+-[0-9]$`)

// canonical writes a host name as it is compared.
func canonical(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// parse takes a host name apart. It reports false for one that Amazon RDS never
// makes, as an address or an alias of one's own.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Overview.Endpoints.html
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-endpoints.html
// https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-Beijing.html
func parse(host string) (hostname, bool) {
	name := hostname{host: canonical(host)}
	labels := strings.Split(name.host, ".")
	service := -1
	for i := 2; i < len(labels); i++ { // an instance may be called "rds" itself
		if labels[i] == "rds" || labels[i] == "docdb" {
			service = i
			break
		}
	}
	if service < 0 || service+2 >= len(labels) || slices.Contains(labels, "") {
		return hostname{}, false
	}
	var made, domain []string
	switch before, after := labels[service-1], labels[service+1]; {
	case regionName.MatchString(before):
		made, name.region, domain = labels[:service-1], before, labels[service+1:]
	case regionName.MatchString(after):
		made, name.region, domain = labels[:service], after, labels[service+2:]
	default:
		return hostname{}, false
	}
	name.domain = strings.Join(domain, ".")
	if len(made) < 2 {
		return hostname{}, false
	}
	name.id = made[0]
	switch hash := made[len(made)-1]; {
	case len(made) == 3 && made[1] == "endpoint" && strings.HasPrefix(hash, "proxy-"):
		name.form = proxyEndpointForm
	case len(made) != 2:
		return hostname{}, false
	case strings.HasPrefix(hash, "proxy-"):
		name.form = proxyForm
	case strings.HasPrefix(hash, "cluster-custom-"):
		name.form = customForm
	case strings.HasPrefix(hash, "cluster-"):
		name.form = clusterForm
	case strings.Contains(hash, "-"):
		return hostname{}, false // of a kind that came later
	default:
		name.form = instanceForm
	}
	return name, true
}

// isProxy reports whether the name is that of a proxy.
func (n hostname) isProxy() bool { return n.form == proxyForm || n.form == proxyEndpointForm }
