package engine

import (
	"encoding/json"
	"strings"
	"time"
)

// span is a constant interval.
type span struct {
	months, days int
	d            time.Duration
}

// constant evaluates the few expressions that an argument which must be
// constant is written with: numbers, texts, dates and times and their casts, now(), intervals,
// and sums of these. The value is an int64, float64, string, time.Time or span.
func (w *walker) constant(v any) (any, bool) {
	o, ok := v.(object)
	if !ok {
		return nil, false
	}
	switch o["class"] {
	case "CONSTANT":
		return plainConstant(o)
	case "CAST":
		c, ok := w.constant(o["child"])
		if !ok {
			return nil, false
		}
		id, _ := asObject(o["cast_type"])["id"].(string)
		return castConstant(c, id)
	case "COLUMN_REF":
		if names, _ := o["column_names"].([]any); len(names) == 1 {
			name, _ := names[0].(string)
			if f, ok := timeWords[strings.ToLower(name)]; ok {
				return timeConstant(w.now(), f)
			}
		}
	case "FUNCTION":
		return w.constantCall(o)
	}
	return nil, false
}

func plainConstant(o object) (any, bool) {
	value := asObject(o["value"])
	switch v := value["value"].(type) {
	case string:
		return v, true
	case json.Number:
		if asObject(value["type"])["id"] == "DECIMAL" {
			return nil, false
		}
		if i, err := v.Int64(); err == nil {
			return i, true
		}
		f, err := v.Float64()
		return f, err == nil
	}
	return nil, false
}

// castConstant follows the casts that literals are made of.
func castConstant(c any, id string) (any, bool) {
	switch id {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT":
		switch c := c.(type) {
		case int64:
			return c, true
		case float64:
			return int64(c), c == float64(int64(c))
		}
	case "DOUBLE":
		switch c := c.(type) {
		case int64:
			return float64(c), true
		case float64:
			return c, true
		case string:
			return plainConstant(object{"value": object{"value": json.Number(c)}})
		}
	case "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE":
		t, ok := c.(time.Time)
		if s, isText := c.(string); isText {
			t, ok = parseTime(s)
		}
		if id == "DATE" {
			t = t.Truncate(24 * time.Hour)
		}
		return t, ok
	case "INTERVAL":
		if s, isText := c.(string); isText {
			return parseSpan(s)
		}
		_, ok := c.(span)
		return c, ok
	case "VARCHAR":
		_, ok := c.(string)
		return c, ok
	}
	return nil, false
}

// spanUnits are the functions that INTERVAL 3 DAY is read as.
var spanUnits = map[string]span{
	"to_years": {months: 12}, "to_quarters": {months: 3}, "to_months": {months: 1}, "to_weeks": {days: 7}, "to_days": {days: 1},
	"to_hours": {d: time.Hour}, "to_minutes": {d: time.Minute}, "to_seconds": {d: time.Second}, "to_milliseconds": {d: time.Millisecond},
	"to_microseconds": {d: time.Microsecond},
}

func (w *walker) constantCall(o object) (any, bool) {
	name, _ := o["function_name"].(string)
	name = strings.ToLower(name)
	args, _ := o["children"].([]any)
	if f, ok := timeFunctions[name]; ok && len(args) == 0 {
		return timeConstant(w.now(), f)
	}
	vals := make([]any, len(args))
	for i, a := range args {
		v, ok := w.constant(a)
		if !ok {
			return nil, false
		}
		vals[i] = v
	}
	if unit, ok := spanUnits[name]; ok && len(vals) == 1 {
		return unit.times(vals[0])
	}
	switch {
	case name == "trunc" && len(vals) == 1:
		return vals[0], true
	case name == "-" && len(vals) == 1:
		switch v := vals[0].(type) {
		case int64:
			return -v, true
		case span:
			return v.negative(), true
		}
	case (name == "+" || name == "-") && len(vals) == 2:
		return addConstants(vals[0], vals[1], name == "-")
	case name == "*" && len(vals) == 2:
		a, ok := vals[0].(int64)
		b, ok2 := vals[1].(int64)
		if ok && ok2 && abs(a) < 1<<31 && abs(b) < 1<<31 {
			return a * b, true
		}
	}
	return nil, false
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

func addConstants(a, b any, minus bool) (any, bool) {
	switch b := b.(type) {
	case int64:
		if abs(b) > 1<<40 {
			return nil, false
		}
		if minus {
			b = -b
		}
		switch a := a.(type) {
		case int64:
			return a + b, abs(a) < 1<<40
		case time.Time: // a date and days
			return a.AddDate(0, 0, int(b)), abs(b) < 1<<22
		}
	case span:
		if minus {
			b = b.negative()
		}
		if t, ok := a.(time.Time); ok {
			return b.after(t), true
		}
	}
	return nil, false
}

func (s span) negative() span { return span{-s.months, -s.days, -s.d} }

func (s span) after(t time.Time) time.Time { return t.AddDate(0, s.months, s.days).Add(s.d) }

// times is n of the unit s.
func (s span) times(n any) (any, bool) {
	i, ok := n.(int64)
	if f, isFloat := n.(float64); isFloat {
		i, ok = int64(f), f == float64(int64(f))
	}
	if !ok || abs(i) > 1_000_000 {
		return nil, false
	}
	return span{s.months * int(i), s.days * int(i), s.d * time.Duration(i)}, true
}

// rough is about how long the interval is.
func (s span) rough() time.Duration {
	return time.Duration(s.months)*30*24*time.Hour + time.Duration(s.days)*24*time.Hour + s.d
}

var timeLayouts = []string{
	"2006-01-02 15:04:05.999999Z07:00", "2006-01-02 15:04:05.999999Z07", "2006-01-02 15:04:05.999999",
	"2006-01-02T15:04:05.999999Z07:00", "2006-01-02T15:04:05.999999", "2006-01-02 15:04Z07:00", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02",
}

// parseTime reads a date or time as SQL writes it; without a zone it is UTC.
func parseTime(s string) (time.Time, bool) {
	for _, l := range timeLayouts {
		if t, err := time.Parse(l, strings.TrimSpace(s)); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// parseSpan reads an interval such as '1 day' or '2 hours'.
func parseSpan(s string) (any, bool) {
	f := strings.Fields(strings.ToLower(s))
	if len(f) != 2 {
		return nil, false
	}
	n, err := json.Number(f[0]).Int64()
	if err != nil {
		return nil, false
	}
	unit, ok := spanUnits["to_"+strings.TrimSuffix(f[1], "s")+"s"]
	if !ok {
		return nil, false
	}
	return unit.times(n)
}
