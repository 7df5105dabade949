package contract

import (
	"fmt"
	"strings"
)

// typeRow is one row of the closed table of types: what a type is called
// elsewhere, and one value in the forms that text has for it.
type typeRow struct {
	typ      Type
	parquet  string // physical type, and logical type where there is one
	postgres string
	sql      string // a value, as an SQL expression
	json     string // the same in JSON
	csv      string // and in CSV
}

// typeRows are the closed table.
func typeRows() []typeRow {
	text := Type{Kind: KindString}
	return []typeRow{
		{Type{Kind: KindBool}, "BOOLEAN", "boolean", "true", "true", "true"},
		{Type{Kind: KindInt8}, "INT32 (INT 8)", "smallint", "-128", "-128", "-128"},
		{Type{Kind: KindInt16}, "INT32 (INT 16)", "smallint", "32767", "32767", "32767"},
		{Type{Kind: KindInt32}, "INT32 (INT 32)", "integer", "2147483647", "2147483647", "2147483647"},
		{Type{Kind: KindInt64}, "INT64 (INT 64)", "bigint", "9223372036854775807", "9223372036854775807", "9223372036854775807"},
		{Type{Kind: KindFloat32}, "FLOAT", "real", "0.1", "0.1", "0.1"},
		{Type{Kind: KindFloat64}, "DOUBLE", "double precision", "'-Infinity'", `"-Infinity"`, "-Infinity"},
		{Decimal(14, 2), "INT64 (DECIMAL)", "numeric(14,2)", "1234.5", `"1234.50"`, "1234.50"},
		{Decimal(38, 9), "FIXED_LEN_BYTE_ARRAY (DECIMAL)", "numeric(38,9)", "'12345678901234567890123456789.123456789'", `"12345678901234567890123456789.123456789"`, "12345678901234567890123456789.123456789"},
		{text, "BYTE_ARRAY (STRING)", "text", "'say \"hi\"'", `"say \"hi\""`, `"say ""hi"""`},
		{Type{Kind: KindBytes}, "BYTE_ARRAY", "bytea", `'\x00\xFF'`, `"AP8="`, "AP8="},
		{Type{Kind: KindDate}, "INT32 (DATE)", "date", "'2026-01-31'", `"2026-01-31"`, "2026-01-31"},
		{Type{Kind: KindTime}, "INT64 (TIME, µs)", "time", "'13:45:00.5'", `"13:45:00.5"`, "13:45:00.5"},
		{Type{Kind: KindTimestamp}, "INT64 (TIMESTAMP, µs)", "timestamp", "'2026-01-31 13:45:00.5'", `"2026-01-31T13:45:00.5"`, "2026-01-31T13:45:00.5"},
		{Type{Kind: KindInstant}, "INT64 (TIMESTAMP, µs, UTC)", "timestamptz", "'2026-01-31 13:45:00.5+00'", `"2026-01-31T13:45:00.5Z"`, "2026-01-31T13:45:00.5Z"},
		{Type{Kind: KindUUID}, "FIXED_LEN_BYTE_ARRAY (UUID)", "uuid", "'1b4e28ba-2fa1-11d2-883f-0016d3cca427'", `"1b4e28ba-2fa1-11d2-883f-0016d3cca427"`, "1b4e28ba-2fa1-11d2-883f-0016d3cca427"},
		{List(text), "LIST", "text[]", "['a', NULL]", `["a",null]`, `"[""a"",null]"`},
		{Type{Kind: KindStruct, Fields: []Field{{"a", text}}}, "group", "json", "{'a': 'x'}", `{"a":"x"}`, `"{""a"":""x""}"`},
	}
}

// typeTable is the closed table as docs/types.md has it.
func typeTable() string {
	var b strings.Builder
	b.WriteString("\n| logicalType | physicalType | Arrow | DuckDB | Parquet | Postgres | JSON | CSV |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range typeRows() {
		logical, physical := r.typ.ODCS()
		fmt.Fprintf(&b, "| %s | `%s` | `%s` | `%s` | %s | %s | `%s` | `%s` |\n",
			logical, physical, r.typ.Arrow(), r.typ.SQL(), r.parquet, r.postgres, r.json, r.csv)
	}
	return b.String()
}
