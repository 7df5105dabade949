package engine

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft/run"
)

func TestMain(m *testing.M) {
	if IsWorker() {
		os.Exit(serveNode(probes))
	}
	os.Exit(m.Run())
}

// testPool returns a pool that ends with the test.
func testPool(t testing.TB) *Pool {
	t.Helper()
	p := NewPool(PoolConfig{}, run.Quiet())
	t.Cleanup(p.Close)
	return p
}

// testSession returns a session with modest limits, changed by change.
func testSession(t testing.TB, change func(*SessionConfig)) Session {
	t.Helper()
	cfg := SessionConfig{Name: "test", Memory: 256 << 20, Threads: 2}
	if change != nil {
		change(&cfg)
	}
	s, err := testPool(t).Session(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// ask returns the rows of a statement as text: columns by |, rows by newline.
func ask(ctx context.Context, s Session, st Statement) (string, error) {
	r, err := s.Query(ctx, st)
	if err != nil {
		return "", err
	}
	defer r.Release()
	var b strings.Builder
	for r.Next() {
		writeRows(&b, r.RecordBatch())
	}
	return b.String(), r.Err()
}

func writeRows(b *strings.Builder, rb arrow.RecordBatch) {
	for i := range int(rb.NumRows()) {
		for c, col := range rb.Columns() {
			if c > 0 {
				b.WriteByte('|')
			}
			b.WriteString(col.ValueStr(i))
		}
		b.WriteByte('\n')
	}
}

// mustAsk is ask of a text that must succeed.
func mustAsk(t testing.TB, s Session, sql string) string {
	t.Helper()
	out, err := ask(t.Context(), s, Statement{SQL: sql})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// TestSpine takes a statement all the way: tree, text, views, sources, rows.
func TestSpine(t *testing.T) {
	s := testSession(t, nil)
	tree, err := s.Parse(t.Context(), "select  1 as a -- comment")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := s.Deparse(t.Context(), tree); err != nil || text != "SELECT 1 AS a" {
		t.Fatal(text, err)
	}
	b := numbers(0, 10_000)
	st := Statement{
		SQL: `select sum(k) as s, count(*) as n, max("the text") as m from "a schema"."v"`,
		Views: []View{
			{Name: "base", SQL: "from arrow_source('x')"},
			{Schema: "a schema", Name: "v", SQL: `select k, t as "the text" from base`},
		},
		Sources: []Source{{Name: "x", Schema: b.Schema(), Batches: []arrow.RecordBatch{b, b}}},
	}
	for range 3 { // nothing of a statement may be in the way of the next
		if got, err := ask(t.Context(), s, st); err != nil || got != "99990000|20000|t9999\n" {
			t.Fatalf("%q %v", got, err)
		}
	}
	left := mustAsk(t, s, `select (select count(*) from duckdb_views() where not internal),
		(select count(*) from duckdb_schemas() where not internal and schema_name <> 'main')`)
	if left != "0|0\n" {
		t.Fatalf("left behind: %q", left)
	}
	if _, err := ask(t.Context(), s, Statement{SQL: "from arrow_source('x')"}); err == nil {
		t.Fatal("the source outlived its statement")
	}
}

// numbers is a batch of the columns k (bigint) and t (text, null every 7th).
func numbers(from, n int) arrow.RecordBatch {
	sc := arrow.NewSchema([]arrow.Field{
		{Name: "k", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "t", Type: arrow.BinaryTypes.String, Nullable: true},
	}, nil)
	rb := array.NewRecordBuilder(memoryOf(), sc)
	defer rb.Release()
	for i := from; i < from+n; i++ {
		rb.Field(0).(*array.Int64Builder).Append(int64(i))
		if i%7 == 0 {
			rb.Field(1).AppendNull()
		} else {
			rb.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("t%d", i))
		}
	}
	return rb.NewRecordBatch()
}
