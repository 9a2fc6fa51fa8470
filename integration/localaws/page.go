package localaws

import (
	"cmp"
	"encoding/base64"
	"slices"
	"strings"
	"time"
)

// maxPage is the largest number of entries in one answer, and the default.
const maxPage = 100

// keyed is an entry of a list and the key that it is sorted by. Keys differ
// from entry to entry.
type keyed[T any] struct {
	key   string
	entry T
}

const pageTokenPrefix = "after "

// paginate sorts entries and returns one page, and the token for the next. The
// token holds the last key, so that entries that come and go between two pages
// neither repeat nor hide others.
func paginate[T any](entries []keyed[T], descending bool, limit *int64, token *string) ([]T, string, error) {
	order := func(a, b string) int {
		if descending {
			return cmp.Compare(b, a)
		}
		return cmp.Compare(a, b)
	}
	slices.SortFunc(entries, func(a, b keyed[T]) int { return order(a.key, b.key) })
	if token != nil {
		text, err := base64.RawURLEncoding.DecodeString(*token)
		last, ok := strings.CutPrefix(string(text), pageTokenPrefix)
		if err != nil || !ok {
			return nil, "", refuse(codeNextToken, "The NextToken value is invalid.")
		}
		entries = slices.DeleteFunc(entries, func(e keyed[T]) bool { return order(e.key, last) <= 0 })
	}
	size := maxPage
	if limit != nil {
		size = int(*limit)
	}
	page := make([]T, 0, min(size, len(entries)))
	for _, e := range entries[:min(size, len(entries))] {
		page = append(page, e.entry)
	}
	if len(entries) <= size {
		return page, "", nil
	}
	return page, base64.RawURLEncoding.EncodeToString([]byte(pageTokenPrefix + entries[size-1].key)), nil
}

// sortableTime is a time as a text that sorts as the times do.
func sortableTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000 ") }
