package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/serve"
)

// typeColumn is one column of the test of all types: its type as a contract
// writes it, values at its edges and others, as SQL.
type typeColumn struct {
	name  string
	typ   string
	edges []string
	draw  func(*rand.Rand) string
}

// textOf is SQL for any text, zero bytes too.
func textOf(s string) string { return fmt.Sprintf("decode(unhex('%x'))", s) }

func quoted(typ string, values ...string) []string {
	var w []string
	for _, v := range values {
		w = append(w, fmt.Sprintf("CAST('%s' AS %s)", v, typ))
	}
	return w
}

func drawDecimal(p, s int) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		n := 1 + r.IntN(p)
		d := make([]byte, max(n, s+1))
		for i := range d {
			d[i] = '0'
			if i >= len(d)-n {
				d[i] = byte('0' + r.IntN(10))
			}
		}
		if len(d) > p {
			d[0] = '0'
		}
		text := string(d[:len(d)-s]) + "." + string(d[len(d)-s:])
		if r.IntN(2) == 0 {
			text = "-" + text
		}
		return fmt.Sprintf("CAST('%s' AS DECIMAL(%d,%d))", strings.TrimSuffix(text, "."), p, s)
	}
}

func drawText(r *rand.Rand) string {
	alphabet := []rune("aZ09 ,;|\"'\\\n\r\t\x00\x01\x1f\x7f-éß世🧵\u0301\u00a0\ufeff\u2028[]{}:")
	n := r.IntN(12)
	w := make([]rune, n)
	for i := range w {
		w[i] = alphabet[r.IntN(len(alphabet))]
	}
	return textOf(string(w))
}

func drawBlob(r *rand.Rand) string {
	b := make([]byte, r.IntN(9))
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return fmt.Sprintf("unhex('%x')", b)
}

func drawFloat(r *rand.Rand) string {
	v := math.Float64frombits(r.Uint64())
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = r.NormFloat64()
	}
	return "CAST('" + strconv.FormatFloat(v, 'e', -1, 64) + "' AS DOUBLE)"
}

func drawReal(r *rand.Rand) string {
	v := math.Float32frombits(r.Uint32())
	if v != v || math.IsInf(float64(v), 0) {
		v = float32(r.NormFloat64())
	}
	return "CAST('" + strconv.FormatFloat(float64(v), 'e', -1, 32) + "' AS FLOAT)"
}

func drawInt(bits int, typ string) func(*rand.Rand) string {
	return func(r *rand.Rand) string {
		return fmt.Sprintf("CAST(%d AS %s)", int64(r.Uint64())>>(64-1-r.IntN(bits)), typ)
	}
}

func drawDate(r *rand.Rand) string {
	return fmt.Sprintf("DATE '1970-01-01' + CAST(%d AS INTEGER)", r.IntN(8_000_000)-4_000_000)
}

func drawStamp(r *rand.Rand) string {
	return fmt.Sprintf("make_timestamp(%d)", r.Int64N(1<<62)-1<<61)
}

func drawUUID(r *rand.Rand) string {
	return fmt.Sprintf("CAST('%08x-%04x-4%03x-a%03x-%012x' AS UUID)", r.Uint32(), r.Uint32N(1<<16), r.Uint32N(1<<12), r.Uint32N(1<<12), r.Uint64N(1<<48))
}

