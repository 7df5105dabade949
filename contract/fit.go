package contract

import (
	"fmt"
	"strings"
)

// A value fits a type where the type holds it as it is. The SQL written here
// never changes a value: what does not fit becomes NULL (From, FromText,
// FromJSON) or an error of the statement (the Strict ones). What counts as the
// same:
//
//   - whole and exact numbers keep all their digits; nothing is rounded
//   - a double is as exact as its 15 digits: 0.1 + 0.2 fits numeric(14,2)
//   - real and double take the nearest number; one that is too large is no infinity
//   - times are kept to the microsecond, finer digits are cut off
//   - a point in time that has an offset is taken in UTC

// exactBelow is the first double at which whole numbers are no longer exact.
const exactBelow = "9007199254740992"

// doubleDigits is how many decimal digits a double always keeps.
const doubleDigits = 15

// Holds reports whether every value of u is a value of t as well.
func (t Type) Holds(u Type) bool {
	switch {
	case t.Equal(u):
		return true
	case t.Kind == KindList && u.Kind == KindList:
		return t.Elem.Holds(*u.Elem)
	case t.Kind == KindStruct && u.Kind == KindStruct:
		return t.holdsFields(u)
	case t.Kind == KindFloat64:
		return u.Kind == KindFloat32 || u.IsInteger() && u.Kind != KindInt64
	case t.Kind == KindFloat32:
		return u.Kind == KindInt8 || u.Kind == KindInt16
	case t.IsInteger() && u.IsInteger():
		return integerDigits[t.Kind] > integerDigits[u.Kind]
	case t.Kind == KindDecimal && u.IsInteger():
		return t.Precision-t.Scale >= integerDigits[u.Kind]
	case t.Kind == KindDecimal && u.Kind == KindDecimal:
		return t.Scale >= u.Scale && t.Precision-t.Scale >= u.Precision-u.Scale
	}
	return false
}

func (t Type) holdsFields(u Type) bool {
	if len(t.Fields) != len(u.Fields) {
		return false
	}
	for i, f := range t.Fields {
		if f.Name != u.Fields[i].Name || !f.Type.Holds(u.Fields[i].Type) {
			return false
		}
	}
	return true
}

// integerDigits is how many digits the largest value has.
var integerDigits = map[Kind]int{KindInt8: 3, KindInt16: 5, KindInt32: 10, KindInt64: 19}

// From casts x, an expression of type u, to t; NULL where the value does not fit.
func (t Type) From(u Type, x string) string { return t.from(u, x, 1) }

// StrictFrom is From with an error where a value does not fit.
func (t Type) StrictFrom(u Type, x string) string {
	if t.Holds(u) || t.Kind == KindString || t.raises(u) {
		return cast(x, t)
	}
	if t.Kind == KindList || t.Kind == KindStruct {
		return t.nestedFrom(u, x, 1)
	}
	if cond := t.fits(u, x); cond != "" {
		return strictly(x, cond, cast(x, t))
	}
	return must(x, x, t.From(u, x))
}

// Finite gives an error where x, a number that a reader made of text, is an
// infinity: readers make one of numbers that are too large.
func Finite(x string) string { return strictly(x, "NOT isinf("+x+")", x) }

// FromText casts text to t; NULL where it is no such value.
func (t Type) FromText(x string) string { return t.fromText(x, 1) }

// StrictFromText is FromText with an error where the text is no such value.
func (t Type) StrictFromText(x string) string {
	if t.Kind == KindString {
		return x
	}
	return must(x, x, t.FromText(x))
}

// FromJSON casts x, an expression of the engine's type JSON, to t; NULL where it
// is no such value.
func (t Type) FromJSON(x string) string {
	if t.Kind == KindList || t.Kind == KindStruct {
		return "TRY(" + t.nestedFromJSON(x, 1) + ")"
	}
	return t.scalarFromJSON(x)
}

// StrictFromJSON is FromJSON with an error where the value does not fit.
func (t Type) StrictFromJSON(x string) string { return t.strictFromJSON(x, 1) }

// cast is a cast that cannot lose anything, or raises an error by itself.
func cast(x string, t Type) string { return "CAST(" + x + " AS " + t.SQL() + ")" }

func try(x string, t Type) string { return "TRY_CAST(" + x + " AS " + t.SQL() + ")" }

