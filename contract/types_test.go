package contract

import (
	"encoding/csv"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"pgregory.net/rapid"
)

// genType draws any type of the closed table.
func genType(depth int) *rapid.Generator[Type] {
	return rapid.Custom(func(t *rapid.T) Type {
		kinds := []Kind{
			KindBool, KindInt8, KindInt16, KindInt32, KindInt64, KindFloat32, KindFloat64, KindDecimal, KindString, KindBytes,
			KindDate, KindTime, KindTimestamp, KindInstant, KindUUID,
		}
		if depth > 0 {
			kinds = append(kinds, KindList, KindStruct)
		}
		switch k := rapid.SampledFrom(kinds).Draw(t, "kind"); k {
		case KindDecimal:
			p := rapid.IntRange(1, MaxPrecision).Draw(t, "precision")
			return Decimal(p, rapid.IntRange(0, p).Draw(t, "scale"))
		case KindList:
			return List(genType(depth-1).Draw(t, "elem"))
		case KindStruct:
			names := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Za-z_ ".:<(,]{1,8}`), 1, 4, strings.ToLower).Draw(t, "names")
			s := Type{Kind: KindStruct}
			for _, n := range names {
				s.Fields = append(s.Fields, Field{n, genType(depth-1).Draw(t, "field")})
			}
			return s
		default:
			return Type{Kind: k}
		}
	})
}

// TestTypeRoundTrip sends every type through each of its spellings and back.
func TestTypeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := genType(2).Draw(t, "type")
		logical, physical := typ.ODCS()
		if got, err := ParseType(logical, physical); err != nil || !got.Equal(typ) {
			t.Fatalf("ODCS %s %q gives %s %v", logical, physical, got, err)
		}
		if got, err := FromDuckDB(typ.SQL()); err != nil || !got.Equal(typ) {
			t.Fatalf("DuckDB %q gives %s %v", typ.SQL(), got, err)
		}
		if got, err := FromField(ArrowField("x", typ, true)); err != nil || !got.Equal(typ) {
			t.Fatalf("Arrow %s gives %s %v, not %s", typ.Arrow(), got, err, typ)
		}
	})
}

func TestParseType(t *testing.T) {
	for _, c := range []struct{ logical, physical, want string }{
		{"", "bigint", "bigint"},
		{"", "int8", "bigint"},
		{"number", "NUMERIC(14, 2)", "numeric(14,2)"},
		{"", "numeric", "numeric(38,9)"},
		{"", "number(10)", "numeric(10,0)"},
		{"string", "varchar(20)", "text"},
		{"", "character varying (20)", "text"},
		{"", "VARCHAR2(20 CHAR)", "text"},
		{"", "timestamptz", "timestamptz"},
		{"", "timestamp with time zone", "timestamptz"},
		{"", "timestamp(6) with time zone", "timestamptz"},
		{"", "timestamp(3) without time zone", "timestamp"},
		{"", "double precision", "double precision"},
		{"", "float", "double precision"},
		{"", "float(24)", "real"},
		{"", "real", "real"},
		{"", "uuid", "uuid"},
		{"", "text[]", "text[]"},
		{"", "_int4", "integer[]"},
		{"", "ARRAY<STRING>", "text[]"},
		{"", "numeric(5,1)[][]", "numeric(5,1)[][]"},
		{"", "jsonb", "text"},
		{"", "STRUCT<a: INT, b: STRING>", `struct("a" integer, "b" text)`},
		{"", "int unsigned", "bigint"},
		{"", "bigint unsigned", "numeric(20,0)"},
		{"", "bit", "boolean"},
		{"", "datetime2(7)", "timestamp"},
		{"", "nvarchar(max)", "text"},
		{"integer", "", "bigint"},
		{"number", "", "double precision"},
		{"string", "", "text"},
		{"date", "", "date"},
		{"timestamp", "", "timestamp"},
		{"time", "", "time"},
		{"boolean", "", "boolean"},
		{"string", "no such type", "text"},
		{"", "", "unknown"},
	} {
		got, err := ParseType(c.logical, c.physical)
		if err != nil || got.String() != c.want {
			t.Errorf("ParseType(%q, %q) = %s %v, want %s", c.logical, c.physical, got, err, c.want)
		}
	}
	for _, bad := range []string{"interval", "map(text, text)", "numeric(39,2)", "numeric(2,3)", "numeric(0)", "geometry", "int(", "text[", "struct()", "struct(a int, A int)", strings.Repeat("array<", 40) + "int", "time with time zone", "varchar(x)"} {
		if got, err := ParseType("", bad); err == nil {
			t.Errorf("ParseType(%q) = %s, want an error", bad, got)
		}
	}
}

