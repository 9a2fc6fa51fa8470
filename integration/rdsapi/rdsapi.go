// Package rdsapi is Amazon RDS as its clients see it, for tests: the query
// protocol over HTTP, signed calls, XML, pages, errors. It answers the calls
// that describe instances, clusters and proxies from what a test declares the
// account to have in each Region. Nothing runs behind it.
//
// Signatures are not verified, only read: the Region of a call is that of its
// signature.
//
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/Welcome.html
package rdsapi

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Server is the service. Its methods may be called from several goroutines.
type Server struct {
	http *httptest.Server

	mu       sync.Mutex
	regions  map[string]Region
	paged    bool
	careless bool
	refusals map[string]string
	calls    []string
}

// Start serves an account that has regions. The caller closes it.
func Start(regions map[string]Region) *Server {
	s := &Server{regions: maps.Clone(regions), refusals: map[string]string{}}
	s.http = httptest.NewServer(http.HandlerFunc(s.answer))
	return s
}

// URL is the service's address, for every Region: what AWS_ENDPOINT_URL_RDS or
// a client's base endpoint is set to.
func (s *Server) URL() string { return s.http.URL }

// Close ends the service. Calls made after it find nobody.
func (s *Server) Close() { s.http.Close() }

// SetRegion replaces what the account has in a Region.
func (s *Server) SetRegion(name string, has Region) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regions[name] = has
}

// Page makes every list come one item to a page, after an empty page.
func (s *Server) Page() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paged = true
}

// Careless makes the service look at nothing but the name at the end of an
// ARN, so that it answers with resources that were not asked for.
func (s *Server) Careless() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.careless = true
}

// Refuse answers an action with an error of this code ("AccessDenied",
// "Throttling"), until the code is empty.
func (s *Server) Refuse(action, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals[action] = code
}

// Calls returns the calls so far, each as "Action in Region".
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// Authorization: AWS4-HMAC-SHA256 Credential=id/date/region/rds/aws4_request, ...
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	if len(scope) < 5 || scope[3] != "rds" || r.Form.Get("Version") != "2014-10-31" {
		fault(w, "IncompleteSignature", "not a signed call of the RDS API")
		return
	}
	action, region := r.Form.Get("Action"), scope[2]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, action+" in "+region)
	if code := s.refusals[action]; code != "" {
		fault(w, code, "the service was told to answer so")
		return
	}

	has := s.regions[region]
	switch action {
	case "DescribeDBInstances":
		list(s, w, r, "DBInstances", "DBInstanceNotFound", "DBInstanceIdentifier", has.Instances, func(i Instance) []string { return []string{i.ID, i.ARN} })
	case "DescribeDBClusters":
		list(s, w, r, "DBClusters", "DBClusterNotFoundFault", "DBClusterIdentifier", has.Clusters, func(c Cluster) []string { return []string{c.ID, c.ARN} })
	case "DescribeDBProxies":
		list(s, w, r, "DBProxies", "DBProxyNotFoundFault", "DBProxyName", has.Proxies, func(p Proxy) []string { return []string{p.Name} })
	case "DescribeDBProxyEndpoints":
		list(s, w, r, "DBProxyEndpoints", "DBProxyEndpointNotFoundFault", "DBProxyEndpointName", has.ProxyEndpoints, func(e ProxyEndpoint) []string { return []string{e.Name} })
	case "DescribeDBProxyTargets":
		for _, p := range has.Proxies {
			if p.Name == r.Form.Get("DBProxyName") {
				list(s, w, r, "Targets", "", "", p.Targets, nil)
				return
			}
		}
		fault(w, "DBProxyNotFoundFault", "no such proxy")
	default:
		fault(w, "InvalidAction", action)
	}
}

// list answers with those of items whose name is asked for, or all. s.mu is
// held.
func list[Item any](s *Server, w http.ResponseWriter, r *http.Request, element, missing, parameter string, items []Item, namesOf func(Item) []string) {
	if asked := r.Form.Get(parameter); parameter != "" && asked != "" {
		if s.careless {
			asked = asked[strings.LastIndex(asked, ":")+1:]
		}
		items = slices.DeleteFunc(slices.Clone(items), func(item Item) bool { return !slices.Contains(namesOf(item), asked) })
		if len(items) == 0 {
			fault(w, missing, asked+" not found.")
			return
		}
	}
	var marker string
	if s.paged {
		items, marker = page(items, r.Form.Get("Marker"))
	}
	body, err := xml.Marshal(items)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if marker != "" {
		marker = "<Marker>" + marker + "</Marker>"
	}
	_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><%[1]sResult><%[2]s>%[3]s</%[2]s>%[4]s</%[1]sResult>`+
		`<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></%[1]sResponse>`, r.Form.Get("Action"), element, body, marker)
}

// page is the part of items that a marker names, and the marker of the next.
func page[Item any](items []Item, marker string) (part []Item, next string) {
	from, err := strconv.Atoi(marker)
	if err != nil {
		from = -1 // the first page, which is empty
	}
	if from+1 < len(items) {
		next = strconv.Itoa(from + 1)
	}
	if from < 0 || from >= len(items) {
		return nil, next
	}
	return items[from : from+1], next
}

func fault(w http.ResponseWriter, code, message string) {
	status := http.StatusBadRequest
	switch {
	case code == "AccessDenied":
		status = http.StatusForbidden
	case code == "InternalFailure":
		status = http.StatusInternalServerError
	case code == "ServiceUnavailable":
		status = http.StatusServiceUnavailable
	case strings.Contains(code, "NotFound"):
		status = http.StatusNotFound
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>`+
		`<RequestId>r</RequestId></ErrorResponse>`, code, message)
}