// must raises an error where value is not NULL but fit is.
func must(x, value, fit string) string {
	return fmt.Sprintf("CASE WHEN (%s) IS NULL OR (%s) IS NOT NULL THEN (%s) WHEN %s THEN NULL END", value, fit, fit, failure(x))
}

// strictly is value, with an error where x is not NULL and cond does not hold.
func strictly(x, cond, value string) string {
	return fmt.Sprintf("CASE WHEN (%s) IS NULL OR (%s) THEN %s WHEN %s THEN NULL END", x, cond, value, failure(x))
}

// failure raises an error. It is not error(): the engine takes that for
// volatile, and TRY takes nothing volatile. No value is in the message.
func failure(x string) string {
	return "CAST('weft: a value does not fit' || left(CAST(" + x + " AS VARCHAR), 0) AS BOOLEAN)"
}

// raises reports whether the engine's own cast from u raises an error exactly
// where a value does not fit.
func (t Type) raises(u Type) bool {
	switch {
	case t.IsInteger() && u.IsInteger(), t.Kind == KindDecimal && u.IsInteger():
		return true
	case t.Kind == KindFloat32 && u.Kind == KindFloat64:
		return true
	case t.Kind == KindInstant && u.Kind == KindTimestamp, t.Kind == KindTimestamp && u.Kind == KindInstant:
		return true
	}
	return (t.Kind == KindInstant || t.Kind == KindTimestamp) && u.Kind == KindDate
}

func (t Type) from(u Type, x string, depth int) string {
	switch {
	case t.Holds(u), t.Kind == KindString:
		return cast(x, t)
	case u.Kind == KindString:
		return t.fromText(x, depth)
	case t.Kind == KindList || t.Kind == KindStruct:
		return "TRY(" + t.nestedFrom(u, x, depth) + ")"
	case t.raises(u):
		return try(x, t)
	}
	if cond := t.fits(u, x); cond != "" {
		return fmt.Sprintf("CASE WHEN %s THEN %s END", cond, try(x, t))
	}
	return try(x, t)
}

// fits is what is true where a number or a time of type u is one of t too; empty
// where there is no such rule.
func (t Type) fits(u Type, x string) string {
	switch {
	case t.IsInteger() && u.IsFloat():
		return fmt.Sprintf("abs(%[1]s) < %[2]s AND %[1]s = trunc(%[1]s)", x, exactBelow)
	case t.Kind == KindDecimal && u.IsFloat():
		noise := "1e-15"
		if u.Kind == KindFloat32 {
			noise = "3e-7"
		}
		return fmt.Sprintf("abs(TRY_CAST(%[1]s AS DOUBLE) - %[2]s) <= abs(%[2]s) * %[3]s", try(x, t), x, noise)
	case t.IsNumber() && u.IsNumber(), t.IsTemporal() && u.IsTemporal():
		// What is the same after the way back has lost nothing.
		return fmt.Sprintf("TRY_CAST(%s AS %s) = %s", try(x, t), u.SQL(), x)
	}
	return ""
}

// nestedFrom casts lists and structs part by part, with an error where one does
// not fit.
func (t Type) nestedFrom(u Type, x string, depth int) string {
	switch {
	case t.Holds(u):
		return cast(x, t)
	case u.Kind == KindString:
		return t.nestedFromJSON("CAST("+x+" AS JSON)", depth)
	case t.Kind == KindList && u.Kind == KindList:
		e := fmt.Sprintf("e%d", depth)
		return fmt.Sprintf("list_transform(%s, lambda %s: %s)", x, e, t.Elem.strictPart(*u.Elem, e, depth+1))
	case t.Kind == KindStruct && u.Kind == KindStruct:
		var w []string
		for _, f := range t.Fields {
			part := "CAST(NULL AS " + f.Type.SQL() + ")"
			for _, g := range u.Fields {
				if g.Name == f.Name {
					part = f.Type.strictPart(g.Type, fmt.Sprintf("struct_extract(%s, %s)", x, QuoteLiteral(g.Name)), depth+1)
				}
			}
			w = append(w, QuoteIdent(f.Name)+" := "+part)
		}
		return fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN struct_pack(%s) END", x, strings.Join(w, ", "))
	}
	return cast(x, t)
}

func (t Type) strictPart(u Type, x string, depth int) string {
	if t.Kind == KindList || t.Kind == KindStruct {
		return t.nestedFrom(u, x, depth)
	}
	return must(x, x, t.from(u, x, depth))
}
