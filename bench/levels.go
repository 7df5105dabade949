package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
	"weft/run"
	"weft/store"
)

// levelSchema is the keyed table of these figures.
var levelSchema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "a", Type: arrow.PrimitiveTypes.Int64},
	{Name: "v", Type: arrow.PrimitiveTypes.Float64},
	{Name: "name", Type: arrow.BinaryTypes.String},
}, nil)

// levels is a store with one keyed table, a reader's session and random changes.
type levels struct {
	dir  string
	pool *engine.Pool
	s    *store.Store
	read engine.Session
	rows int64
	rnd  *rand.Rand
	used map[int64]int64 // key → how often it was changed
}

// openLevels makes a table of rows rows, as one bulk commit.
func openLevels(ctx context.Context, o options, name string, rows int64, change func(*store.Config)) (_ *levels, err error) {
	l := &levels{dir: filepath.Join(o.dir, name), rows: rows, rnd: rand.New(rand.NewPCG(1, 2)), used: map[int64]int64{}}
	if err := os.RemoveAll(l.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(l.dir, "stage"), 0o700); err != nil {
		return nil, err
	}
	l.pool = engine.NewPool(engine.PoolConfig{}, run.Quiet())
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	cfg := store.Config{
		Dir: filepath.Join(l.dir, "store"), Product: weft.Name{Domain: "bench", Product: "levels"}, Env: run.Quiet(),
		Sessions: l.pool, Temp: filepath.Join(l.dir, "tmp"),
	}
	if change != nil {
		change(&cfg)
	}
	if l.s, err = store.Open(ctx, cfg); err != nil {
		return nil, err
	}
	if l.read, err = l.pool.Session(ctx, engine.SessionConfig{
		Name: "bench", Read: []string{l.dir}, Write: filepath.Join(l.dir, "stage"), Memory: 4 << 30, Temp: filepath.Join(l.dir, "spill"),
	}); err != nil {
		return nil, err
	}
	file := filepath.Join(l.dir, "stage", "base.parquet")
	if _, err := l.read.Exec(ctx, engine.Statement{SQL: engine.CopyParquet(fmt.Sprintf(
		"SELECT i AS id, i %% 1000 AS a, i * 0.5::DOUBLE AS v, 'name ' || i AS name FROM range(%d) t(i)", rows), file)}); err != nil {
		return nil, err
	}
	_, err = l.s.Append(ctx, l.candidate(store.TableData{Op: weft.OpReplace, File: file}))
	return l, err
}

func (l *levels) close() {
	if l.read != nil {
		_ = l.read.Close()
	}
	if l.s != nil {
		_ = l.s.Close()
	}
	l.pool.Close()
	_ = os.RemoveAll(l.dir)
}

func (l *levels) candidate(td store.TableData) store.Candidate {
	td.Table, td.Schema, td.Key = "levels", levelSchema, []string{"id"}
	return store.Candidate{Cause: weft.CauseLoad, Tables: []store.TableData{td}}
}

// change commits n updates of random keys, each with the row before.
func (l *levels) change(ctx context.Context, n int) error {
	fields := append([]arrow.Field{{Name: store.ColumnOp, Type: arrow.BinaryTypes.String}}, levelSchema.Fields()...)
	b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema(fields, nil))
	row := func(op string, id, times int64) {
		b.Field(0).(*array.StringBuilder).Append(op)
		b.Field(1).(*array.Int64Builder).Append(id)
		b.Field(2).(*array.Int64Builder).Append(id%1000 + times)
		b.Field(3).(*array.Float64Builder).Append(float64(id) / 2)
		b.Field(4).(*array.StringBuilder).Append(fmt.Sprint("name ", id))
	}
	in := make(map[int64]bool, n)
	for len(in) < n {
		id := l.rnd.Int64N(l.rows)
		if in[id] {
			continue
		}
		in[id] = true
		row("b", id, l.used[id])
		l.used[id]++
		row("u", id, l.used[id])
	}
	_, err := l.s.Append(ctx, l.candidate(store.TableData{Op: weft.OpMerge, Batches: []arrow.RecordBatch{b.NewRecordBatch()}}))
	return err
}

// ask runs a question on the table at a cut, 0 being the head, and returns how
// long that took with everything that belongs to it, and its first number.
func (l *levels) ask(ctx context.Context, seq weft.Seq, sql string) (seconds float64, value int64, err error) {
	began := time.Now()
	snap, err := l.s.Snapshot(ctx, seq)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = snap.Close() }()
	rel, err := snap.Relation("levels")
	if err != nil {
		return 0, 0, err
	}
	rows, err := l.read.Query(ctx, engine.Statement{SQL: fmt.Sprintf(sql, "levels"), Views: []engine.View{{Name: "levels", SQL: rel.SQL}}, Sources: rel.Sources, Files: rel.Files})
	if err != nil {
		return 0, 0, err
	}
	defer rows.Release()
	for rows.Next() {
		if c, ok := rows.RecordBatch().Column(0).(*array.Int64); ok {
			value = c.Value(0)
		}
	}
	return time.Since(began).Seconds(), value, rows.Err()
}

