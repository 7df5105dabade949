package verify

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft/contract"
	"weft/engine"
	"weft/run"
	"weft/store"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	os.Exit(m.Run())
}

// workbench is a session with a stage to write to.
type workbench struct {
	t     testing.TB
	s     engine.Session
	stage string
	files int
}

func newBench(t testing.TB) *workbench {
	t.Helper()
	pool := engine.NewPool(engine.PoolConfig{}, run.Quiet())
	t.Cleanup(func() { pool.Close() })
	stage := t.TempDir()
	s, err := pool.Session(context.Background(), engine.SessionConfig{
		Name: "test", Read: []string{stage}, Write: stage, Memory: 1 << 30, Threads: 2, Temp: t.TempDir(), TempBytes: 1 << 30,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &workbench{t: t, s: s, stage: stage}
}

// file writes the rows of a SELECT to Parquet.
func (b *workbench) file(sql string) (string, int64) {
	b.t.Helper()
	b.files++
	f := filepath.Join(b.stage, fmt.Sprintf("given-%d.parquet", b.files))
	n, err := b.s.Exec(context.Background(), engine.Statement{SQL: "COPY (" + sql + ") TO " + contract.QuoteLiteral(f) + " (FORMAT parquet)"})
	if err != nil {
		b.t.Fatalf("%s\n%v", sql, err)
	}
	return f, n
}

// staged stages the rows of SELECTs, a file each.
func (b *workbench) staged(full bool, sqls ...string) store.Staged {
	s := store.Staged{Table: "t", Full: full}
	for _, q := range sqls {
		f, n := b.file(q)
		s.Files, s.Rows = append(s.Files, f), s.Rows+n
	}
	return s
}

// relation is a prior state of the rows of a SELECT.
func (b *workbench) relation(sql string) *store.Relation {
	f, n := b.file(sql)
	return &store.Relation{SQL: "SELECT * FROM " + engine.ScanParquet(f), Files: []string{f}, Rows: n, Plain: true}
}

// lines reads a SELECT as sorted lines of text.
func (b *workbench) lines(sql string, sources ...engine.Source) []string {
	b.t.Helper()
	r, err := b.s.Query(context.Background(), engine.Statement{SQL: "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (" + sql + ")", Sources: sources})
	if err != nil {
		b.t.Fatalf("%s\n%v", sql, err)
	}
	defer r.Release()
	out := []string{}
	for r.Next() {
		rec := r.RecordBatch()
		for i := range int(rec.NumRows()) {
			var w []string
			for _, c := range rec.Columns() {
				if c.IsNull(i) {
					w = append(w, "∅")
				} else {
					w = append(w, c.ValueStr(i))
				}
			}
			out = append(out, strings.Join(w, "|"))
		}
	}
	if r.Err() != nil {
		b.t.Fatal(r.Err())
	}
	slices.Sort(out)
	return out
}
