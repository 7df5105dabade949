package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
	"weft/run"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	if dir := os.Getenv("STORE_TEST_CHILD"); dir != "" {
		childAppends(dir)
		return
	}
	os.Exit(m.Run())
}

// people is the table of most tests; its rows are invented.
var people = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "name", Type: arrow.BinaryTypes.String},
}, nil)

// row is one row of people.
type row struct {
	ID   int64
	Name string
}

func batch(rows ...row) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, people)
	for _, r := range rows {
		b.Field(0).(*array.Int64Builder).Append(r.ID)
		b.Field(1).(*array.StringBuilder).Append(r.Name)
	}
	return b.NewRecordBatch()
}

// opRow is one row of a merge of people.
type opRow struct {
	Op string
	row
}

func mergeBatch(rows ...opRow) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, withOp(people))
	for _, r := range rows {
		b.Field(0).(*array.StringBuilder).Append(r.Op)
		b.Field(1).(*array.Int64Builder).Append(r.ID)
		b.Field(2).(*array.StringBuilder).Append(r.Name)
	}
	return b.NewRecordBatch()
}

func change1(op weft.TableOp, b ...arrow.RecordBatch) Candidate {
	return Candidate{Cause: weft.CauseLoad, Tables: []TableData{{
		Table: "people", Op: op, Schema: people, Key: []string{"id"}, Batches: b,
	}}}
}

var product = weft.Name{Domain: "demo", Product: "people"}

// step is a clock that goes one millisecond forward each time it is asked.
type step struct {
	mu sync.Mutex
	t  time.Time
}

func (c *step) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Millisecond)
	return c.t
}

func testConfig(dir string, e ...*testEngine) Config {
	env := run.Quiet()
	env.Clock = &step{t: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)}
	cfg := Config{Dir: dir, Product: product, Env: env, Temp: filepath.Join(dir, "tmp")}
	for _, e := range e {
		cfg.Sessions = e.pool
	}
	return cfg
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustAppend(t testing.TB, s *Store, c Candidate) weft.Commit {
	t.Helper()
	commit, err := s.Append(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

// testEngine opens sessions that may read and write below dir.
type testEngine struct {
	pool *engine.Pool
	dir  string
	s    engine.Session
}

func newEngine(t testing.TB, dir string) *testEngine {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "stage"), 0o700); err != nil {
		t.Fatal(err)
	}
	e := &testEngine{pool: engine.NewPool(engine.PoolConfig{}, run.Quiet()), dir: dir}
	t.Cleanup(func() {
		if e.s != nil {
			_ = e.s.Close()
		}
		e.pool.Close()
	})
	return e
}

func (e *testEngine) session(t testing.TB) engine.Session {
	t.Helper()
	if e.s == nil {
		s, err := e.pool.Session(context.Background(), engine.SessionConfig{
			Name: "test", Read: []string{e.dir}, Write: filepath.Join(e.dir, "stage"), Memory: 512 << 20, Threads: 2, Ordered: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		e.s = s
	}
	return e.s
}

// rows runs the SELECT of a relation and returns its rows as sorted text.
func (e *testEngine) rows(t testing.TB, r Relation) []string {
	t.Helper()
	rd, err := e.session(t).Query(context.Background(), engine.Statement{SQL: r.SQL, Sources: r.Sources})
	if err != nil {
		t.Fatalf("%v\n%s", err, r.SQL)
	}
	defer rd.Release()
	out := []string{}
	for rd.Next() {
		out = append(out, texts(rd.RecordBatch())...)
	}
	if rd.Err() != nil {
		t.Fatal(rd.Err())
	}
	slices.Sort(out)
	return out
}

func texts(rec arrow.RecordBatch) []string {
	var out []string
	for i := range int(rec.NumRows()) {
		var cells []string
		for _, c := range rec.Columns() {
			cells = append(cells, c.ValueStr(i))
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}

// at reads a table at a cut.
func (e *testEngine) at(t testing.TB, s *Store, seq weft.Seq, table string) ([]string, Relation) {
	t.Helper()
	snap, err := s.Snapshot(context.Background(), seq)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	r, err := snap.Relation(table)
	if err != nil {
		t.Fatal(err)
	}
	rows := e.rows(t, r)
	if int64(len(rows)) != r.Rows {
		t.Fatalf("%s at %s has %d rows, the counter says %d\n%s", table, seq, len(rows), r.Rows, r.SQL)
	}
	return rows, r
}

// stageFile writes a Parquet file of rows below the store's folder.
func (e *testEngine) stageFile(t testing.TB, sql string) string {
	t.Helper()
	f, err := os.CreateTemp(filepath.Join(e.dir, "stage"), "*.parquet")
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	_, err = e.session(t).Exec(context.Background(), engine.Statement{
		SQL: fmt.Sprintf("COPY (%s) TO '%s' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)", sql, f.Name()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// memoryDir is a folder that is gone after the test, in memory where the
// machine has that: tests that play the disk themselves need no real one.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "weft-store-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
