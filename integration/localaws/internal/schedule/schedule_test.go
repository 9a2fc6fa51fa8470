package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dbrotation/dbrotation/integration/localaws/internal/schedule"
)

func TestNext(t *testing.T) {
	t.Parallel()
	last := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC) // a Sunday
	for _, c := range []struct {
		story string
		rules schedule.Rules
		want  string
	}{
		{"days close at the end of the day", schedule.Rules{AfterDays: 30}, "2026-03-31T23:59:59Z"},
		{"days with a window open at midnight", schedule.Rules{AfterDays: 30, Duration: "3h"}, "2026-03-31T02:59:59Z"},
		{"a rate in days is the same", schedule.Rules{Expression: "rate(10 days)"}, "2026-03-11T23:59:59Z"},
		{"one day", schedule.Rules{Expression: "rate(1 day)"}, "2026-03-02T23:59:59Z"},
		{"hours have a window of one", schedule.Rules{Expression: "rate(6 hours)"}, "2026-03-01T16:59:59Z"},
		{"hours with a window", schedule.Rules{Expression: "rate(6 hours)", Duration: "4h"}, "2026-03-01T19:59:59Z"},
		{"every day at 8", schedule.Rules{Expression: "cron(0 8 * * ? *)"}, "2026-03-02T23:59:59Z"},
		{"every day at 16, later today", schedule.Rules{Expression: "cron(0 16 * * ? *)", Duration: "2h"}, "2026-03-01T17:59:59Z"},
		{"every eight hours", schedule.Rules{Expression: "cron(0 */8 * * ? *)"}, "2026-03-01T16:59:59Z"},
		{"the first of a month", schedule.Rules{Expression: "cron(0 8 1 * ? *)", Duration: "3h"}, "2026-04-01T10:59:59Z"},
		{"the last of a month", schedule.Rules{Expression: "cron(0 0 L * ? *)", Duration: "1h"}, "2026-03-31T00:59:59Z"},
		{"working days", schedule.Rules{Expression: "cron(0 10 ? * MON-FRI *)", Duration: "1h"}, "2026-03-02T10:59:59Z"},
		{"the last Sunday", schedule.Rules{Expression: "cron(0 1 ? * SUNL *)", Duration: "1h"}, "2026-03-29T01:59:59Z"},
		{"the first Monday, every third month", schedule.Rules{Expression: "cron(0 2 ? 1/3 2#1 *)", Duration: "1h"}, "2026-04-06T02:59:59Z"},
		{"29 February", schedule.Rules{Expression: "cron(0 0 29 FEB ? *)", Duration: "1h"}, "2028-02-29T00:59:59Z"},
		{"31 February never comes", schedule.Rules{Expression: "cron(0 0 31 2 ? *)"}, "0001-01-01T00:00:00Z"},
	} {
		s, err := schedule.Parse(c.rules)
		if err != nil {
			t.Errorf("%s: %v", c.story, err)
			continue
		}
		if got := s.Next(last).Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s, want %s", c.story, got, c.want)
		}
	}
}

func TestNoRules(t *testing.T) {
	t.Parallel()
	if s, err := schedule.Parse(schedule.Rules{}); s != nil || err != nil {
		t.Errorf("no rules give %v, %v", s, err)
	}
}

func TestRulesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rules schedule.Rules
		want  string
	}{
		{schedule.Rules{AfterDays: 1001}, "1000"},
		{schedule.Rules{AfterDays: -1}, "1000"},
		{schedule.Rules{AfterDays: 1, Expression: "rate(1 day)"}, "exclude"},
		{schedule.Rules{Duration: "3h"}, "needs"},
		{schedule.Rules{AfterDays: 1, Duration: "25h"}, "24h"},
		{schedule.Rules{AfterDays: 1, Duration: "0h"}, "1h"},
		{schedule.Rules{AfterDays: 1, Duration: "3"}, "3h"},
		{schedule.Rules{Expression: "every day"}, "must read like"},
		{schedule.Rules{Expression: "rate(3 hours)"}, "at least 4"},
		{schedule.Rules{Expression: "rate(1000 days)"}, "999"},
		{schedule.Rules{Expression: "rate(0 days)"}, "from 1"},
		{schedule.Rules{Expression: "rate(4 hours)", Duration: "5h"}, "next rotation window"},
		{schedule.Rules{Expression: "cron(0 */4 * * ? *)", Duration: "5h"}, "next rotation window"},
		{schedule.Rules{Expression: "cron(0 22 * * ? *)", Duration: "3h"}, "next day"},
		{schedule.Rules{Expression: "cron(5 8 * * ? *)"}, "minutes"},
		{schedule.Rules{Expression: "cron(0 8 * * ? 2026)"}, "year"},
		{schedule.Rules{Expression: "cron(0 8 * * * *)"}, "exactly one"},
		{schedule.Rules{Expression: "cron(0 8 ? * ? *)"}, "exactly one"},
		{schedule.Rules{Expression: "cron(0 8 * ?)"}, "six fields"},
		{schedule.Rules{Expression: "cron(0 24 * * ? *)"}, "hours"},
		{schedule.Rules{Expression: "cron(0 8-4 * * ? *)"}, "hours"},
		{schedule.Rules{Expression: "cron(0 */0 * * ? *)"}, "hours"},
		{schedule.Rules{Expression: "cron(0 8 32 * ? *)"}, "day of month"},
		{schedule.Rules{Expression: "cron(0 8 1 FOO ? *)"}, "month"},
		{schedule.Rules{Expression: "cron(0 8 ? * 2#6 *)"}, "day of week"},
		{schedule.Rules{Expression: "cron(0 8 ? * FOOL *)"}, "day of week"},
	} {
		_, err := schedule.Parse(c.rules)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q in it", c.rules, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"rate(10 days)", "cron(0 8 1 * ? *)", "cron(0 */8 ? 1-3 SUNL *)", "cron(0 1,2 L * ? *)"} {
		f.Add(seed, "3h")
	}
	last := time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expression, duration string) {
		s, err := schedule.Parse(schedule.Rules{Expression: expression, Duration: duration})
		if err != nil || s == nil {
			return
		}
		if next := s.Next(last); !next.IsZero() && !next.After(last.Add(-time.Second)) {
			t.Errorf("%q, %q: the next window closes at %v, before %v", expression, duration, next, last)
		}
	})
}
