package store

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// TypeKey is the metadata key of a field for the engine's name of the column's type,
// where the Arrow type alone does not say it. The store keeps it, the column's id
// and its default, and nothing else of what comes with a field.
const TypeKey = engine.TypeKey

// The columns that files of changes carry, and the marker of the tail's rows.
const (
	columnSeqTo = "_seq_to" // Seq of the commit that replaced this row; seqForever for none
	columnLive  = "_live"   // the row is its key's last at the cut and no delete
	// ownPrefix begins the names of columns that files keep for older cuts, and of
	// those that changes are computed with.
	ownPrefix = "_weft_"
)

// seqForever is a Seq after all others, as files write it.
const seqForever = int64(1)<<62 - 1

// normalSchema returns the columns of s as a commit says them: without metadata but
// for TypeKey, so that equal tables have equal digests. Their ids and defaults are
// given by number and evolve. It refuses what no file, engine or wire can hold the
// same.
func normalSchema(s *arrow.Schema) (*arrow.Schema, error) {
	if s == nil || s.NumFields() == 0 {
		return nil, fmt.Errorf("the table has no columns")
	}
	seen := map[string]bool{ColumnOp: true, ColumnSeq: true, columnSeqTo: true, columnLive: true}
	fields := make([]arrow.Field, 0, s.NumFields())
	for _, f := range s.Fields() {
		// The engine does not tell capital from small letters in a name.
		if low := strings.ToLower(f.Name); seen[low] || low == "" || strings.HasPrefix(low, ownPrefix) {
			return nil, fmt.Errorf("column %q is there twice, has no name or has one that the store uses itself", f.Name)
		} else {
			seen[low] = true
		}
		if _, err := sqlType(f); err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
		fields = append(fields, normalField(f))
	}
	return arrow.NewSchema(fields, nil), nil
}

func normalField(f arrow.Field) arrow.Field {
	g := arrow.Field{Name: f.Name, Type: normalType(f.Type), Nullable: true}
	if v, ok := f.Metadata.GetValue(TypeKey); ok {
		g.Metadata = arrow.NewMetadata([]string{TypeKey}, []string{v})
	}
	return g
}

func normalType(t arrow.DataType) arrow.DataType {
	switch t := t.(type) {
	case *arrow.ListType:
		item := normalField(t.ElemField())
		item.Name = "item"
		return arrow.ListOfField(item)
	case *arrow.StructType:
		fs := make([]arrow.Field, t.NumFields())
		for i, f := range t.Fields() {
			fs[i] = normalField(f)
		}
		return arrow.StructOf(fs...)
	}
	return t
}

// sqlType is the engine's name of a column's type.
func sqlType(f arrow.Field) (string, error) {
	if v, ok := f.Metadata.GetValue(TypeKey); ok {
		if v == "UUID" && f.Type.ID() == arrow.STRING {
			return v, nil
		}
		return "", fmt.Errorf("the type %q is not known", v)
	}
	switch t := f.Type.(type) {
	case *arrow.Decimal128Type:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision, t.Scale), nil
	case *arrow.TimestampType:
		switch {
		case t.TimeZone != "" && t.Unit == arrow.Microsecond:
			return "TIMESTAMPTZ", nil
		case t.TimeZone == "" && t.Unit == arrow.Microsecond:
			return "TIMESTAMP", nil
		}
		return "", fmt.Errorf("a timestamp is kept in microseconds, this is %s", t)
	case *arrow.Time64Type:
		if t.Unit == arrow.Microsecond {
			return "TIME", nil
		}
		return "", fmt.Errorf("a time is kept in microseconds, this is %s", t)
	case *arrow.ListType:
		e, err := sqlType(t.ElemField())
		return e + "[]", err
	case *arrow.StructType:
		var parts []string
		for _, g := range t.Fields() {
			e, err := sqlType(g)
			if err != nil {
				return "", err
			}
			parts = append(parts, engine.QuoteIdent(g.Name)+" "+e)
		}
		return "STRUCT(" + strings.Join(parts, ", ") + ")", nil
	}
	if n, ok := scalarTypes[f.Type.ID()]; ok {
		return n, nil
	}
	return "", fmt.Errorf("the type %s cannot be kept", f.Type)
}

