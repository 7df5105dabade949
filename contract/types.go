package contract

import (
	"fmt"
	"strings"
)

// Kind is one type of the closed table in docs/types.md.
type Kind string

// The closed set of types.
const (
	KindUnknown   Kind = ""
	KindBool      Kind = "boolean"
	KindInt8      Kind = "tinyint"
	KindInt16     Kind = "smallint"
	KindInt32     Kind = "integer"
	KindInt64     Kind = "bigint"
	KindFloat32   Kind = "float"
	KindFloat64   Kind = "double"
	KindDecimal   Kind = "decimal"
	KindString    Kind = "text"
	KindBytes     Kind = "blob"
	KindDate      Kind = "date"
	KindTime      Kind = "time"
	KindTimestamp Kind = "timestamp"   // without a zone
	KindInstant   Kind = "timestamptz" // a point in time, UTC inside
	KindUUID      Kind = "uuid"
	KindList      Kind = "list"
	KindStruct    Kind = "struct"
)

// MaxPrecision is the largest number of digits of a decimal.
const MaxPrecision = 38

// Type is the type of a column.
type Type struct {
	Kind      Kind
	Precision int     // decimal: 1 to 38
	Scale     int     // decimal
	Elem      *Type   // list
	Fields    []Field // struct
}

// Field is one field of a struct.
type Field struct {
	Name string
	Type Type
}

// simple holds, for each kind without parameters, its DuckDB name, the ODCS
// logicalType and the physicalType that Weft writes.
var simple = map[Kind]struct{ sql, logical, physical string }{
	KindBool:      {"BOOLEAN", "boolean", "boolean"},
	KindInt8:      {"TINYINT", "integer", "tinyint"},
	KindInt16:     {"SMALLINT", "integer", "smallint"},
	KindInt32:     {"INTEGER", "integer", "integer"},
	KindInt64:     {"BIGINT", "integer", "bigint"},
	KindFloat32:   {"FLOAT", "number", "real"},
	KindFloat64:   {"DOUBLE", "number", "double precision"},
	KindString:    {"VARCHAR", "string", "text"},
	KindBytes:     {"BLOB", "string", "bytea"},
	KindDate:      {"DATE", "date", "date"},
	KindTime:      {"TIME", "time", "time"},
	KindTimestamp: {"TIMESTAMP", "timestamp", "timestamp"},
	KindInstant:   {"TIMESTAMP WITH TIME ZONE", "timestamp", "timestamptz"},
	KindUUID:      {"UUID", "string", "uuid"},
}

// Decimal returns the type of exact numbers with p digits, s of them after the point.
func Decimal(p, s int) Type { return Type{Kind: KindDecimal, Precision: p, Scale: s} }

// List returns the type of lists of elem.
func List(elem Type) Type { return Type{Kind: KindList, Elem: &elem} }

// SQL returns the DuckDB spelling of the type, fit for CAST; VARCHAR where the
// type is not known.
func (t Type) SQL() string {
	switch t.Kind {
	case KindUnknown:
		return "VARCHAR"
	case KindDecimal:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision, t.Scale)
	case KindList:
		return t.Elem.SQL() + "[]"
	case KindStruct:
		var w []string
		for _, f := range t.Fields {
			w = append(w, QuoteIdent(f.Name)+" "+f.Type.SQL())
		}
		return "STRUCT(" + strings.Join(w, ", ") + ")"
	}
	return simple[t.Kind].sql
}

// String returns the type as a contract's physicalType spells it; "unknown"
// where it is not known.
func (t Type) String() string {
	switch t.Kind {
	case KindUnknown:
		return "unknown"
	case KindDecimal:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case KindList:
		return t.Elem.String() + "[]"
	case KindStruct:
		var w []string
		for _, f := range t.Fields {
			w = append(w, QuoteIdent(f.Name)+" "+f.Type.String())
		}
		return "struct(" + strings.Join(w, ", ") + ")"
	}
	return simple[t.Kind].physical
}

// ODCS returns the logicalType and physicalType that a contract writes for the
// type; both are empty where it is not known. ParseType reads them back.
func (t Type) ODCS() (logical, physical string) {
	switch t.Kind {
	case KindUnknown:
		return "", ""
	case KindDecimal:
		return "number", t.String()
	case KindList:
		return "array", t.String()
	case KindStruct:
		return "object", t.String()
	}
	s := simple[t.Kind]
	return s.logical, s.physical
}

// Equal reports whether t and u are the same type.
func (t Type) Equal(u Type) bool {
	if t.Kind != u.Kind || t.Precision != u.Precision || t.Scale != u.Scale || len(t.Fields) != len(u.Fields) {
		return false
	}
	if (t.Elem == nil) != (u.Elem == nil) || t.Elem != nil && !t.Elem.Equal(*u.Elem) {
		return false
	}
	for i, f := range t.Fields {
		if f.Name != u.Fields[i].Name || !f.Type.Equal(u.Fields[i].Type) {
			return false
		}
	}
	return true
}

// IsInteger reports whether the values are whole numbers of a fixed size.
func (t Type) IsInteger() bool {
	return t.Kind == KindInt8 || t.Kind == KindInt16 || t.Kind == KindInt32 || t.Kind == KindInt64
}

// IsFloat reports whether the values are binary floating point numbers.
func (t Type) IsFloat() bool { return t.Kind == KindFloat32 || t.Kind == KindFloat64 }

// IsNumber reports whether the values are numbers.
func (t Type) IsNumber() bool { return t.IsInteger() || t.IsFloat() || t.Kind == KindDecimal }

// IsTemporal reports whether the values are dates, times or points in time.
func (t Type) IsTemporal() bool {
	return t.Kind == KindDate || t.Kind == KindTime || t.Kind == KindTimestamp || t.Kind == KindInstant
}

// IsKey reports whether a column of the type may be part of a primary key:
// whole and exact numbers, text, dates, timestamps and uuids.
func (t Type) IsKey() bool {
	switch t.Kind {
	case KindDecimal, KindString, KindDate, KindTimestamp, KindInstant, KindUUID:
		return true
	}
	return t.IsInteger()
}
