package contract

import (
	"math/bits"
	"strconv"
	"strings"
	"time"

	"weft"
)

// Schedule is a cron expression: the minutes of UTC at which something is done.
type Schedule struct {
	minute, hour, day, month, weekday uint64 // a bit for each value
	anyDay, anyWeekday                bool   // the field is a star
}

var (
	monthNames   = strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")
	weekdayNames = strings.Fields("sun mon tue wed thu fri sat")
)

// ParseSchedule reads the five fields of a cron expression (minute, hour, day
// of the month, month, day of the week) with *, lists, ranges, steps and names.
// The error is of KindInvalid.
func ParseSchedule(text string) (*Schedule, error) {
	bad := func(why string) (*Schedule, error) {
		return nil, weft.Errorf(weft.KindInvalid, "read the schedule", clip(text), "%s", why).
			WithHint("write five fields: minute hour day month weekday, such as 0 6 * * 1-5")
	}
	w := strings.Fields(text)
	if len(w) != 5 {
		return bad("a schedule has five fields")
	}
	s := &Schedule{anyDay: strings.HasPrefix(w[2], "*"), anyWeekday: strings.HasPrefix(w[4], "*")}
	for i, f := range []struct {
		to       *uint64
		from, up int
		names    []string
		first    int // the value of the first name
	}{
		{&s.minute, 0, 59, nil, 0},
		{&s.hour, 0, 23, nil, 0},
		{&s.day, 1, 31, nil, 0},
		{&s.month, 1, 12, monthNames, 1},
		{&s.weekday, 0, 7, weekdayNames, 0},
	} {
		for _, part := range strings.Split(strings.ToLower(w[i]), ",") {
			set, ok := cronPart(part, f.from, f.up, f.names, f.first)
			if !ok {
				return bad("the field '" + clip(w[i]) + "' cannot be read")
			}
			*f.to |= set
		}
	}
	if s.weekday&(1<<7) != 0 { // Sunday has two numbers
		s.weekday |= 1
	}
	if s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return bad("no day is ever meant")
	}
	return s, nil
}

// cronPart reads one of *, 5, 1-5, */10, 1-30/5 and names.
func cronPart(part string, from, to int, names []string, first int) (uint64, bool) {
	part, stepText, stepped := strings.Cut(part, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || n < 1 || n > to {
			return 0, false
		}
		step = n
	}
	lo, hi := from, to
	if part != "*" {
		a, b, isRange := strings.Cut(part, "-")
		var ok1, ok2 bool
		lo, ok1 = cronValue(a, names, first)
		hi, ok2 = lo, true
		if isRange {
			hi, ok2 = cronValue(b, names, first)
		} else if stepped {
			hi = to
		}
		if !ok1 || !ok2 || lo < from || hi > to || lo > hi {
			return 0, false
		}
	}
	var set uint64
	for v := lo; v <= hi; v += step {
		set |= 1 << v
	}
	return set, true
}

func cronValue(s string, names []string, first int) (int, bool) {
	for i, n := range names {
		if s == n {
			return i + first, true
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && len(s) <= 2 && s[0] != '-' && s[0] != '+'
}

// Next returns the first minute after t that the schedule means, in UTC. As in
// cron, a day of the month and a day of the week that are both given mean either.
func (s *Schedule) Next(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Minute).Add(time.Minute)
	for range 366 * 9 { // a leap day may be eight years away
		if s.month&(1<<t.Month()) == 0 || !s.onDay(t) {
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
			continue
		}
		for h := t.Hour(); h < 24; h++ {
			m := 0
			if h == t.Hour() {
				m = t.Minute()
			}
			if s.hour&(1<<h) == 0 || s.minute>>m == 0 {
				continue
			}
			return time.Date(t.Year(), t.Month(), t.Day(), h, m+bits.TrailingZeros64(s.minute>>m), 0, 0, time.UTC)
		}
		t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, time.UTC)
	}
	return time.Time{}
}

func (s *Schedule) onDay(t time.Time) bool {
	day, weekday := s.day&(1<<t.Day()) != 0, s.weekday&(1<<t.Weekday()) != 0
	if s.anyDay || s.anyWeekday {
		return day && weekday
	}
	return day || weekday
}
