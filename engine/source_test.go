package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"weft"
)

// typed are the columns that go through source, statement and answer, as the
// JSON of their values. back is the type that comes out where it is another.
var typed = []struct {
	name   string
	typ    arrow.DataType
	back   arrow.DataType
	values string
}{
	{"boolean", arrow.FixedWidthTypes.Boolean, nil, `[true,false,null]`},
	{"tinyint", arrow.PrimitiveTypes.Int8, nil, `[-128,127,0,null]`},
	{"smallint", arrow.PrimitiveTypes.Int16, nil, `[-32768,32767,null]`},
	{"integer", arrow.PrimitiveTypes.Int32, nil, `[-2147483648,2147483647,null]`},
	{"bigint", arrow.PrimitiveTypes.Int64, nil, `[-9223372036854775808,9223372036854775807,null]`},
	{"utinyint", arrow.PrimitiveTypes.Uint8, nil, `[255,0,null]`},
	{"ubigint", arrow.PrimitiveTypes.Uint64, nil, `[18446744073709551615,0,null]`},
	{"float", arrow.PrimitiveTypes.Float32, nil, `[1.5,-0.0,3.4028234e38,"NaN","+Inf","-Inf",null]`},
	{"double", arrow.PrimitiveTypes.Float64, nil, `[0.1,-0.0,1.7976931348623157e308,5e-324,"NaN","+Inf","-Inf",null]`},
	{"decimal4", &arrow.Decimal128Type{Precision: 4, Scale: 2}, nil, `["99.99","-99.99","0.00",null]`},
	{"decimal18", &arrow.Decimal128Type{Precision: 18, Scale: 6}, nil, `["999999999999.999999","-0.000001",null]`},
	{"decimal38", &arrow.Decimal128Type{Precision: 38, Scale: 0}, nil, `["99999999999999999999999999999999999999","-99999999999999999999999999999999999999",null]`},
	{"decimal38s", &arrow.Decimal128Type{Precision: 38, Scale: 38}, nil, `["0.99999999999999999999999999999999999999",null]`},
	{"text", arrow.BinaryTypes.String, nil, `["","a","a longer text than twelve bytes","\u0000 zero","🦆 ü",null]`},
	{"large text", arrow.BinaryTypes.LargeString, arrow.BinaryTypes.String, `["","a longer text than twelve bytes",null]`},
	{"view", arrow.BinaryTypes.StringView, arrow.BinaryTypes.String, `["","short","a longer text than twelve bytes",null]`},
	{"blob", arrow.BinaryTypes.Binary, nil, `["","AP8B",null]`},
	{"date", arrow.FixedWidthTypes.Date32, nil, `["1970-01-01","0001-01-01","9999-12-31","1969-12-31",null]`},
	{"time", arrow.FixedWidthTypes.Time64us, nil, `["00:00:00","23:59:59.999999",null]`},
	{"timestamp", &arrow.TimestampType{Unit: arrow.Microsecond}, nil, `["1969-12-31 23:59:59.999999","0001-01-01 00:00:00","9999-12-31 23:59:59.999999",null]`},
	{"timestamptz", &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, nil, `["2026-03-29 01:30:00.000001Z","1900-01-01 00:00:00Z",null]`},
	{"timestampns", &arrow.TimestampType{Unit: arrow.Nanosecond}, nil, `["2026-03-29 01:30:00.000000001",null]`},
	{"list", arrow.ListOf(arrow.PrimitiveTypes.Int64), nil, `[[],[1,null,3],null,[4]]`},
	{"list of text", arrow.ListOf(arrow.BinaryTypes.String), nil, `[[],["a",null,"a longer text than twelve"],null]`},
	{"list of lists", arrow.ListOf(arrow.ListOf(arrow.FixedWidthTypes.Boolean)), nil, `[[[true],null,[]],null,[[false,null]]]`},
	{
		"struct", arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, arrow.Field{Name: "b", Type: arrow.BinaryTypes.String, Nullable: true}), nil,
		`[{"a":1,"b":"x"},{"a":null,"b":null},null,{"a":4,"b":"a longer text than twelve"}]`,
	},
	{
		"struct of list", arrow.StructOf(arrow.Field{Name: "l", Type: arrow.ListOf(arrow.FixedWidthTypes.Boolean), Nullable: true}), nil,
		`[{"l":[true,false]},{"l":null},null,{"l":[]}]`,
	},
	{
		"list of struct", arrow.ListOf(arrow.StructOf(arrow.Field{Name: "a", Type: arrow.FixedWidthTypes.Boolean, Nullable: true})), nil,
		`[[{"a":true},null],[],null,[{"a":false},{"a":null}]]`,
	},
	{"fixed list", arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32), nil, `[[1,2],null,[null,4]]`},
	{"map", arrow.MapOf(arrow.BinaryTypes.String, arrow.PrimitiveTypes.Int32), nil, `[[{"key":"a","value":1}],[],null,[{"key":"b","value":null},{"key":"c","value":3}]]`},
	{"dictionary", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}, arrow.BinaryTypes.String, `["a","b",null,"a"]`},
	{"null", arrow.Null, arrow.PrimitiveTypes.Int32, `[null,null]`},
}