func TestFromDuckDB(t *testing.T) {
	for text, want := range map[string]string{
		"HUGEINT": "numeric(38,0)", "UBIGINT": "numeric(20,0)", "UINTEGER": "bigint", "USMALLINT": "integer", "UTINYINT": "smallint",
		"FLOAT": "real", "DECIMAL": "numeric(18,3)", "TIMESTAMP_NS": "timestamp", "ENUM('a', 'it''s')": "text", "JSON": "text",
		"INTEGER[3]": "integer[]", `STRUCT(a BIGINT, "b c" VARCHAR)[]`: `struct("a" bigint, "b c" text)[]`,
	} {
		if got, err := FromDuckDB(text); err != nil || got.String() != want {
			t.Errorf("FromDuckDB(%q) = %s %v, want %s", text, got, err, want)
		}
	}
	for _, bad := range []string{"INTERVAL", "MAP(VARCHAR, INTEGER)", "BIT", "TIME WITH TIME ZONE", ""} {
		if got, err := FromDuckDB(bad); err == nil {
			t.Errorf("FromDuckDB(%q) = %s, want an error", bad, got)
		}
	}
}

func TestFromArrow(t *testing.T) {
	for _, c := range []struct {
		d    arrow.DataType
		want string
	}{
		{arrow.PrimitiveTypes.Uint64, "numeric(20,0)"},
		{arrow.BinaryTypes.LargeString, "text"},
		{&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, "text"},
		{&arrow.Decimal256Type{Precision: 20, Scale: 2}, "numeric(20,2)"},
		{arrow.FixedSizeListOf(3, arrow.PrimitiveTypes.Float32), "real[]"},
		{extensions.NewUUIDType(), "uuid"},
		{&arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "Europe/Berlin"}, "timestamptz"},
	} {
		if got, err := FromArrow(c.d); err != nil || got.String() != c.want {
			t.Errorf("FromArrow(%s) = %s %v, want %s", c.d, got, err, c.want)
		}
	}
	for _, bad := range []arrow.DataType{
		arrow.MapOf(arrow.BinaryTypes.String, arrow.BinaryTypes.String), arrow.FixedWidthTypes.Duration_s,
		&arrow.Decimal256Type{Precision: 70, Scale: 2}, arrow.FixedWidthTypes.MonthInterval,
	} {
		if got, err := FromArrow(bad); err == nil {
			t.Errorf("FromArrow(%s) = %s, want an error", bad, got)
		}
	}
}

// TestTypesPage holds the table of docs/types.md against the code.
func TestTypesPage(t *testing.T) { page(t, "types.md", typeTable()) }

// TestTypeTable holds the table against the engine: what it writes of each type
// to Parquet, and the value in each form of text.
func TestTypeTable(t *testing.T) {
	e := openEngine(t)
	kinds := map[Kind]bool{}
	for i, r := range typeRows() {
		kinds[r.typ.Kind] = true
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.parquet", i))
		value := "CAST(" + r.sql + " AS " + r.typ.SQL() + ")"
		if _, err := e.one("COPY (SELECT " + value + " AS x) TO '" + file + "' (FORMAT parquet, PARQUET_VERSION v2)"); err != nil {
			t.Fatal(err)
		}
		if got := e.value(t, parquetName, "FROM parquet_schema('"+file+"') WHERE name = 'x'"); got != r.parquet {
			t.Errorf("%s is %q in Parquet, the table says %q", r.typ, got, r.parquet)
		}
		fields, err := csv.NewReader(strings.NewReader(r.csv)).Read()
		if err != nil || len(fields) != 1 {
			t.Fatal(r.csv, fields, err)
		}
		for form, x := range map[string]string{
			"JSON": r.typ.FromJSON("CAST(" + QuoteLiteral(r.json) + " AS JSON)"),
			"CSV":  r.typ.FromText(QuoteLiteral(fields[0])),
		} {
			if got := e.value(t, "("+x+") IS NOT DISTINCT FROM "+value, ""); got != "true" {
				t.Errorf("%s: the value in %s is not that in SQL", r.typ, form)
			}
		}
	}
	for _, k := range []Kind{KindList, KindStruct, KindDecimal} {
		if !kinds[k] {
			t.Errorf("the table lacks %s", k)
		}
	}
	for k := range simple {
		if !kinds[k] {
			t.Errorf("the table lacks %s", k)
		}
	}
}

// parquetName is how the table names a column of parquet_schema.
const parquetName = `CASE WHEN converted_type = 'LIST' THEN 'LIST' WHEN num_children > 0 THEN 'group' ELSE type || coalesce(' (' || CASE
 WHEN converted_type LIKE 'INT%' THEN 'INT ' || substr(converted_type, 5)
 WHEN logical_type LIKE 'DecimalType%' THEN 'DECIMAL'
 WHEN logical_type LIKE 'StringType%' OR converted_type = 'UTF8' THEN 'STRING'
 WHEN logical_type LIKE 'DateType%' OR converted_type = 'DATE' THEN 'DATE'
 WHEN logical_type LIKE 'UUIDType%' THEN 'UUID'
 WHEN logical_type LIKE 'TimeType%' THEN 'TIME, µs'
 WHEN logical_type LIKE 'TimestampType%' THEN 'TIMESTAMP, µs' || CASE WHEN logical_type LIKE '%isAdjustedToUTC=1%' THEN ', UTC' ELSE '' END
 END || ')', '') END`