var scalarTypes = map[arrow.Type]string{
	arrow.BOOL: "BOOLEAN", arrow.INT8: "TINYINT", arrow.INT16: "SMALLINT", arrow.INT32: "INTEGER", arrow.INT64: "BIGINT",
	arrow.UINT8: "UTINYINT", arrow.UINT16: "USMALLINT", arrow.UINT32: "UINTEGER", arrow.UINT64: "UBIGINT",
	arrow.FLOAT32: "FLOAT", arrow.FLOAT64: "DOUBLE", arrow.STRING: "VARCHAR", arrow.LARGE_STRING: "VARCHAR",
	arrow.BINARY: "BLOB", arrow.LARGE_BINARY: "BLOB", arrow.DATE32: "DATE",
}

// keyColumns returns the positions of the key columns, none for a keyless table.
func keyColumns(s *arrow.Schema, key []string) ([]int, error) {
	var at []int
	for _, k := range key {
		is := s.FieldIndices(k)
		if len(is) != 1 {
			return nil, fmt.Errorf("the key names column %q, which the table does not have", k)
		}
		if !keyType(s.Field(is[0]).Type) {
			return nil, fmt.Errorf("column %q of type %s cannot be part of a key", k, s.Field(is[0]).Type)
		}
		at = append(at, is[0])
	}
	return at, nil
}

func keyType(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64,
		arrow.STRING, arrow.LARGE_STRING, arrow.DECIMAL128, arrow.DATE32, arrow.TIMESTAMP, arrow.BOOL, arrow.TIME64:
		return true
	}
	return false
}

// SameType compares the types of columns, and what the Arrow type alone does not
// say: a uuid is text in Arrow. Whether there may be NULL does not matter.
func SameType(a, b arrow.Field) bool {
	x, err := sqlType(a)
	if err != nil {
		return false
	}
	y, err := sqlType(b)
	return err == nil && x == y && arrow.TypeEqual(normalType(a.Type), normalType(b.Type))
}

// typeName is the engine's name of a column's type for an error, else Arrow's.
func typeName(f arrow.Field) string {
	if t, err := sqlType(f); err == nil {
		return t
	}
	return f.Type.String()
}

// sameColumns says how b differs from what a table has, nil where it does not.
func sameColumns(a, b *arrow.Schema) error {
	if a.NumFields() != b.NumFields() {
		return fmt.Errorf("it has %d columns, the table has %d", b.NumFields(), a.NumFields())
	}
	for i, f := range a.Fields() {
		if g := b.Field(i); f.Name != g.Name || !SameType(f, g) {
			return fmt.Errorf("column %d is %q of type %s, the table has %q of type %s", i+1, g.Name, typeName(g), f.Name, typeName(f))
		}
	}
	return nil
}

// withOp is the schema of a merge batch: _op before the table's columns.
func withOp(s *arrow.Schema) *arrow.Schema {
	fs := append([]arrow.Field{{Name: ColumnOp, Type: arrow.BinaryTypes.String}}, s.Fields()...)
	return arrow.NewSchema(fs, nil)
}

// columns lists a table's columns for SELECT, each as exactly its declared
// type: a file may hold a wider or narrower spelling of it.
func columns(s *arrow.Schema, prefix string) string {
	parts := make([]string, s.NumFields())
	for i, f := range s.Fields() {
		t, _ := sqlType(f) // held by normalSchema
		parts[i] = prefix + engine.QuoteIdent(f.Name) + "::" + t + " AS " + engine.QuoteIdent(f.Name)
	}
	return strings.Join(parts, ", ")
}

// invalid says that a candidate cannot be a commit.
func invalid(table, format string, args ...any) *weft.Error {
	return weft.Errorf(weft.KindInvalid, "commit table", table, format, args...)
}
