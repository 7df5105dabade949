package files

import (
	"fmt"

	"weft/contract"
	"weft/ingest"
)

// way is how a column of a text file gets its type.
type way struct {
	read   string // the type that the engine's reader makes
	value  string // what was read; NULL where there is no value
	strict string // the value in the column's type; what does not fit ends the statement
	try    string // the same with NULL for what does not fit
	sure   bool   // the reader itself makes exactly the column's type
}

// wrong is true where there is a value and it does not fit.
func (w way) wrong() string { return "((" + w.value + ") IS NOT NULL AND (" + w.try + ") IS NULL)" }

// sure is a column whose type the engine's reader makes of text without loss.
func sure(e string, t contract.Type) way {
	return way{read: t.SQL(), value: e, strict: e, try: e, sure: true}
}

// dated is text in a declared format of dates or times.
func dated(x string, t contract.Type, format string) way {
	e := "CAST(try_strptime(" + x + ", " + contract.QuoteLiteral(format) + ") AS " + t.SQL() + ")"
	strict := "CAST(strptime(" + x + ", " + contract.QuoteLiteral(format) + ") AS " + t.SQL() + ")"
	return way{read: "VARCHAR", value: x, strict: strict, try: e}
}

// fast is the type that the engine's reader makes quickly and that shows whether
// the text fits t.
func fast(t contract.Type) (u contract.Type, ok bool) {
	switch {
	case t.IsInteger(), t.Kind == contract.KindDecimal && t.Precision <= 15:
		return contract.Type{Kind: contract.KindFloat64}, true
	case t.Kind == contract.KindDate:
		return contract.Type{Kind: contract.KindTimestamp}, true
	case t.Kind == contract.KindTimestamp:
		return contract.Type{Kind: contract.KindInstant}, true
	}
	return t, false
}

// fastWay reads e by way of another type, or as a float that is no infinity.
func fastWay(e string, t contract.Type) (way, bool) {
	if t.IsFloat() {
		return way{read: t.SQL(), value: e, strict: contract.Finite(e), try: "CASE WHEN NOT isinf(" + e + ") THEN " + e + " END"}, true
	}
	u, ok := fast(t)
	return way{read: u.SQL(), value: e, strict: t.StrictFrom(u, e), try: t.From(u, e)}, ok
}

// format is the declared format of a type's text, empty for ISO 8601.
func (d dialect) format(t contract.Type) string {
	switch t.Kind {
	case contract.KindDate:
		return d.dates
	case contract.KindTimestamp, contract.KindInstant:
		return d.stamps
	}
	return ""
}

// way is how a CSV column is read; exact is for values that the fast way cannot
// tell about.
func (g *group) way(b ingest.Binding, exact bool) way {
	e, t := column(b), b.Type
	format := g.csv.format(t)
	switch {
	case t.Kind == contract.KindString:
		return sure(e, t)
	case g.blanks && emptyText(t):
	case g.blanks && format != "":
		return dated("nullif("+e+", '')", t, format)
	case g.blanks:
		return textWay("nullif("+e+", '')", t)
	case format != "", t.Kind == contract.KindBool, t.Kind == contract.KindUUID, t.Kind == contract.KindInstant:
		return sure(e, t)
	case !exact && !g.large[b.Name]:
		if w, ok := fastWay(e, t); ok {
			return w
		}
	}
	return textWay(e, t)
}

// column is what the engine calls a column of a CSV file.
func column(b ingest.Binding) string { return fmt.Sprintf("c%d", b.Index) }

// emptyText reports whether empty text is a value of the type.
func emptyText(t contract.Type) bool {
	return t.Kind == contract.KindString || t.Kind == contract.KindBytes
}

func textWay(x string, t contract.Type) way {
	return way{read: "VARCHAR", value: x, strict: t.StrictFromText(x), try: t.FromText(x)}
}
