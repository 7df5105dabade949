package store

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// allTypes is a SELECT of edge values of every type, as the engine spells them.
const allTypes = `SELECT * FROM (VALUES
 (1::BIGINT, true, 127::TINYINT, (-32768)::SMALLINT, 2147483647::INTEGER, 255::UTINYINT, 18446744073709551615::UBIGINT,
  'nan'::FLOAT, '-inf'::DOUBLE, 12345678901234567890123456789012345678::DECIMAL(38,0), (-0.01)::DECIMAL(10,2),
  'it''s "ß" 世界', ''::BLOB, DATE '0001-01-01', TIME '23:59:59.999999', TIMESTAMP '9999-12-31 23:59:59.999999', TIMESTAMPTZ '1970-01-01 00:00:00+00',
  [1, NULL, 3]::BIGINT[], {'a': 1.50::DECIMAL(6,2), 'b': ['x', NULL]}),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (3, false, -128, 0, -2147483648, 0, 0, '-0.0', 'nan', -99999999999999999999999999999999999999, 99999999.99,
  '', '\x00\xFF'::BLOB, DATE '9999-12-31', TIME '00:00:00', TIMESTAMP '0001-01-01 00:00:00', TIMESTAMPTZ '2024-02-29 12:00:00.000001+02',
  [], {'a': NULL, 'b': []})
) t(id, bo, i8, i16, i32, u8, u64, f32, f64, d38, d10, txt, bin, dat, tim, ts, tsz, lst, st)`

func TestTypesAreTheSameInTailFileAndBase(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	s := mustOpen(t, cfg)
	schema, batches := e.query(t, allTypes)
	td := TableData{Table: "all", Op: weft.OpAppend, Schema: schema, Key: []string{"id"}, Batches: batches}
	mustAppend(t, s, Candidate{Tables: []TableData{td}})
	want, rel := e.at(t, s, 0, "all")
	wantType := e.types(t, rel)
	if len(want) != 3 || !strings.Contains(want[0], "世界") {
		t.Fatal(want)
	}
	check := func(what string) {
		t.Helper()
		got, rel := e.at(t, s, 0, "all")
		if !slices.Equal(got, want) {
			t.Fatalf("%s:\n%v\n%v", what, got, want)
		}
		if ty := e.types(t, rel); ty != wantType {
			t.Fatalf("%s:\n%v\n%v", what, ty, wantType)
		}
	}
	check("the tail")
	if err := s.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	check("a change file")
	// A delete and an insert in one commit each make a merge, and a new base.
	for _, op := range []string{"d", "i"} {
		_, bs := e.query(t, "SELECT '"+op+"' AS _op, * FROM ("+allTypes+") WHERE id = 1")
		mustAppend(t, s, Candidate{Tables: []TableData{{Table: "all", Op: weft.OpMerge, Schema: schema, Key: td.Key, Batches: bs}}})
	}
	check("change file and tail")
	if err := s.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	check("a new base")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	check("reopened")
	// Staged by file, with its own spelling of the types.
	td.Op, td.Batches, td.File = weft.OpReplace, nil, e.stageFile(t, allTypes)
	mustAppend(t, s, Candidate{Tables: []TableData{td}})
	check("a staged file")
	for c, err := range s.Follow(context.Background(), s.Head().Seq-1) {
		if err != nil {
			t.Fatal(err)
		}
		if n := c.Tables[0].Batches[0].NumRows(); n != 3 || !c.Tables[0].Schema.Equal(withOp(number(nil, mustNormal(t, schema), 0, nil))) {
			t.Fatal(n, c.Tables[0].Schema)
		}
		break
	}
}

func mustNormal(t testing.TB, s *arrow.Schema) *arrow.Schema {
	t.Helper()
	n, err := normalSchema(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (e *testEngine) query(t testing.TB, sql string) (*arrow.Schema, []arrow.RecordBatch) {
	t.Helper()
	rd, err := e.session(t).Query(context.Background(), engine.Statement{SQL: sql})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Release()
	var bs []arrow.RecordBatch
	for rd.Next() {
		b := rd.RecordBatch()
		b.Retain()
		bs = append(bs, b)
	}
	if rd.Err() != nil {
		t.Fatal(rd.Err())
	}
	return rd.Schema(), bs
}

func (e *testEngine) types(t testing.TB, r Relation) string {
	t.Helper()
	rd, err := e.session(t).Query(context.Background(), engine.Statement{SQL: r.SQL, Sources: r.Sources})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Release()
	return rd.Schema().String()
}

func TestColumnsThatCannotBeKeptAreRefused(t *testing.T) {
	s := mustOpen(t, testConfig(t.TempDir()))
	for _, c := range []struct {
		name  string
		field arrow.Field
		key   []string
	}{
		{"a reserved name", arrow.Field{Name: "_OP", Type: arrow.PrimitiveTypes.Int64}, nil},
		{"no name", arrow.Field{Type: arrow.PrimitiveTypes.Int64}, nil},
		{"a wide decimal", arrow.Field{Name: "x", Type: &arrow.Decimal256Type{Precision: 76}}, nil},
		{"a dictionary", arrow.Field{Name: "x", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}}, nil},
		{"nanoseconds", arrow.Field{Name: "x", Type: arrow.FixedWidthTypes.Timestamp_ns}, nil},
		{"an unknown type word", arrow.Field{Name: "x", Type: arrow.BinaryTypes.String, Metadata: arrow.NewMetadata([]string{TypeKey}, []string{"BOX"})}, nil},
		{"a key that is not there", arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Int64}, []string{"y"}},
		{"a key of floats", arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Float64}, []string{"x"}},
	} {
		_, err := s.Append(context.Background(), Candidate{Tables: []TableData{{
			Table: "t", Op: weft.OpAppend, Schema: arrow.NewSchema([]arrow.Field{c.field}, nil), Key: c.key,
		}}})
		if weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if s.Head().Seq != 0 {
		t.Fatal("something was committed")
	}
}
