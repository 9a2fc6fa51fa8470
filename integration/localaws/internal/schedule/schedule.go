// Package schedule reads the rotation rules of Secrets Manager and computes
// when a rotation window closes. All times are UTC. See
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html.
package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Rules are rotation rules as a request gives them.
type Rules struct {
	// AfterDays is AutomaticallyAfterDays; zero means absent.
	AfterDays int64 `json:",omitempty"`
	// Expression is a rate() or cron() expression.
	Expression string `json:",omitempty"`
	// Duration is the length of the window, as in "3h".
	Duration string `json:",omitempty"`
}

// IsZero reports whether there are no rules.
func (r Rules) IsZero() bool { return r == Rules{} }

// Schedule says when the windows for rotation are.
type Schedule struct {
	days, hours int           // rate(...), one of them, or neither
	cron        *cron         // cron(...)
	window      time.Duration // zero means to the end of the day
}

const (
	maxAfterDays = 1000
	maxRateDays  = 999
	minRateHours = 4
)

var (
	ratePattern     = regexp.MustCompile(`^rate\(([0-9]{1,5}) (hours?|days?)\)$`)
	cronPattern     = regexp.MustCompile(`^cron\((.+)\)$`)
	durationPattern = regexp.MustCompile(`^([0-9]{1,2})h$`)
)

// Parse reads and checks rules. A nil Schedule without an error means that
// there are no rules, and so no windows.
func Parse(r Rules) (*Schedule, error) {
	if r.IsZero() {
		return nil, nil
	}
	s := &Schedule{}
	switch {
	case r.AfterDays != 0 && r.Expression != "":
		return nil, errors.New("both AutomaticallyAfterDays and ScheduleExpression were given: they exclude each other")
	case r.AfterDays == 0 && r.Expression == "":
		return nil, errors.New("a Duration needs AutomaticallyAfterDays or a ScheduleExpression")
	case r.AfterDays != 0:
		if r.AfterDays < 1 || r.AfterDays > maxAfterDays {
			return nil, fmt.Errorf("the AutomaticallyAfterDays must be from 1 to %d", maxAfterDays)
		}
		s.days = int(r.AfterDays)
	default:
		if err := s.parseExpression(r.Expression); err != nil {
			return nil, err
		}
	}
	if s.window = s.defaultWindow(); r.Duration == "" {
		return s, nil
	}
	m := durationPattern.FindStringSubmatch(r.Duration)
	if m == nil {
		return nil, errors.New(`the Duration must be a number of hours followed by "h", as in "3h"`)
	}
	hours, err := strconv.Atoi(m[1])
	if err != nil || hours < 1 || hours > 24 {
		return nil, errors.New("the Duration must be from 1h to 24h")
	}
	s.window = time.Duration(hours) * time.Hour
	return s, s.checkWindow(hours)
}

func (s *Schedule) parseExpression(expression string) error {
	if m := ratePattern.FindStringSubmatch(expression); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return err
		}
		if m[2] == "hour" || m[2] == "hours" {
			if n < minRateHours || n > 24*maxRateDays {
				return fmt.Errorf("a rate in hours must be at least %d and at most %d days", minRateHours, maxRateDays)
			}
			s.hours = n
			return nil
		}
		if n < 1 || n > maxRateDays {
			return fmt.Errorf("a rate in days must be from 1 to %d", maxRateDays)
		}
		s.days = n
		return nil
	}
	if m := cronPattern.FindStringSubmatch(expression); m != nil {
		c, err := parseCron(m[1])
		if err != nil {
			return err
		}
		s.cron = c
		return nil
	}
	return errors.New(`a ScheduleExpression must read like "rate(10 days)", "rate(12 hours)" or "cron(0 8 1 * ? *)"`)
}

// defaultWindow is an hour for schedules that rotate more than once a day, and
// otherwise what is left of the day.
func (s *Schedule) defaultWindow() time.Duration {
	if s.hours != 0 || s.cron != nil && s.cron.hours.count() > 1 {
		return time.Hour
	}
	return 0
}

// checkWindow refuses a window that ends after its day or in the next window.
func (s *Schedule) checkWindow(hours int) error {
	switch {
	case s.hours != 0 && hours > s.hours:
		return errors.New("the Duration must not reach into the next rotation window")
	case s.cron != nil:
		last := -1
		for h := range 24 {
			if !s.cron.hours.has(h) {
				continue
			}
			if last >= 0 && last+hours > h {
				return errors.New("the Duration must not reach into the next rotation window")
			}
			last = h
		}
		if last+hours > 24 {
			return errors.New("the Duration must not reach into the next day")
		}
	}
	return nil
}

// ByDays reports whether windows are counted in days from the last rotation, so
// that a value put by hand puts the next one off.
func (s *Schedule) ByDays() bool { return s.days != 0 }

// Next returns the latest moment of the first window after a rotation at last.
func (s *Schedule) Next(last time.Time) time.Time {
	last = last.UTC()
	var opens time.Time
	switch {
	case s.days != 0: // a window counted in days opens at midnight
		opens = last.Truncate(24*time.Hour).AddDate(0, 0, s.days)
	case s.hours != 0:
		opens = last.Truncate(time.Hour).Add(time.Duration(s.hours) * time.Hour)
	default:
		opens = s.cron.next(last)
	}
	if opens.IsZero() {
		return opens // a day that never comes, such as 31 February
	}
	closes := opens.Add(s.window)
	if s.window == 0 {
		closes = opens.Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
	return closes.Add(-time.Second)
}

// Days is what AutomaticallyAfterDays reports: the days that are counted, or
// those from last to the next window, rounded up.
func (s *Schedule) Days(last time.Time) int64 {
	if s.days != 0 {
		return int64(s.days)
	}
	next := s.Next(last)
	if next.IsZero() {
		return 0
	}
	const day = 24 * time.Hour
	return int64((next.Sub(last) + day - 1) / day)
}
