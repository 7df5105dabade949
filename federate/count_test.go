package federate

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
	"weft/run"
	"weft/store"
)

// TestCountsComeFromCounters changes a keyed table in all its ways and counts it
// through the gate at every cut: as a plain count and as one that must scan. With
// the files gone only the former is answered.
func TestCountsComeFromCounters(t *testing.T) {
	r := newRig(t, nil)
	dir := filepath.Join(r.dir, "products", "keyed")
	pool := engine.NewPool(engine.PoolConfig{}, run.Quiet())
	t.Cleanup(pool.Close)
	s, err := store.Open(t.Context(), store.Config{
		Dir: dir, Product: numbersName, Env: run.Quiet(), Sessions: pool, Temp: filepath.Join(r.dir, "fold"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = r.store.Close()
	r.store = s
	fields := append([]arrow.Field{{Name: store.ColumnOp, Type: arrow.BinaryTypes.String}}, numberSchema.Fields()...)
	change := func(op weft.TableOp, rows ...string) {
		schema := arrow.NewSchema(fields, nil)
		if op != weft.OpMerge {
			schema = numberSchema
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		for _, w := range rows {
			var n int64
			_, _ = fmt.Sscan(w[1:], &n)
			if op == weft.OpMerge {
				b.Field(0).(*array.StringBuilder).Append(w[:1])
			}
			b.Field(schema.NumFields() - 1).(*array.Int64Builder).Append(n)
		}
		if _, err := s.Append(t.Context(), store.Candidate{Cause: weft.CauseLoad, Tables: []store.TableData{{
			Table: "numbers", Op: op, Schema: numberSchema, Key: []string{"n"}, Batches: []arrow.RecordBatch{b.NewRecordBatch()},
		}}}); err != nil {
			t.Fatal(err)
		}
	}
	change(weft.OpAppend, "i1", "i2", "i3")
	change(weft.OpMerge, "d2", "b3", "u3", "i4", "i5")
	if err := s.Compact(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	change(weft.OpMerge, "d1", "d3")
	if err := s.Compact(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	change(weft.OpMerge, "i2")
	change(weft.OpReplace, "i7")
	if err := s.Compact(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	want := []string{"3", "4", "2", "3", "1"}
	ask := func(sql string, seq int) (string, error) {
		return r.ask(t.Context(), "ann", fmt.Sprintf(sql, fmt.Sprintf("test.numbers AT (VERSION => %d)", seq)))
	}
	for i, n := range want {
		for _, sql := range []string{
			"SELECT count(*) FROM %s", "select COUNT(*) AS rows from %s", "SELECT count(*) FROM %s WHERE n > 0", "SELECT count(n) FROM %s",
			"SELECT count(*) FROM (SELECT n FROM %s)", "SELECT count(*) FILTER (n > 0) FROM %s",
		} {
			if got, err := ask(sql, i+1); got != n || err != nil {
				t.Errorf("%s at #%d: %q, %v; want %s", sql, i+1, got, err, n)
			}
		}
	}
	if got, err := ask("SELECT count(*) FROM %s LIMIT 0", 1); got != "" || err != nil {
		t.Errorf("a count with a limit: %q, %v", got, err)
	}
	ans, err := r.Query(t.Context(), weft.Question{SQL: "SELECT count(*) FROM test.numbers", Subject: subject("ann")})
	if err != nil {
		t.Fatal(err)
	}
	if f := ans.Schema.Field(0); f.Name != "count_star()" || f.Type.ID() != arrow.INT64 || len(ans.Cut) != 1 || ans.Cut[0].Seq != 5 {
		t.Errorf("%v at %v", f, ans.Cut)
	}
	_ = ans.Close()

	files, err := filepath.Glob(filepath.Join(dir, "files", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range want {
		if got, err := ask("SELECT count(*) FROM %s", i+1); got != n || err != nil {
			t.Errorf("without files at #%d: %q, %v; want %s", i+1, got, err, n)
		}
	}
	if got, err := ask("SELECT sum(n) FROM %s", 5); err == nil {
		t.Error("a sum without files:", got)
	}

	// A counter that is known not to hold is not believed.
	change(weft.OpReplace, "i7")
	change(weft.OpMerge, "i7", "i8")
	if err := s.Compact(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	change(weft.OpMerge, "i9")
	for seq, n := range map[int]string{6: "1", 7: "2", 8: "3"} {
		if got, err := ask("SELECT count(*) FROM %s", seq); got != n || err != nil {
			t.Errorf("a key that was there, at #%d: %q, %v; want %s", seq, got, err, n)
		}
	}
}
