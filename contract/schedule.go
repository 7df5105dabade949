package contract

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"weft"
)

// Schedule is a cron expression: the minutes of UTC at which something is done.
type Schedule struct{ spec cron.Schedule }

// ParseSchedule reads the five fields of a cron expression (minute, hour, day
// of the month, month, day of the week) with *, lists, ranges, steps and names.
// The error is of KindInvalid.
func ParseSchedule(text string) (*Schedule, error) {
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	spec, err := parser.Parse(text)
	if err != nil || strings.Contains(text, "TZ=") {
		return nil, weft.Errorf(weft.KindInvalid, "read the schedule", clip(text), "it is no cron expression").
			WithHint("write five fields: minute hour day month weekday, such as 0 6 * * 1-5; times are UTC")
	}
	if spec.Next(time.Unix(0, 0).UTC()).IsZero() {
		return nil, weft.Errorf(weft.KindInvalid, "read the schedule", clip(text), "there is no such day")
	}
	return &Schedule{spec}, nil
}

// Next is the first minute after t that the schedule names, the zero time where
// there is none within five years.
func (s *Schedule) Next(t time.Time) time.Time { return s.spec.Next(t.UTC()) }
