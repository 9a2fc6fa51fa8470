package localaws

import (
	"slices"
	"strings"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/secretstore"
)

type listSecretsInput struct {
	Filters                []filter
	IncludePlannedDeletion bool
	MaxResults             *int64
	NextToken              *string
	SortBy, SortOrder      string
}

type filter struct {
	Key    string
	Values []string
}

type listSecretsOutput struct {
	SecretList []secretEntry
	NextToken  string `json:",omitempty"`
}

type secretEntry struct {
	secretDetails
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

// The keys of filters.
const (
	filterDescription   = "description"
	filterName          = "name"
	filterTagKey        = "tag-key"
	filterTagValue      = "tag-value"
	filterPrimaryRegion = "primary-region"
	filterOwningService = "owning-service"
	filterAll           = "all"
)

// listSecrets is ListSecrets:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html.
func (rq *request) listSecrets(in *listSecretsInput) (any, error) {
	var v validation
	v.upTo("maxResults", in.MaxResults, maxPage)
	v.oneOf("sortBy", in.SortBy, "created-date", "last-accessed-date", "last-changed-date", "name")
	v.oneOf("sortOrder", in.SortOrder, "asc", "desc")
	v.measure("filters", len(in.Filters), 0, 10)
	for _, f := range in.Filters {
		if f.Key == "" || len(f.Values) == 0 {
			v.violated("filters", "Member must have a Key and Values")
			continue
		}
		v.oneOf("filters.key", f.Key, filterDescription, filterName, filterTagKey, filterTagValue,
			filterPrimaryRegion, filterOwningService, filterAll)
		v.measure("filters.values", len(f.Values), 1, 10)
		for _, value := range f.Values {
			v.length("filters.values", &value, 1, 512)
		}
	}
	if err := v.err(); err != nil {
		return nil, err
	}
	var entries []keyed[secretEntry]
	for _, s := range rq.server.store.List(rq.region) {
		if !s.Deleted.IsZero() && !in.IncludePlannedDeletion || !matchesAll(s, in.Filters) {
			continue
		}
		entries = append(entries, keyed[secretEntry]{
			key:   sortKey(s, in.SortBy) + s.ARN,
			entry: secretEntry{secretDetails: detailsOf(s), SecretVersionsToStages: versionsToStages(s)},
		})
	}
	page, next, err := paginate(entries, in.SortOrder == "desc", in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return listSecretsOutput{SecretList: page, NextToken: next}, nil
}

func sortKey(s *secretstore.Secret, by string) string {
	switch by {
	case "name":
		return s.Name + " " // sorts before anything a longer name goes on with
	case "last-accessed-date":
		return sortableTime(s.Accessed)
	case "last-changed-date":
		return sortableTime(s.Changed)
	default:
		return sortableTime(s.Created)
	}
}

// matchesAll reports whether a secret passes every filter.
func matchesAll(s *secretstore.Secret, filters []filter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(f.Values, func(value string) bool { return f.matches(s, value) }) {
			return false
		}
	}
	return true
}

// matches reports whether a secret passes a filter with one of its values. A
// "!" in front turns the value's meaning around.
func (f filter) matches(s *secretstore.Secret, value string) bool {
	if rest, negated := strings.CutPrefix(value, "!"); negated {
		return !f.matches(s, rest)
	}
	switch f.Key {
	case filterDescription:
		return everyWord(value, func(word string) bool { return wordPrefixFold(s.Description, word) })
	case filterName:
		return strings.HasPrefix(s.Name, value)
	case filterTagKey:
		return slices.ContainsFunc(s.Tags, func(t secretstore.Tag) bool { return strings.HasPrefix(t.Key, value) })
	case filterTagValue:
		return slices.ContainsFunc(s.Tags, func(t secretstore.Tag) bool { return strings.HasPrefix(t.Value, value) })
	case filterPrimaryRegion, filterOwningService:
		return false // no secret here has either
	default:
		return everyWord(value, func(word string) bool { return anyAttribute(s, word) })
	}
}

// everyWord reports whether all words of a value match.
func everyWord(value string, matches func(string) bool) bool {
	for word := range strings.FieldsSeq(value) {
		if !matches(word) {
			return false
		}
	}
	return true
}

// anyAttribute is the filter "all" for one word, which disregards case.
func anyAttribute(s *secretstore.Secret, word string) bool {
	if hasPrefixFold(s.Name, word) || wordPrefixFold(s.Description, word) {
		return true
	}
	return slices.ContainsFunc(s.Tags, func(t secretstore.Tag) bool {
		return hasPrefixFold(t.Key, word) || hasPrefixFold(t.Value, word)
	})
}

func hasPrefixFold(text, prefix string) bool {
	return strings.HasPrefix(strings.ToLower(text), strings.ToLower(prefix))
}

// wordPrefixFold reports whether a word of text starts with prefix.
func wordPrefixFold(text, prefix string) bool {
	for word := range strings.FieldsSeq(text) {
		if hasPrefixFold(word, prefix) {
			return true
		}
	}
	return false
}
