package node

import (
	"fmt"
	"strings"
	"testing"

	"weft/contract"
	"weft/ingest/postgres/pgtest"
	"weft/serve"
)

// pgValues are columns of PostgreSQL with edge values, as both engines write them.
var pgValues = []struct {
	name, typ string
	values    []string
}{
	{"bo", "boolean", []string{"true", "false"}},
	{"i16", "smallint", []string{"-32768", "32767"}},
	{"i32", "integer", []string{"-2147483648", "2147483647"}},
	{"i64", "bigint", []string{"-9223372036854775808", "9223372036854775807"}},
	{"f32", "real", []string{"NaN", "Infinity", "-Infinity", "-0", "3.4028235e38", "1e-45", "0.1"}},
	{"f64", "double precision", []string{"NaN", "Infinity", "-Infinity", "-0", "1.7976931348623157e308", "5e-324", "0.1"}},
	{"d1", "numeric(1,1)", []string{"0.9", "-0.9"}},
	{"d14", "numeric(14,2)", []string{"999999999999.99", "-0.01"}},
	{"d38", "numeric(38,0)", []string{"99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"}},
	{"d3838", "numeric(38,38)", []string{"0.99999999999999999999999999999999999999", "0.00000000000000000000000000000000000001"}},
	{"txt", "text", []string{"", " ", "NULL", "é", "e\u0301", "a,\"b\"\r\n", "🧵"}},
	{"blb", "bytea", []string{`\x`, `\x00`, `\xff00fe`}},
	{"dat", "date", []string{"0001-01-01", "9999-12-31", "0044-03-15 BC", "4713-01-01 BC", "5874897-12-31", "infinity", "-infinity"}},
	{"tim", "time", []string{"00:00:00", "24:00:00", "23:59:59.999999"}},
	{"ts", "timestamp", []string{"0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "0044-03-15 12:00:00 BC", "infinity", "-infinity"}},
	{"tz", "timestamptz", []string{"0001-01-01 00:00:00+00", "2024-03-31 01:30:00+01", "infinity", "-infinity"}},
	{"uid", "uuid", []string{"ffffffff-ffff-ffff-ffff-ffffffffffff"}},
	{"li", "integer[]", []string{"{}", "{1,NULL,-2147483648}"}},
}

// TestTypesFromPostgres reads edge values out of a real server: they are what
// this node's engine has for the same text.
func TestTypesFromPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a PostgreSQL server")
	}
	s, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	var defs, rows, selects []string
	var cols []typeColumn
	most := 0
	for _, c := range pgValues {
		defs = append(defs, c.name+" "+c.typ)
		cols = append(cols, typeColumn{name: c.name, typ: c.typ})
		most = max(most, len(c.values))
	}
	for i := range most + 1 {
		row, sel := []string{fmt.Sprint(i)}, []string{fmt.Sprintf("CAST(%d AS BIGINT) AS id", i)}
		for _, c := range pgValues {
			typ, err := contract.ParseType("", c.typ)
			if err != nil {
				t.Fatal(err)
			}
			in, out := "NULL", "NULL"
			if i < len(c.values) {
				in = contract.QuoteLiteral(c.values[i])
				out = engineValue(typ, c.values[i])
			}
			row, sel = append(row, in), append(sel, "CAST("+out+" AS "+typ.SQL()+") AS "+c.name)
		}
		rows = append(rows, "("+strings.Join(row, ", ")+")")
		selects = append(selects, "SELECT "+strings.Join(sel, ", "))
	}
	db := s.Database(t, "CREATE TABLE pg (id bigint PRIMARY KEY, "+strings.Join(defs, ", ")+"); INSERT INTO pg VALUES "+strings.Join(rows, ", "))
	r := newRig(t)
	folder := typeProduct("pg", "csv", cols)
	from := strings.Index(folder, "servers: [")
	to := from + strings.Index(folder[from:], "\n")
	server := s.Contract(db)
	r.write(folder[:from] + fmt.Sprintf("servers: [{server: db, type: postgres, host: %s, port: %s, database: %s, schema: public, customProperties: [{property: weftUser, value: %s}]}]",
		server.Host, server.Port, server.Database, pgtest.User) + folder[to:])
	r.apply("pg", serve.OutcomeCommitted)
	r.exactly("PostgreSQL", "FROM sales.pg ORDER BY id", newTypeBench(t).rows("FROM ("+strings.Join(selects, " UNION ALL ")+") ORDER BY id"))
}

// engineValue is a value as PostgreSQL writes it, in the engine's SQL.
func engineValue(t contract.Type, v string) string {
	switch t.Kind {
	case contract.KindBytes:
		return "unhex('" + strings.TrimPrefix(v, `\x`) + "')"
	case contract.KindString:
		return textOf(v)
	case contract.KindList:
		return strings.NewReplacer("{", "[", "}", "]").Replace(v)
	}
	if bc, ok := strings.CutSuffix(v, " BC"); ok {
		day, clock, _ := strings.Cut(bc, " ")
		v = strings.TrimSpace(day + " (BC) " + clock)
	}
	return contract.QuoteLiteral(v)
}
