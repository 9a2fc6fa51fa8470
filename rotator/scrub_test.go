package rotator

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// hostile is a password that every way of quoting changes.
const hostile = `pl'an"ted\\ <&%>+/:@ü"`

func TestNoFormOfAPasswordIsLeftInAnError(t *testing.T) {
	for _, row := range []struct {
		name string
		form func(string) string
	}{
		{"as it is", func(s string) string { return s }},
		{"as JSON", func(s string) string { text, _ := json.Marshal(s); return string(text) }},
		{"as a Go string", func(s string) string { return fmt.Sprintf("%q", s) }},
		{"as an SQL literal", func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }},
		{"as an SQL literal with backslashes", func(s string) string {
			return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", `\'`) + "'"
		}},
		{"in a query", url.QueryEscape},
		{"in a path", url.PathEscape},
		{"in a URL's user", func(s string) string {
			return (&url.URL{Scheme: "postgres", User: url.UserPassword("u", s), Host: "h"}).String()
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var a attempt
			a.remember(hostile)
			got := a.scrubber()("before " + row.form(hostile) + " after")
			for _, part := range []string{"pl", "an", "ted", "%", "<", "&", "u003", "ü"} {
				if strings.Contains(strings.ReplaceAll(got, redacted, ""), part) {
					t.Errorf("%q shows %q", got, part)
				}
			}
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, redacted) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAPasswordThatBeginsAsAnotherDoes(t *testing.T) {
	for _, order := range [][]string{{"planted", "planted-and-more"}, {"planted-and-more", "planted"}} {
		var a attempt
		for _, secret := range order {
			a.remember(secret)
		}
		if got := a.scrubber()("planted-and-more, planted"); got != redacted+", "+redacted {
			t.Errorf("remembered in the order %q: %q", order, got)
		}
	}
}
