package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
)

// TestUUIDKeys changes rows by a key of uuids: in the tail, in a change file and
// in a base they are the same keys.
func TestUUIDKeys(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	s := mustOpen(t, testConfig(dir, e))
	put := func(op weft.TableOp, sql string) {
		t.Helper()
		schema, bs := e.query(t, sql)
		td := TableData{Table: "t", Op: op, Key: []string{"id"}, Schema: schema, Batches: bs}
		if op == weft.OpMerge {
			td.Schema = arrow.NewSchema(schema.Fields()[1:], nil)
		}
		mustAppend(t, s, Candidate{Tables: []TableData{td}})
	}
	const id = "CAST(CASE i % 2 WHEN 0 THEN 'f' ELSE '0' END || lpad(i::VARCHAR, 31, '0') AS UUID)"
	put(weft.OpReplace, "SELECT "+id+" AS id, i AS v FROM range(20) t(i)")
	want := map[string]bool{}
	check := func(what string) {
		t.Helper()
		rows, rel := e.at(t, s, 0, "t")
		if len(rows) != 20 {
			t.Fatalf("%s: %d rows %v\n%s", what, len(rows), rows, rel.SQL)
		}
		for _, r := range rows {
			if want[r] {
				delete(want, r)
			}
		}
		if len(want) > 0 {
			t.Fatalf("%s lacks %v", what, want)
		}
	}
	for i := range 4 {
		put(weft.OpMerge, fmt.Sprintf("SELECT op AS _op, %s AS id, w::BIGINT AS v FROM (SELECT %d AS i), (VALUES ('b', %d), ('u', %d)) o(op, w)", id, i, i, 100+i))
		check("a tail")
		if err := s.Compact(context.Background(), true); err != nil {
			t.Fatal(err)
		}
		check("files")
	}
}
