// Package storetest helps the tests of what stands between a source and a
// store: a real engine session, staged rows, prior states, and rows as text.
package storetest

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft/engine"
	"weft/run"
	"weft/store"
)

// Bench is a session with a stage to write to.
type Bench struct {
	T       testing.TB
	Session engine.Session
	Stage   string
	files   int
}

// New opens a session that ends with the test. The test's main must run the
// engine's worker.
func New(t testing.TB) *Bench {
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
	return &Bench{T: t, Session: s, Stage: stage}
}

// File writes the rows of a SELECT to Parquet.
func (b *Bench) File(sql string) (string, int64) {
	b.T.Helper()
	b.files++
	f := filepath.Join(b.Stage, fmt.Sprintf("given-%d.parquet", b.files))
	n, err := b.Session.Exec(context.Background(), engine.Statement{SQL: "COPY (" + sql + ") TO " + engine.QuoteLiteral(f) + " (FORMAT parquet)"})
	if err != nil {
		b.T.Fatalf("%s\n%v", sql, err)
	}
	return f, n
}

// Staged stages the rows of SELECTs, a file each.
func (b *Bench) Staged(full bool, sqls ...string) store.Staged {
	s := store.Staged{Table: "t", Full: full}
	for _, q := range sqls {
		f, n := b.File(q)
		s.Files, s.Rows = append(s.Files, f), s.Rows+n
	}
	return s
}

// Relation is a prior state of the rows of a SELECT.
func (b *Bench) Relation(sql string) *store.Relation {
	f, n := b.File(sql)
	return &store.Relation{SQL: "SELECT * FROM " + engine.ScanParquet(f), Files: []string{f}, Rows: n, Plain: true}
}

// Lines reads a SELECT as sorted lines of text.
func (b *Bench) Lines(sql string, sources ...engine.Source) []string {
	b.T.Helper()
	r, err := b.Session.Query(context.Background(), engine.Statement{SQL: "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (" + sql + ")", Sources: sources})
	if err != nil {
		b.T.Fatalf("%s\n%v", sql, err)
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
		b.T.Fatal(r.Err())
	}
	slices.Sort(out)
	return out
}