// typeColumns are all types of docs/types.md with their edges.
func typeColumns() []typeColumn {
	const nines = "99999999999999999999999999999999999999"
	cols := []typeColumn{
		{"bo", "boolean", quoted("BOOLEAN", "true", "false"), nil},
		{"i8", "tinyint", quoted("TINYINT", "-128", "127", "0"), drawInt(8, "TINYINT")},
		{"i16", "smallint", quoted("SMALLINT", "-32768", "32767"), drawInt(16, "SMALLINT")},
		{"i32", "integer", quoted("INTEGER", "-2147483648", "2147483647"), drawInt(32, "INTEGER")},
		{"i64", "bigint", quoted("BIGINT", "-9223372036854775808", "9223372036854775807", "9007199254740993"), drawInt(64, "BIGINT")},
		{"u64", "numeric(20,0)", quoted("DECIMAL(20,0)", "18446744073709551615", "0"), drawDecimal(20, 0)},
		{"f32", "real", quoted("FLOAT", "nan", "inf", "-inf", "-0.0", "0.1", "3.4028235e38", "1e-45", "16777217"), drawReal},
		{"f64", "double precision", quoted("DOUBLE", "nan", "inf", "-inf", "-0.0", "0.1", "1.7976931348623157e308", "5e-324", "1e21", "123456789012345680"), drawFloat},
		{"d1", "numeric(1,0)", quoted("DECIMAL(1,0)", "9", "-9", "0"), drawDecimal(1, 0)},
		{"d11", "numeric(1,1)", quoted("DECIMAL(1,1)", "0.9", "-0.9"), drawDecimal(1, 1)},
		{"d4", "numeric(4,4)", quoted("DECIMAL(4,4)", "0.9999"), drawDecimal(4, 4)},
		{"d9", "numeric(9,2)", quoted("DECIMAL(9,2)", "9999999.99"), drawDecimal(9, 2)},
		{"d15", "numeric(15,2)", quoted("DECIMAL(15,2)", "9999999999999.99", "-0.01"), drawDecimal(15, 2)},
		{"d18", "numeric(18,3)", quoted("DECIMAL(18,3)", "999999999999999.999", "-999999999999999.999"), drawDecimal(18, 3)},
		{"d38", "numeric(38,0)", quoted("DECIMAL(38,0)", nines, "-"+nines), drawDecimal(38, 0)},
		{"d389", "numeric(38,9)", quoted("DECIMAL(38,9)", nines[:29]+"."+nines[:9], "0.000000001"), drawDecimal(38, 9)},
		{"d3838", "numeric(38,38)", quoted("DECIMAL(38,38)", "0."+nines, "-0."+nines, "0.00000000000000000000000000000000000001"), drawDecimal(38, 38)},
		{"txt", "text", []string{
			textOf(""), textOf(" "), textOf("NULL"), textOf("null"), textOf("\x00"), textOf("a\x00b"), textOf("é"), textOf("e\u0301"),
			textOf("\ufefftext"), textOf("a,\"b\"\r\n'c'"), textOf("\\x00"), textOf("[1, 2]"), textOf("🧵\u2028"), textOf("-"), textOf("\t"), textOf("\n"),
		}, drawText},
		{"blb", "bytea", []string{"unhex('')", "unhex('00')", "unhex('ff00fe')", "unhex('5c783030')"}, drawBlob},
		{"dat", "date", quoted("DATE", "0001-01-01", "9999-12-31", "10000-01-01", "0001-12-31 (BC)", "4713-01-01 (BC)", "5877642-06-25 (BC)", "5881580-07-10", "infinity", "-infinity", "1969-12-31", "2024-02-29"), drawDate},
		{"tim", "time", quoted("TIME", "00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.000001"), func(r *rand.Rand) string {
			return fmt.Sprintf("make_time(%d, %d, %d.%06d)", r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
		}},
		{"ts", "timestamp", quoted("TIMESTAMP", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999", "290309-12-22 (BC) 00:00:00", "294247-01-10 04:00:54.775806", "infinity", "-infinity", "0044-03-15 (BC) 12:00:00"), drawStamp},
		{"tz", "timestamptz", quoted("TIMESTAMPTZ", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00", "2024-03-31 01:30:00+01", "1883-11-18 12:03:58-04:56:02", "infinity", "-infinity", "0044-03-15 (BC) 12:00:00+00"), func(r *rand.Rand) string {
			return fmt.Sprintf("CAST(make_timestamp(%d) AS TIMESTAMPTZ)", r.Int64N(1<<56)-1<<55)
		}},
		{"uid", "uuid", quoted("UUID", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "7fffffff-ffff-ffff-ffff-ffffffffffff"), drawUUID},
	}
	nested := []typeColumn{
		// Names that the SQL in between might use for something else.
		{"n", "integer", []string{"1"}, nil},
		{"p", "text", []string{"'p'"}, nil},
		{"r", "struct(id integer, n text)", []string{"{'id': 1, 'n': 'x'}"}, nil},
		{"k", "struct(k0 bigint, id text)", []string{"{'k0': 1, 'id': 'x'}"}, nil},
		{"li", "integer[]", []string{"[]::INTEGER[]", "[NULL]::INTEGER[]", "[1, NULL, -2147483648]::INTEGER[]"}, nil},
		{"lt", "text[]", []string{"[" + textOf("") + ", NULL, " + textOf("a,\"b\\\n") + "]", "[" + textOf("NULL") + "]", "[" + textOf("\x00[") + "]"}, nil},
		{"lb", "bytea[]", []string{"[unhex('00ff'), NULL, unhex('')]"}, nil},
		{"lf", "double precision[]", []string{"['nan'::DOUBLE, 'inf'::DOUBLE, -0.0::DOUBLE, 0.1::DOUBLE, NULL]"}, nil},
		{"ld", "numeric(38,9)[]", []string{"[" + quoted("DECIMAL(38,9)", nines[:29]+"."+nines[:9])[0] + ", NULL]"}, nil},
		{"lu", "uuid[]", []string{"['ffffffff-ffff-ffff-ffff-ffffffffffff'::UUID, NULL]"}, nil},
		{"lts", "timestamptz[]", []string{"['2024-03-31 01:30:00+01'::TIMESTAMPTZ, NULL, 'infinity'::TIMESTAMPTZ]"}, nil},
		{"st", `struct("a b" integer, "c""d" text, e date)`, []string{`{'a b': 1, 'c"d': ` + textOf("x\n") + `, 'e': DATE '0001-12-31 (BC)'}`, `{'a b': NULL, 'c"d': NULL, 'e': NULL}`}, nil},
		{"deep", "struct(a struct(b numeric(20,3)[][], c uuid)[])[]", []string{
			"[{'a': [{'b': [[1.5::DECIMAL(20,3), NULL], [], NULL], 'c': 'ffffffff-ffff-ffff-ffff-ffffffffffff'::UUID}, NULL]}, NULL, {'a': []}, {'a': NULL}]",
		}, nil},
	}
	return append(cols, nested...)
}

// typeRows is a SELECT of n rows of all columns: first the edges, then drawn
// values, NULLs between them. Row 0 has NULLs only.
func typeRows(cols []typeColumn, n int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	var rows []string
	for i := range n {
		w := []string{fmt.Sprintf("CAST(%d AS BIGINT) AS id", i)}
		for _, c := range cols {
			t, err := contract.ParseType("", c.typ)
			if err != nil {
				panic(err)
			}
			v := "NULL"
			switch {
			case i == 0:
			case i <= len(c.edges):
				v = c.edges[i-1]
			case c.draw != nil && r.IntN(6) > 0:
				v = c.draw(r)
			case r.IntN(3) > 0:
				v = c.edges[r.IntN(len(c.edges))]
			}
			w = append(w, fmt.Sprintf("CAST(%s AS %s) AS %s", v, t.SQL(), c.name))
		}
		rows = append(rows, "SELECT "+strings.Join(w, ", "))
	}
	return strings.Join(rows, "\nUNION ALL ")
}

// typeProduct is a folder that passes one file through.
func typeProduct(name, format string, cols []typeColumn) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
-- %[1]s/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: sales.%[1]s
name: %[1]s
domain: sales
status: active
description: {purpose: Values of all types.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: %[1]s, version: 1.0.0, contractId: sales.%[1]s/source}]
outputPorts: [{name: %[1]s, version: 1.0.0, contractId: sales.%[1]s/%[1]s, type: tables, customProperties: [{property: weftReaders, value: ["*"]}]}]
-- %[1]s/source.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.%[1]s/source
version: 1.0.0
status: active
slaProperties: [{property: frequency, value: 1, unit: d}]
servers: [{server: files, type: local, path: data/%[1]s.%[2]s, format: %[2]s, customProperties: [{property: weftFormat, value: %[2]s}]}]
-- %[1]s/%[1]s.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.%[1]s/%[1]s
version: 1.0.0
status: active
schema:
  - name: %[1]s
    logicalType: object
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}
`, name, format)
	for _, c := range cols {
		t, _ := contract.ParseType("", c.typ)
		logical, _ := t.ODCS()
		fmt.Fprintf(&b, "      - {name: %s, logicalType: %s, physicalType: '%s'}\n", c.name, logical, c.typ)
	}
	return b.String()
}

// canonical writes an answer row by row, every bit of its values.
func canonical(rd array.RecordReader) string {
	var b strings.Builder
	for rd.Next() {
		rec := rd.RecordBatch()
		for i := range int(rec.NumRows()) {
			for c, col := range rec.Columns() {
				fmt.Fprintf(&b, "%s=%s ", rec.ColumnName(c), exact(col, i))
			}
			b.WriteByte('\n')
		}
	}
	if err := rd.Err(); err != nil {
		return err.Error()
	}
	return b.String()
}

func exact(a arrow.Array, i int) string {
	if a.IsNull(i) {
		return "-"
	}
	switch a := a.(type) {
	case *array.Float32:
		if v := a.Value(i); v == v {
			return fmt.Sprintf("%08x", math.Float32bits(v))
		}
	case *array.Float64:
		if v := a.Value(i); v == v {
			return fmt.Sprintf("%016x", math.Float64bits(v))
		}
	case *array.String:
		return strconv.QuoteToASCII(a.Value(i))
	case *array.Binary:
		return fmt.Sprintf("%x", a.Value(i))
	case *array.Date32:
		return fmt.Sprint(int32(a.Value(i)))
	case *array.Time64:
		return fmt.Sprint(int64(a.Value(i)))
	case *array.Timestamp:
		return fmt.Sprint(int64(a.Value(i)))
	case *array.Decimal128:
		return a.Value(i).BigInt().String()
	case *array.List:
		from, to := a.ValueOffsets(i)
		w := []string{}
		for j := from; j < to; j++ {
			w = append(w, exact(a.ListValues(), int(j)))
		}
		return "[" + strings.Join(w, " ") + "]"
	case *array.Struct:
		w := []string{}
		for f := range a.NumField() {
			w = append(w, a.DataType().(*arrow.StructType).Field(f).Name+":"+exact(a.Field(f), i))
		}
		return "{" + strings.Join(w, " ") + "}"
	}
	return a.ValueStr(i)
}

// typeBench is an engine of the test's own: what the values are before Weft saw them.
type typeBench struct {
	t *testing.T
	d *engine.Direct
}

func newTypeBench(t *testing.T) *typeBench {
	t.Helper()
	d, err := engine.OpenDirect(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	b := &typeBench{t, d}
	b.exec("SET TimeZone = 'UTC'")
	return b
}

func (b *typeBench) exec(sql string) {
	b.t.Helper()
	if _, err := b.d.Exec(context.Background(), engine.Statement{SQL: sql}); err != nil {
		b.t.Fatalf("%v in %.2000s", err, sql)
	}
}

func (b *typeBench) rows(sql string) string {
	b.t.Helper()
	rd, err := b.d.Query(context.Background(), engine.Statement{SQL: sql})
	if err != nil {
		b.t.Fatalf("%v in %.2000s", err, sql)
	}
	defer rd.Release()
	return canonical(rd)
}

// exactly asks the node and wants the same bits.
func (r *rig) exactly(what, sql, want string) {
	r.t.Helper()
	ans, err := r.node.reader.Query(context.Background(), weft.Question{SQL: sql, Subject: tester})
	if err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
	got := canonical(ans.Rows)
	_ = ans.Close()
	sameRows(r.t, what, got, want)
}

func sameRows(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	if len(g) != len(w) {
		t.Errorf("%s: %d rows, want %d: %.300s", what, len(g)-1, len(w)-1, got)
		return
	}
	shown := map[string]bool{}
	for i := range w {
		gc, wc := strings.Fields(g[i]), strings.Fields(w[i])
		for k := range wc {
			name, _, _ := strings.Cut(wc[k], "=")
			if k < len(gc) && gc[k] != wc[k] && !shown[name] {
				shown[name] = true
				t.Errorf("%s: row %d: got %s, want %s", what, i, gc[k], wc[k])
			}
		}
	}
}

// TestTypesAreTheSameEverywhere sends every type and edge value from a source
// through journal, change file, base and compaction, out in every format and in
// again.
func TestTypesAreTheSameEverywhere(t *testing.T) {
	seeds := 1
	if n, err := strconv.Atoi(os.Getenv("WEFT_TYPES_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { typesEverywhere(t, uint64(seed)) })
	}
}

func typesEverywhere(t *testing.T, seed uint64) {
	cols := typeColumns()
	b := newTypeBench(t)
	r := newRig(t)
	b.exec("CREATE TABLE v AS " + typeRows(cols, 60, seed))
	want := b.rows("FROM v ORDER BY id")
	file := func(name string) string { return filepath.Join(r.dir, name, "data", name+".parquet") }
	r.write(typeProduct("types", "parquet", cols))
	if err := os.MkdirAll(filepath.Dir(file("types")), 0o755); err != nil {
		t.Fatal(err)
	}
	var empty []string
	for _, c := range cols {
		typ, _ := contract.ParseType("", c.typ)
		empty = append(empty, "CAST(NULL AS "+typ.SQL()+") AS "+c.name)
	}
	b.exec("COPY (SELECT * REPLACE (" + strings.Join(empty, ", ") + ") FROM v) TO '" + file("types") + "' (FORMAT parquet)")
	r.apply("types", serve.OutcomeCommitted)
	b.exec("COPY v TO '" + file("types") + "' (FORMAT parquet)")
	r.refresh("sales.types", serve.OutcomeCommitted)

	const all = "FROM sales.types ORDER BY id"
	store := func() interface {
		Compact(context.Context, bool) error
	} {
		return r.node.products[mustName(t, "sales.types")].store
	}
	r.exactly("the tail", all, want)
	r.restart()
	r.exactly("the journal read again", all, want)
	r.refresh("sales.types", serve.OutcomeUnchanged)
	for _, what := range []string{"a change file", "a new base"} {
		if err := store().Compact(context.Background(), true); err != nil {
			t.Fatal(err)
		}
		r.exactly(what, all, want)
		// Half of the rows change and change back.
		b.exec("COPY (SELECT * REPLACE (" + strings.Join(empty, ", ") + ") FROM v WHERE id % 2 = 0 UNION ALL FROM v WHERE id % 2 = 1) TO '" + file("types") + "' (FORMAT parquet)")
		r.refresh("sales.types", serve.OutcomeCommitted)
		b.exec("COPY v TO '" + file("types") + "' (FORMAT parquet)")
		r.refresh("sales.types", serve.OutcomeCommitted)
	}
	r.exactly("files and tail", all, want)
	r.restart()
	r.exactly("all of it read again", all, want)
	r.formats(b, cols, want)
}

// formats takes the answer in every format and reads what can be read as a
// source by the same contract.
func (r *rig) formats(b *typeBench, cols []typeColumn, want string) {
	t := r.t
	out := map[serve.Format][]byte{}
	for _, f := range append(serve.Formats(), serve.FormatTable) {
		ans, err := r.node.reader.Query(context.Background(), weft.Question{SQL: "FROM sales.types ORDER BY id", Subject: tester})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range cols {
			typ, _ := contract.ParseType("", c.typ)
			if got, err := contract.FromField(ans.Schema.Field(i + 1)); err != nil || !got.Equal(typ) {
				t.Errorf("column %s is answered as %s, the contract says %s %v", c.name, got, typ, err)
			}
		}
		var buf bytes.Buffer
		if _, err := serve.Encode(&buf, f, ans); err != nil {
			t.Fatal(f, err)
		}
		_ = ans.Close()
		out[f] = buf.Bytes()
	}
	rd, err := ipc.NewReader(bytes.NewReader(out[serve.FormatArrow]))
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, "Arrow", canonical(rd), want)
	sameJSON(t, out[serve.FormatJSON], out[serve.FormatNDJSON], cols)
	for _, f := range []serve.Format{serve.FormatParquet, serve.FormatCSV, serve.FormatNDJSON} {
		name := "back" + string(f)
		r.write(typeProduct(name, string(f), cols))
		path := filepath.Join(r.dir, name, "data", name+"."+string(f))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out[f], 0o600); err != nil {
			t.Fatal(err)
		}
		r.apply(name, serve.OutcomeCommitted)
		r.exactly(string(f)+" read as a source", "FROM sales."+name+" ORDER BY id", want)
	}
	// The table is for eyes: every row and every type is there.
	table := string(out[serve.FormatTable])
	for _, w := range []string{"numeric", "infinity", "NaN", "24:00:00", "ffffffff-ffff-ffff-ffff-ffffffffffff", "60 rows"} {
		if w == "numeric" {
			w = "decimal(38,38)"
		}
		if !strings.Contains(table, w) {
			t.Errorf("the table lacks %s", w)
		}
	}
}

// sameJSON holds the two JSON formats against each other: cell by cell the same.
func sameJSON(t *testing.T, doc, lines []byte, cols []typeColumn) {
	t.Helper()
	var d struct{ Rows [][]json.RawMessage }
	if err := json.Unmarshal(doc, &d); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(lines))
	for i, row := range d.Rows {
		var o map[string]json.RawMessage
		if err := dec.Decode(&o); err != nil {
			t.Fatal(i, err)
		}
		for c, cell := range row[1:] {
			if !bytes.Equal(cell, o[cols[c].name]) {
				t.Errorf("row %d: %s is %s in JSON and %s in NDJSON", i, cols[c].name, cell, o[cols[c].name])
			}
		}
	}
	if dec.More() || !slices.ContainsFunc(d.Rows, func(r []json.RawMessage) bool { return len(r) == len(cols)+1 }) {
		t.Errorf("%d rows in JSON, more in NDJSON", len(d.Rows))
	}
}

// TestSumsOfBigints: the engine sums bigints as a HUGEINT, which Parquet has
// not. A sum is a decimal or a fault, in an answer and in a product, and is the
// same before and after files are written.
func TestSumsOfBigints(t *testing.T) {
	r := newRig(t)
	b := newTypeBench(t)
	b.exec("CREATE TABLE v AS SELECT i::BIGINT AS id, 9223372036854775807 AS big, i % 3 AS part FROM range(10) t(i)")
	r.write(typeProduct("bigs", "parquet", []typeColumn{{name: "big", typ: "bigint"}, {name: "part", typ: "bigint"}}))
	path := filepath.Join(r.dir, "bigs", "data", "bigs.parquet")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	b.exec("COPY v TO '" + path + "' (FORMAT parquet)")
	r.apply("bigs", serve.OutcomeCommitted)
	totals := strings.NewReplacer("sums", "totals", "shop", "bigs",
		"{name: orders, logicalType: integer, physicalType: bigint, required: true}", "{name: part, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}",
		`{name: value, logicalType: number, physicalType: "decimal(12,2)"}`, `{name: value, logicalType: number, physicalType: "numeric(38,0)"}`,
		"SELECT count(*) AS orders, sum(price) AS value FROM", "SELECT part, sum(big) AS value FROM").Replace(sums) + "GROUP BY part\n"
	r.write(totals)
	r.apply("totals", serve.OutcomeCommitted)
	const want = "0,36893488147419103228\n1,27670116110564327421\n2,27670116110564327421"
	same := func(what string) {
		t.Helper()
		r.want("SELECT part, sum(big) FROM sales.bigs GROUP BY 1 ORDER BY 1", want)
		r.want("SELECT part, value FROM insights.totals ORDER BY 1", want)
		r.want("SELECT typeof(value), count(*) FROM insights.totals GROUP BY 1", `"DECIMAL(38,0)",3`)
	}
	same("new")
	for _, n := range []string{"sales.bigs", "insights.totals"} {
		if err := r.node.products[mustName(t, n)].store.Compact(context.Background(), true); err != nil {
			t.Fatal(err)
		}
	}
	same("compacted")
	// What 38 digits do not hold is a fault and no double.
	if text, _, err := r.query("SELECT sum(value * 10000000000) * 1000000000 FROM insights.totals"); err == nil {
		t.Errorf("a sum of too many digits is %s", text)
	}
	r.write(strings.Replace(totals, "sum(big) AS value", "sum(big)::HUGEINT * 4000000000000000000 AS value", 1))
	res, err := r.node.Apply(context.Background(), tester, serve.ApplyRequest{Archive: r.pack("totals"), Dir: filepath.Join(r.dir, "totals")}, nil)
	if err == nil && res.Outcome != serve.OutcomeRefused {
		t.Errorf("a sum of too many digits is committed: %+v", res)
	}
	same("after a refusal")
}
