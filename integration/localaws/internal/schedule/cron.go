package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cron is a cron() expression in the form that Secrets Manager takes:
// "0 hours day-of-month month day-of-week *", one of the days "?".
type cron struct {
	hours, months set
	// One of monthDays and weekDays is nil: the one that was "?".
	monthDays, weekDays dayMatcher
}

// set holds numbers from 0 to 63.
type set uint64

func (s set) has(n int) bool { return s&(1<<n) != 0 }

func (s set) count() (n int) {
	for ; s != 0; s &= s - 1 {
		n++
	}
	return n
}

// dayMatcher reports whether a schedule has a window on a day.
type dayMatcher func(day time.Time) bool

// field is one of the fields of a cron expression.
type field struct {
	name     string
	min, max int
	names    []string // of min, min+1, ...
}

var (
	hourField     = field{name: "hours", min: 0, max: 23}
	monthDayField = field{name: "day of month", min: 1, max: 31}
	monthField    = field{name: "month", min: 1, max: 12, names: []string{
		"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}}
	weekDayField = field{name: "day of week", min: 1, max: 7, names: []string{
		"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}}
)

func parseCron(text string) (*cron, error) {
	f := strings.Fields(text)
	if len(f) != 6 {
		return nil, errors.New("a cron expression must have six fields")
	}
	if f[0] != "0" {
		return nil, errors.New("the minutes of a cron expression must be 0")
	}
	if f[5] != "*" {
		return nil, errors.New("the year of a cron expression must be *")
	}
	if (f[2] == "?") == (f[4] == "?") {
		return nil, errors.New("exactly one of day of month and day of week must be ?")
	}
	c := &cron{}
	var err error
	if c.hours, err = hourField.parse(f[1]); err != nil {
		return nil, err
	}
	if c.months, err = monthField.parse(f[3]); err != nil {
		return nil, err
	}
	if f[2] != "?" {
		c.monthDays, err = parseMonthDays(f[2])
	} else {
		c.weekDays, err = parseWeekDays(f[4])
	}
	return c, err
}

// parse reads a list of numbers, ranges and steps.
func (f field) parse(text string) (set, error) {
	var s set
	for item := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(item, "/")
		by := 1
		if stepped {
			n, err := strconv.Atoi(step)
			if err != nil || n < 1 || n > f.max {
				return 0, f.wrong(text)
			}
			by = n
		}
		low, high := f.min, f.max
		if span != "*" {
			from, to, ranged := strings.Cut(span, "-")
			var ok bool
			if low, ok = f.number(from); !ok {
				return 0, f.wrong(text)
			}
			switch {
			case ranged:
				if high, ok = f.number(to); !ok || high < low {
					return 0, f.wrong(text)
				}
			case !stepped:
				high = low
			}
		}
		for n := low; n <= high; n += by {
			s |= 1 << n
		}
	}
	return s, nil
}

func (f field) number(text string) (int, bool) {
	for i, name := range f.names {
		if strings.EqualFold(text, name) {
			return f.min + i, true
		}
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= f.min && n <= f.max
}

func (f field) wrong(text string) error {
	return fmt.Errorf("%q is not a valid %s in a cron expression", text, f.name)
}

func parseMonthDays(text string) (dayMatcher, error) {
	if text == "L" { // the last day of the month
		return func(day time.Time) bool { return day.AddDate(0, 0, 1).Day() == 1 }, nil
	}
	days, err := monthDayField.parse(text)
	if err != nil {
		return nil, err
	}
	return func(day time.Time) bool { return days.has(day.Day()) }, nil
}

func parseWeekDays(text string) (dayMatcher, error) {
	if name, nth, ok := strings.Cut(text, "#"); ok { // as 2#1, the first Monday
		wday, okDay := weekDayField.number(name)
		n, err := strconv.Atoi(nth)
		if !okDay || err != nil || n < 1 || n > 5 {
			return nil, weekDayField.wrong(text)
		}
		return func(day time.Time) bool { return weekDay(day) == wday && (day.Day()-1)/7+1 == n }, nil
	}
	if name, ok := strings.CutSuffix(text, "L"); ok { // as SUNL, the last Sunday; L alone is Saturday
		if name == "" {
			return func(day time.Time) bool { return day.Weekday() == time.Saturday }, nil
		}
		wday, okDay := weekDayField.number(name)
		if !okDay {
			return nil, weekDayField.wrong(text)
		}
		return func(day time.Time) bool {
			return weekDay(day) == wday && day.AddDate(0, 0, 7).Month() != day.Month()
		}, nil
	}
	days, err := weekDayField.parse(text)
	if err != nil {
		return nil, err
	}
	return func(day time.Time) bool { return days.has(weekDay(day)) }, nil
}

// weekDay numbers the days as cron does, from Sunday = 1.
func weekDay(day time.Time) int { return int(day.Weekday()) + 1 }

// horizon bounds the search for a next window: it spans a leap day at the turn
// of a century, and every weekday on it.
const horizon = 41 * 366

// next returns the first hour after last at which a window opens, or zero.
func (c *cron) next(last time.Time) time.Time {
	day := last.Truncate(24 * time.Hour)
	for range horizon {
		if c.onDay(day) {
			for h := range 24 {
				if opens := day.Add(time.Duration(h) * time.Hour); c.hours.has(h) && opens.After(last) {
					return opens
				}
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}
}

func (c *cron) onDay(day time.Time) bool {
	if !c.months.has(int(day.Month())) {
		return false
	}
	if c.monthDays != nil {
		return c.monthDays(day)
	}
	return c.weekDays(day)
}
