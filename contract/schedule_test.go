package contract

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	const form = "Mon 2006-01-02 15:04"
	start := time.Date(2026, 1, 30, 23, 59, 30, 0, time.UTC) // a Friday
	for text, want := range map[string]string{
		"* * * * *":          "Sat 2026-01-31 00:00",
		"0 6 * * *":          "Sat 2026-01-31 06:00",
		"*/15 8-10 * * 1-5":  "Mon 2026-02-02 08:00",
		"30 5 1 * *":         "Sun 2026-02-01 05:30",
		"0 0 29 2 *":         "Tue 2028-02-29 00:00",
		"5,10 3 * mar sun":   "Sun 2026-03-01 03:05",
		"0 0 * * 0":          "Sun 2026-02-01 00:00",
		"0 0 13 * fri":       "Fri 2026-02-06 00:00",
		"59 23 30 1 *":       "Sat 2027-01-30 23:59",
		"10-30/10 12 31 * *": "Sat 2026-01-31 12:10",
	} {
		s, err := ParseSchedule(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := s.Next(start).Format(form); got != want {
			t.Errorf("%q is next at %s, want %s", text, got, want)
		}
	}
	for _, bad := range []string{"", "daily", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "0 0 31 2 *", "-1 * * * *", "0 0 * * * *"} {
		if s, err := ParseSchedule(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, s)
		}
	}
}
