package ingest

import (
	"fmt"

	"weft/contract"
)

// family groups types whose values convert into each other row by row, so that
// another type of the same family is no drift: writers such as pandas store
// every number as bigint or double.
func family(t contract.Type) int {
	switch {
	case t.IsNumber():
		return 1
	case t.Kind == contract.KindString, t.Kind == contract.KindUUID:
		return 2
	case t.Kind == contract.KindDate, t.Kind == contract.KindTimestamp, t.Kind == contract.KindInstant:
		return 3
	case t.Kind == contract.KindBool:
		return 4
	case t.Kind == contract.KindTime:
		return 5
	case t.Kind == contract.KindBytes:
		return 6
	case t.Kind == contract.KindList:
		return 7
	case t.Kind == contract.KindStruct:
		return 8
	}
	return 0
}

// Fits reports whether a source column may be read as t: values that do not
// convert are then rejected row by row. Another family is drift.
func Fits(f Found, t contract.Type) bool {
	if f.Raw != "" {
		return t.Kind == contract.KindString
	}
	u := f.Type
	if u.Kind == contract.KindUnknown || t.Kind == contract.KindUnknown {
		return true
	}
	if t.Kind == contract.KindDate && u.Kind != contract.KindDate {
		return false // the time of day would be lost
	}
	switch t.Kind {
	case contract.KindList:
		return u.Kind == contract.KindList && Fits(Found{Type: *u.Elem}, *t.Elem)
	case contract.KindStruct:
		return u.Kind == contract.KindStruct && fieldsFit(u, t)
	}
	return family(u) == family(t)
}

func fieldsFit(u, t contract.Type) bool {
	for _, f := range t.Fields {
		ok := false
		for _, g := range u.Fields {
			ok = ok || f.Name == g.Name && Fits(Found{Type: g.Type}, f.Type)
		}
		if !ok {
			return false
		}
	}
	return true
}

// CastSQL casts a typed source column to t and raises an error where a value
// does not fit; what the engine knows under another name becomes text.
func CastSQL(expr string, f Found, t contract.Type) string {
	if f.Raw != "" {
		return fmt.Sprintf("CAST(%s AS VARCHAR)", expr)
	}
	return t.StrictFrom(f.Type, expr)
}

// TryCastSQL is CastSQL with NULL for values that do not fit.
func TryCastSQL(expr string, f Found, t contract.Type) string {
	if f.Raw != "" {
		return CastSQL(expr, f, t)
	}
	return t.From(f.Type, expr)
}

// Widen returns the type that holds the values of both, text where nothing
// narrower does.
func Widen(a, b contract.Type) contract.Type {
	switch {
	case a.Kind == contract.KindUnknown, a.Equal(b):
		return b
	case b.Kind == contract.KindUnknown:
		return a
	case a.IsInteger() && b.IsInteger():
		return contract.Type{Kind: contract.KindInt64}
	case a.IsNumber() && b.IsNumber():
		return contract.Type{Kind: contract.KindFloat64}
	case family(a) == 3 && family(b) == 3:
		if a.Kind == contract.KindInstant || b.Kind == contract.KindInstant {
			return contract.Type{Kind: contract.KindInstant}
		}
		return contract.Type{Kind: contract.KindTimestamp}
	}
	return contract.Type{Kind: contract.KindString}
}
