package contract

import (
	"fmt"
	"strings"
)

// fromText casts text to t; NULL where it is no such value.
func (t Type) fromText(x string, depth int) string {
	switch t.Kind {
	case KindString, KindUnknown:
		return x
	case KindDecimal:
		return t.decimalFromText(x)
	case KindFloat32, KindFloat64:
		// The engine makes an infinity of a number that is too large.
		return fmt.Sprintf("CASE WHEN NOT isinf(%[1]s) OR regexp_matches(%[2]s, '(?i)inf') THEN %[1]s END", try(x, t), x)
	case KindBytes:
		return fmt.Sprintf(`CASE WHEN starts_with(%[1]s, '\x') THEN CASE WHEN regexp_full_match(%[1]s, '(\\x)?((\\x)?[0-9a-fA-F]{2})*') THEN unhex(replace(%[1]s, '\x', '')) END ELSE TRY(from_base64(%[1]s)) END`, x)
	case KindDate:
		// The engine takes the beginning of a text for a date. One that shows a
		// time of day must show midnight.
		return fmt.Sprintf(`CASE WHEN regexp_full_match(%[1]s, '\s*-?[0-9]+-[0-9]+-[0-9]+( \(BC\))?\s*') THEN %[2]s WHEN TRY_CAST(%[2]s AS TIMESTAMP) = TRY_CAST(%[1]s AS TIMESTAMP) THEN %[2]s END`,
			x, try(x, t))
	case KindTime:
		return fmt.Sprintf(`CASE WHEN regexp_full_match(%[1]s, '\s*[0-9]+:[0-9]+(:[0-9]+(\.[0-9]*)?)?\s*') THEN %[2]s END`, x, try(x, t))
	case KindTimestamp:
		// The engine would drop the offset of a text.
		return fmt.Sprintf(`CASE WHEN regexp_matches(%[1]s, ':[0-9.]+\s*([+-][0-9:]+|[A-Za-z/_]+)\s*$') THEN TRY_CAST(TRY_CAST(%[1]s AS TIMESTAMPTZ) AS TIMESTAMP) ELSE %[2]s END`, x, try(x, t))
	case KindList, KindStruct:
		return fmt.Sprintf("CASE WHEN json_valid(%[1]s) THEN TRY(%[2]s) END", x, t.nestedFromJSON("CAST("+x+" AS JSON)", depth))
	}
	if t.IsInteger() {
		return fmt.Sprintf(`CASE WHEN regexp_full_match(%[1]s, '\s*[+-]?[0-9]+(\.0*)?\s*') THEN %[2]s ELSE %[3]s END`,
			x, try(x, t), t.From(Type{Kind: KindFloat64}, "TRY_CAST("+x+" AS DOUBLE)"))
	}
	return try(x, t)
}

// decimalFromText reads plain digits and, as the engine does, exponents. The
// engine rounds digits that a decimal has no place for; they are looked at
// before. Decimals of more than 18 digits cost it sixty times the time: numbers
// that need no more take the short way.
func (t Type) decimalFromText(x string) string {
	plain := func(whole, scale int) string {
		return fmt.Sprintf(`regexp_full_match(%s, '\s*[+-]?0*[0-9]{0,%d}(\.[0-9]{0,%d}0*)?\s*')`, x, whole, scale)
	}
	whole := t.Precision - t.Scale
	short := ""
	if t.Precision > 18 {
		s := Decimal(18, min(t.Scale, 9))
		short = fmt.Sprintf("WHEN %s THEN CAST(%s AS %s) ", plain(min(whole, 18-s.Scale), s.Scale), try(x, s), t.SQL())
	}
	// With the most decimals that leave room for the whole digits nothing that
	// an exponent can say gets lost unseen.
	long := Decimal(MaxPrecision, MaxPrecision-whole)
	return fmt.Sprintf(`CASE %sWHEN %s THEN %s WHEN contains(lower(%s), 'e') AND %s = %s THEN %s END`,
		short, plain(whole, t.Scale), try(x, t), x, try(x, t), try(x, long), try(x, t))
}

// scalarFromJSON casts a JSON value that is no list or object.
func (t Type) scalarFromJSON(x string) string {
	text := "(" + x + " ->> '$')"
	switch t.Kind {
	case KindDecimal:
		// The engine reads a JSON number with a point or an exponent as a double;
		// digits that one does not keep are gone. Text and whole numbers keep them.
		f := "TRY_CAST(" + x + " AS DOUBLE)"
		return fmt.Sprintf("CASE WHEN json_type(%s) <> 'DOUBLE' OR regexp_full_match(%s, '-?[0-9]+') THEN %s WHEN abs(%s) < 1e%d THEN %s END",
			x, text, t.FromText(text), f, doubleDigits-t.Scale, t.From(Type{Kind: KindFloat64}, f))
	case KindFloat32, KindFloat64:
		return fmt.Sprintf("CASE WHEN json_type(%s) = 'VARCHAR' OR NOT isinf(%s) THEN %s END", x, try(text, Type{Kind: KindFloat64}), t.FromText(text))
	}
	return t.FromText(text)
}

func (t Type) strictFromJSON(x string, depth int) string {
	if t.Kind == KindList || t.Kind == KindStruct {
		return t.nestedFromJSON(x, depth)
	}
	return must(x, "("+x+" ->> '$')", t.scalarFromJSON(x))
}

// nestedFromJSON casts a JSON array or object part by part, with an error where
// one does not fit. Fields that the type does not name are left out.
func (t Type) nestedFromJSON(x string, depth int) string {
	kind, made := "ARRAY", ""
	if t.Kind == KindList {
		e := fmt.Sprintf("e%d", depth)
		made = fmt.Sprintf("list_transform(CAST(%s AS JSON[]), lambda %s: %s)", x, e, t.Elem.strictFromJSON(e, depth+1))
	} else {
		kind = "OBJECT"
		var w []string
		for _, f := range t.Fields {
			at := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(f.Name)
			w = append(w, QuoteIdent(f.Name)+" := "+f.Type.strictFromJSON("json_extract("+x+", "+QuoteLiteral(at)+")", depth+1))
		}
		made = "struct_pack(" + strings.Join(w, ", ") + ")"
	}
	return fmt.Sprintf("CASE WHEN json_type(%[1]s) = '%[2]s' THEN %[3]s WHEN json_type(%[1]s) <> 'NULL' AND %[4]s THEN NULL END", x, kind, made, failure(x))
}
