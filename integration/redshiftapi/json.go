package redshiftapi

import (
	"encoding/json"
	"net/http"
	"strings"
)

// json answers a call of Amazon Redshift Serverless. s.mu is held.
//
// https://docs.aws.amazon.com/redshift-serverless/latest/APIReference/CommonErrors.html
func (s *Server) json(w http.ResponseWriter, r *http.Request, region string) {
	action, ours := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "RedshiftServerless.")
	var input struct {
		NextToken string `json:"nextToken"`
	}
	if err := json.NewDecoder(r.Body).Decode(&input); err != nil || !ours || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		jsonFault(w, "ValidationException", "not a call of the API")
		return
	}
	if code := s.called("redshift-serverless", action, region); code != "" {
		if code == "AccessDenied" {
			code = "AccessDeniedException"
		}
		jsonFault(w, code, "the service was told to answer so")
		return
	}
	has := s.regions[region]
	switch action {
	case "ListNamespaces":
		list(s, w, "namespaces", has.Namespaces, input.NextToken)
	case "ListWorkgroups":
		list(s, w, "workgroups", has.Workgroups, input.NextToken)
	default:
		jsonFault(w, "UnknownOperationException", action)
	}
}

func list[Item any](s *Server, w http.ResponseWriter, member string, items []Item, token string) {
	part, next := page(s, items, token)
	if part == nil {
		part = []Item{}
	}
	output := map[string]any{member: part}
	if next != "" {
		output["nextToken"] = next
	}
	answerJSON(w, http.StatusOK, output)
}

func jsonFault(w http.ResponseWriter, code, message string) {
	answerJSON(w, status(code), map[string]any{"__type": code, "message": message})
}

func answerJSON(w http.ResponseWriter, status int, output map[string]any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(output)
}
