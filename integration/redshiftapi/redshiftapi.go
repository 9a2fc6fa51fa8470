// Package redshiftapi is Amazon Redshift and Amazon Redshift Serverless as their
// clients see them, for tests: for the former the query protocol with XML, for the
// latter JSON, both over HTTP, with signed calls, pages and errors. It answers the
// calls that describe clusters, namespaces and workgroups from what a test
// declares the account to have in each Region. Nothing runs behind it.
//
// Signatures are not verified, only read: the Region of a call is that of its
// signature, and so is the service that it is meant for.
//
// https://docs.aws.amazon.com/redshift/latest/APIReference/Welcome.html
// https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/Welcome.html
package redshiftapi

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Server is the two services. Its methods may be called from several goroutines.
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

// URL is the services' address, for every Region: what AWS_ENDPOINT_URL_REDSHIFT
// and AWS_ENDPOINT_URL_REDSHIFT_SERVERLESS or a client's base endpoint are set to.
func (s *Server) URL() string { return s.http.URL }

// Close ends the services. Calls made after it find nobody.
func (s *Server) Close() { s.http.Close() }

// Page makes every list come one item to a page, after an empty page.
func (s *Server) Page() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paged = true
}

// Careless makes the services overlook what was asked for, so that they answer
// with whatever they have.
func (s *Server) Careless() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.careless = true
}

// Refuse answers an action with an error of this code ("AccessDenied",
// "ThrottlingException"), until the code is empty.
func (s *Server) Refuse(action, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals[action] = code
}

// Calls returns the calls so far, each as "service:Action in Region".
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	// Authorization: AWS4-HMAC-SHA256 Credential=id/date/region/service/aws4_request, ...
	scope := strings.Split(r.Header.Get("Authorization"), "/")
	if len(scope) < 5 {
		http.Error(w, "not a signed call", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch region := scope[2]; scope[3] {
	case "redshift":
		s.query(w, r, region)
	case "redshift-serverless":
		s.json(w, r, region)
	default:
		http.Error(w, "a call of another service", http.StatusForbidden)
	}
}

// called notes a call, and returns the code of the error that it is to meet.
func (s *Server) called(service, action, region string) (refusal string) {
	s.calls = append(s.calls, fmt.Sprintf("%s:%s in %s", service, action, region))
	return s.refusals[action]
}

// page is the part of items that a marker names, and the marker of the next.
// s.mu is held.
func page[Item any](s *Server, items []Item, marker string) (part []Item, next string) {
	if !s.paged {
		return items, ""
	}
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

// status is what HTTP says of an error.
func status(code string) int {
	switch code {
	case "AccessDenied":
		return http.StatusForbidden
	case "InternalFailure", "InternalServerException":
		return http.StatusInternalServerError
	case "ServiceUnavailable":
		return http.StatusServiceUnavailable
	case "ClusterNotFound":
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}
