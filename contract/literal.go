package contract

import (
	"math/big"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	decimalRE = regexp.MustCompile(`^[-+]?[0-9]+(\.[0-9]+)?$`)
	uuidRE    = regexp.MustCompile(`(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// literal returns the SQL of a YAML scalar as a value of type t; ok is false
// where it can be none.
func literal(n *yaml.Node, t Type) (sql string, ok bool) {
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) || strings.IndexByte(n.Value, 0) >= 0 {
		return "", false
	}
	switch {
	case t.Kind == KindBool:
		return strings.ToUpper(n.Value), n.ShortTag() == "!!bool"
	case t.IsNumber():
		return numberLiteral(n)
	case t.IsTemporal():
		v, ok := parseTime(n.Value, t)
		if !ok {
			return "", false
		}
		return "CAST(" + QuoteLiteral(formatTime(v, t)) + " AS " + t.SQL() + ")", true
	case t.Kind == KindUUID:
		return "CAST(" + QuoteLiteral(n.Value) + " AS UUID)", uuidRE.MatchString(n.Value)
	case t.Kind == KindString || t.Kind == KindUnknown:
		return QuoteLiteral(n.Value), true
	}
	return "", false
}

// numberLiteral writes a number so that the engine reads it exactly, where it
// can be written so.
func numberLiteral(n *yaml.Node) (string, bool) {
	f, ok := number(n)
	if !ok {
		return "", false
	}
	if decimalRE.MatchString(n.Value) && len(n.Value) <= MaxPrecision {
		return strings.TrimPrefix(n.Value, "+"), true
	}
	r, ok := new(big.Rat).SetString(strings.ReplaceAll(n.Value, "_", ""))
	if ok && r.IsInt() && len(r.Num().String()) <= MaxPrecision {
		return r.Num().String(), true
	}
	return big.NewFloat(f).Text('e', 17), true
}

// rat returns the exact value of a number, for comparing bounds.
func rat(n *yaml.Node) (*big.Rat, bool) {
	lit, ok := numberLiteral(n)
	if !ok {
		return nil, false
	}
	return new(big.Rat).SetString(lit)
}

// timeForms are the forms of dates and times that a contract may write.
var timeForms = map[Kind][]string{
	KindDate:      {time.DateOnly},
	KindTime:      {"15:04:05.999999999", "15:04"},
	KindTimestamp: {time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly},
	KindInstant:   {time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly},
}

// parseTime reads a date or time of type t; without a zone it is UTC.
func parseTime(s string, t Type) (time.Time, bool) {
	for _, form := range timeForms[t.Kind] {
		if v, err := time.Parse(form, s); err == nil {
			return v.UTC(), true
		}
	}
	return time.Time{}, false
}

func formatTime(v time.Time, t Type) string {
	switch t.Kind {
	case KindDate:
		return v.Format(time.DateOnly)
	case KindTime:
		return v.Format("15:04:05.999999")
	case KindInstant:
		return v.Format("2006-01-02 15:04:05.999999+00")
	}
	return v.Format("2006-01-02 15:04:05.999999")
}