// levelQuestions are asked at the head and of the base alone, which is the first
// commit.
var levelQuestions = []struct {
	what, sql string
	most      float64
}{
	{"full scan (two sums)", "SELECT sum(a)::BIGINT, sum(v) FROM %s", 5},
	{"range of 50,000 keys", "SELECT sum(a)::BIGINT, sum(v) FROM %s WHERE id BETWEEN 1000000 AND 1049999", 3},
	{"one key", "SELECT id, a, v, name FROM %s WHERE id = 432109", 3},
}

// compare asks every question at the head and of the base, in turn.
func (l *levels) compare(ctx context.Context, rounds int, each func(what string, most float64, ours, theirs sample)) error {
	for _, q := range levelQuestions {
		var ours, theirs sample
		for i := range rounds + 1 {
			y, _, err := l.ask(ctx, 1, q.sql)
			if err != nil {
				return err
			}
			w, _, err := l.ask(ctx, 0, q.sql)
			if err != nil {
				return err
			}
			if i > 0 { // the first warms both
				ours, theirs = append(ours, w), append(theirs, y)
			}
		}
		each(q.what, q.most, ours, theirs)
	}
	return nil
}

// benchTailReads measures reads of a table with fresh changes in the tail.
func benchTailReads(ctx context.Context, o options, r *report) error {
	const changed = 100_000
	l, err := openLevels(ctx, o, "tail", o.rows, func(c *store.Config) { c.TailRows, c.TailBytes = 1<<40, 1<<40 })
	if err != nil {
		return err
	}
	defer l.close()
	for range changed / 1000 {
		if err := l.change(ctx, 1000); err != nil {
			return err
		}
	}
	return l.compare(ctx, 2*o.rounds, func(what string, most float64, ours, theirs sample) {
		x := ratios(ours, theirs).median()
		r.add(line{
			what: fmt.Sprintf("%s, keyed %d rows, %d of them changed in the tail", what, o.rows, changed), weft: ours.seconds(),
			yard: "the base alone: " + theirs.seconds(), figure: fmt.Sprintf("%.2f ×", x),
			asked: fmt.Sprintf("≤ %.0f ×", most), kept: x <= most, measured: true,
		})
	})
}

// benchFold folds one changed key in a hundred of a table four times as large,
// in turn with two rewrites of it: of the rows as they are then, in the order of
// the key, which is what a store without levels would have to do, and a mere copy
// of the base.
func benchFold(ctx context.Context, o options, r *report) error {
	rows := 4 * o.rows
	l, err := openLevels(ctx, o, "fold", rows, func(c *store.Config) { c.TailRows, c.TailBytes = 1<<40, 1<<40 })
	if err != nil {
		return err
	}
	defer l.close()
	var ours, merged, copied sample
	for range min(o.rounds, 5) { // the fourth fold joins four levels
		for range rows / 100 / 10_000 {
			if err := l.change(ctx, 10_000); err != nil {
				return err
			}
		}
		m, err := l.rewrite(ctx, 0, "SELECT * FROM levels ORDER BY id")
		if err != nil {
			return err
		}
		began := time.Now()
		if err := l.s.Compact(ctx, true); err != nil {
			return err
		}
		f := time.Since(began).Seconds()
		c, err := l.rewrite(ctx, 1, "SELECT * FROM levels")
		if err != nil {
			return err
		}
		ours, merged, copied = append(ours, f), append(merged, m), append(copied, c)
		fmt.Fprintf(os.Stderr, "  fold %.2f s, rewrite %.2f s, copy %.2f s\n", f, m, c)
	}
	x := ratios(ours, merged).median()
	r.add(line{
		what: fmt.Sprintf("fold of %d random changed keys of %d rows", rows/100, rows), weft: ours.seconds(),
		yard: "COPY of all rows with the changes, by key, to a new file: " + merged.seconds(), figure: fmt.Sprintf("%.3f ×", x),
		asked: "≤ 0.1 ×", kept: x <= 0.1, measured: true,
	})
	r.add(line{
		what: "the same fold", weft: ours.seconds(), yard: "COPY of the base as it stands: " + copied.seconds(),
		figure: fmt.Sprintf("%.3f ×", ratios(ours, copied).median()),
	})
	r.add(line{
		what: fmt.Sprintf("%d such folds one after the other, with the levels that they join again", len(ours)), weft: fmt.Sprintf("%.2f s", ours.sum()),
		yard: fmt.Sprintf("as many COPYs by key: %.2f s", merged.sum()), figure: fmt.Sprintf("%.3f ×", ours.sum()/merged.sum()),
	})
	return nil
}

// rewrite copies the table at a cut to a new file; seconds.
func (l *levels) rewrite(ctx context.Context, seq weft.Seq, sql string) (float64, error) {
	snap, err := l.s.Snapshot(ctx, seq)
	if err != nil {
		return 0, err
	}
	defer func() { _ = snap.Close() }()
	rel, err := snap.Relation("levels")
	if err != nil {
		return 0, err
	}
	file := filepath.Join(l.dir, "stage", "again.parquet")
	defer func() { _ = os.Remove(file) }()
	began := time.Now()
	_, err = l.read.Exec(ctx, engine.Statement{
		SQL: engine.CopyParquet(sql, file), Views: []engine.View{{Name: "levels", SQL: rel.SQL}}, Sources: rel.Sources, Files: rel.Files,
	})
	return time.Since(began).Seconds(), err
}