// column repeats the values until there are more rows than a vector has.
func column(t testing.TB, typ arrow.DataType, values string, times int) arrow.Array {
	t.Helper()
	inner := strings.TrimSuffix(strings.TrimPrefix(values, "["), "]")
	all := "[" + strings.Repeat(inner+",", times-1) + inner + "]"
	a, _, err := array.FromJSON(memoryOf(), typ, strings.NewReader(all))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// text is what an array says, one value a line.
func text(a arrow.Array) string {
	var b strings.Builder
	for i := range a.Len() {
		fmt.Fprintln(&b, a.IsNull(i) || a.DataType().ID() == arrow.NULL, a.ValueStr(i))
	}
	return b.String()
}

// source cuts a column into batches of pieces at offsets, as a journal does.
func source(a arrow.Array) Source {
	sc := arrow.NewSchema([]arrow.Field{{Name: "other", Type: a.DataType(), Nullable: true}, {Name: "v", Type: a.DataType(), Nullable: true}}, nil)
	s := Source{Name: "the source", Schema: sc}
	whole := array.NewRecordBatch(sc, []arrow.Array{a, a}, int64(a.Len()))
	n := int64(a.Len())
	for _, cut := range [][2]int64{{0, 0}, {0, 1}, {1, n / 3}, {n / 3, n/3 + 7}, {n/3 + 7, n}} {
		if cut[1] <= n {
			s.Batches = append(s.Batches, whole.NewSlice(cut[0], cut[1]))
		}
	}
	return s
}

func collect(t testing.TB, r array.RecordReader, err error) (string, arrow.DataType) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var b strings.Builder
	for r.Next() {
		b.WriteString(text(r.RecordBatch().Column(0)))
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return b.String(), r.Schema().Field(0).Type
}

// TestTypes sends every type and its edges through a source and an answer, in
// slices with offsets, in this process and through a worker.
func TestTypes(t *testing.T) {
	d, err := OpenDirect(map[string]string{"threads": "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Exec(t.Context(), Statement{SQL: "set TimeZone = 'UTC'"}); err != nil {
		t.Fatal(err)
	}
	s := testSession(t, func(c *SessionConfig) { c.Ordered, c.Threads = true, 1 })
	for _, c := range typed {
		t.Run(c.name, func(t *testing.T) {
			a := column(t, c.typ, c.values, 1500)
			st := Statement{SQL: "select v from arrow_source('the source')", Sources: []Source{source(a)}}
			want := text(a)
			back := c.back
			if back == nil {
				back = c.typ
			}
			r, err := d.Query(t.Context(), st)
			if got, typ := collect(t, r, err); got != want || !arrow.TypeEqual(typ, back) {
				t.Errorf("direct: %s: %s", typ, firstDifference(got, want))
			}
			r, err = s.Query(t.Context(), st)
			if got, typ := collect(t, r, err); got != want || !arrow.TypeEqual(typ, back) {
				t.Errorf("worker: %s: %s", typ, firstDifference(got, want))
			}
		})
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			return fmt.Sprintf("row %d of %d (%d wanted): have %q, want %q", i, len(g), len(w), append(g, "nothing")[min(i, len(g))], w[i])
		}
	}
	return "more rows than wanted"
}

func TestSourceShapes(t *testing.T) {
	s := testSession(t, nil)
	b := numbers(0, 5000)
	empty := Source{Name: "e", Schema: b.Schema()}
	full := Source{Name: "f", Schema: b.Schema(), Batches: []arrow.RecordBatch{b, numbers(5000, 1), numbers(5001, 0), numbers(5001, 70_000)}}
	for sql, want := range map[string]string{
		"select count(*) from arrow_source('e')":                                                               "0\n",
		"select count(*), sum(k) from arrow_source('e')":                                                       "0|(null)\n",
		"select count(*) from arrow_source('f')":                                                               "75001\n",
		"select 1 from arrow_source('f') limit 1":                                                              "1\n",
		"select count(t), count(distinct t), max(k) from arrow_source('f')":                                    "64286|64286|75000\n",
		"select t, k, t from arrow_source('f') where k = 74999":                                                "t74999|74999|t74999\n",
		"select count(*) from arrow_source('f') a join arrow_source('f') b using (k)":                          "75001\n",
		"select count(*) from arrow_source('f') a where not exists (from arrow_source('e') e where e.k = a.k)": "75001\n",
		"select count(*) from (from arrow_source('f') union all from arrow_source('f'))":                       "150002\n",
		"select max(x) from (select count(*) as x from arrow_source('f') group by t)":                          "10715\n",
	} {
		got, err := ask(t.Context(), s, Statement{SQL: sql, Sources: []Source{empty, full}})
		if err != nil || got != want {
			t.Errorf("%s: %q %v", sql, got, err)
		}
	}
	_, err := ask(t.Context(), s, Statement{SQL: "select 1", Sources: []Source{empty, empty}})
	wantKind(t, err, weft.KindInvalid)
	_, err = ask(t.Context(), s, Statement{SQL: "from arrow_source('nobody')"})
	wantKind(t, err, weft.KindInvalid)
	// An error in the middle of a scan, and a reader that stops in it.
	_, err = ask(t.Context(), s, Statement{SQL: "select case when k = 74000 then error('stop') else k end from arrow_source('f')", Sources: []Source{full}})
	wantKind(t, err, weft.KindInvalid)
	r, err := s.Query(t.Context(), Statement{SQL: "select a.k from arrow_source('f') a, range(1000)", Sources: []Source{full}})
	if err != nil || !r.Next() {
		t.Fatal(err)
	}
	r.Release()
	if got := mustAsk(t, s, "select 42"); got != "42\n" {
		t.Fatal(got)
	}
}

// TestSourceSlices compares statements over random slices with the same rows
// made by the engine.
func TestSourceSlices(t *testing.T) {
	d, err := OpenDirect(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b := numbers(0, 20_000)
	rapid.Check(t, func(t *rapid.T) {
		src := Source{Name: "s", Schema: b.Schema()}
		var parts []string
		for range rapid.IntRange(1, 5).Draw(t, "slices") {
			from := rapid.Int64Range(0, b.NumRows()).Draw(t, "from")
			to := rapid.Int64Range(from, b.NumRows()).Draw(t, "to")
			src.Batches = append(src.Batches, b.NewSlice(from, to))
			parts = append(parts, fmt.Sprintf("select range as k, case when range %% 7 <> 0 then 't' || range end as t from range(%d, %d)", from, to))
		}
		const sums = "select count(*), count(t), sum(k), bit_xor(hash(k, t)) from "
		st := Statement{
			SQL:     "(" + sums + "arrow_source('s')) except all (" + sums + "(" + strings.Join(parts, " union all ") + "))",
			Sources: []Source{src},
		}
		r, err := d.Query(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Release()
		if r.Next() || r.Err() != nil {
			t.Fatalf("the rows differ: %v", r.Err())
		}
	})
}

func TestAnswerTypes(t *testing.T) {
	s := testSession(t, nil)
	for sql, want := range map[string]string{
		"select sum(range) from range(10)":                               "decimal(38, 0): 45\n",
		"select 1::uhugeint":                                             "decimal(38, 0): 1\n",
		"select [1::hugeint, null]":                                      "list<item: decimal(38, 0), nullable>: [\"1\",null]\n",
		"select 'b'::enum('a','b')":                                      "utf8: b\n",
		"select ['b'::enum('a','b'), null]":                              "list<item: utf8, nullable>: [\"b\",null]\n",
		"select {'x': null::enum('a','b'), 'y': 1}":                      "struct<x: utf8 nullable, y: int32 nullable>: {\"x\":null,\"y\":1}\n",
		"select map {'k': 'a'::enum('a','b')}":                           "map<utf8, utf8, items_nullable>: [{\"key\":\"k\",\"value\":\"a\"}]\n",
		"select '{\"a\": 1}'::json":                                      "utf8: {\"a\": 1}\n",
		"select '00000000-0000-0000-0000-000000000001'::uuid":            "utf8: 00000000-0000-0000-0000-000000000001\n",
		"select timestamptz '2026-01-01 00:00:00+02'":                    "timestamp[us, tz=UTC]: 2025-12-31T22:00:00Z\n",
		"select 'nan'::double":                                           "float64: NaN\n",
		"select interval '1 month 2 days 3 microseconds'":                "month_day_nano_interval: {\"months\":1,\"days\":2,\"nanoseconds\":3000}\n",
		"select null":                                                    "int32: (null)\n",
		"select '\\x00\\xff'::blob":                                      "binary: AP8=\n",
		"select max(x) from (values ('nan'::double), ('inf'), (1)) v(x)": "float64: NaN\n",
	} {
		r, err := s.Query(t.Context(), Statement{SQL: sql})
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		for r.Next() {
			if got := fmt.Sprintf("%s: %s\n", r.Schema().Field(0).Type, r.RecordBatch().Column(0).ValueStr(0)); got != want {
				t.Errorf("%s: %q, want %q", sql, got, want)
			}
		}
		if r.Err() != nil {
			t.Errorf("%s: %v", sql, r.Err())
		}
		r.Release()
	}
	for _, sql := range []string{
		"select 170141183460469231731687303715884105727::hugeint", "select (-170141183460469231731687303715884105728)::hugeint",
		"select 340282366920938463463374607431768211455::uhugeint", "select [100000000000000000000000000000000000000::hugeint]",
		"select sum(x) from (select 99999999999999999999999999999999999999::decimal(38,0) x from range(3))",
		"select '101'::bit", "select timetz '10:00:00+01'", "select union_value(a := 1)", "select [1::bignum]", "select 1::variant",
	} {
		_, err := ask(t.Context(), s, Statement{SQL: sql})
		wantKind(t, err, weft.KindInvalid)
		t.Log(err)
	}
}
