package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
	"weft/run"
	"weft/store"
)

// commitRows is how many rows one measured commit has.
const commitRows = 1000

var commitSchema = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "amount", Type: arrow.PrimitiveTypes.Float64},
	{Name: "name", Type: arrow.BinaryTypes.String},
}, nil)

// writer commits to one product.
type writer struct {
	s    *store.Store
	dir  string
	rows int // of a commit
	n    int64
}

func openWriter(ctx context.Context, dir string, sessions engine.Sessions) (*writer, error) {
	cfg := store.Config{
		Dir: dir, Product: weft.Name{Domain: "bench", Product: "commits"}, Env: run.Quiet(),
		Sessions: sessions, Temp: filepath.Join(dir, "tmp"),
	}
	if sessions == nil {
		cfg.TailRows, cfg.TailBytes = 1<<40, 1<<40 // nothing to fold with
	}
	s, err := store.Open(ctx, cfg)
	return &writer{s: s, dir: dir, rows: commitRows}, err
}

// batch makes the rows of the next commit: a merge that inserts them.
func (w *writer) batch() store.Candidate {
	b := array.NewRecordBuilder(memory.DefaultAllocator, commitSchema)
	for i := range int64(w.rows) {
		b.Field(0).(*array.Int64Builder).Append(w.n*int64(w.rows) + i)
		b.Field(1).(*array.Float64Builder).Append(float64(i) / 3)
		b.Field(2).(*array.StringBuilder).Append("somebody with a name")
	}
	w.n++
	return store.Candidate{Cause: weft.CauseLoad, Tables: []store.TableData{{
		Table: "orders", Op: weft.OpAppend, Schema: commitSchema, Key: []string{"id"}, Batches: []arrow.RecordBatch{b.NewRecordBatch()},
	}}}
}

// commit commits and says how long that took and how many bytes of the journal
// it was.
func (w *writer) commit(ctx context.Context) (float64, error) {
	c := w.batch()
	began := time.Now()
	_, err := w.s.Append(ctx, c)
	return time.Since(began).Seconds(), err
}

// journalBytes is the size of the journal.
func (w *writer) journalBytes() (int64, error) {
	var n int64
	es, err := os.ReadDir(filepath.Join(w.dir, "journal"))
	for _, e := range es {
		i, err := e.Info()
		if err != nil {
			return 0, err
		}
		n += i.Size()
	}
	return n, err
}

// bytesPerCommit makes two commits and says what one adds to the journal.
func (w *writer) bytesPerCommit(ctx context.Context) (int64, error) {
	var at [2]int64
	for i := range at {
		if _, err := w.commit(ctx); err != nil {
			return 0, err
		}
		var err error
		if at[i], err = w.journalBytes(); err != nil {
			return 0, err
		}
	}
	return at[1] - at[0], nil
}

// plainFile is the yardstick: bytes written behind one another and synced.
type plainFile struct {
	f   *os.File
	b   []byte
	off int64
}

func openPlain(path string, size int64) (*plainFile, error) {
	f, err := os.Create(path)
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	return &plainFile{f: f, b: b}, err
}

func (p *plainFile) write() (float64, error) {
	began := time.Now()
	_, err := p.f.WriteAt(p.b, p.off)
	if err == nil {
		err = p.f.Sync()
	}
	p.off += int64(len(p.b))
	return time.Since(began).Seconds(), err
}

// quantile is the value below which the share q of the sample is.
func (s sample) quantile(q float64) float64 {
	c := s.sorted()
	return c[min(len(c)-1, int(math.Ceil(q*float64(len(c))))-1)]
}

// benchCommits measures commits of 1,000 rows against plain files.
func benchCommits(ctx context.Context, o options, r *report) error {
	dir := filepath.Join(o.dir, "commits")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return errors.Join(benchOneWriter(ctx, o, r, dir), benchManyWriters(ctx, o, r, dir), benchBesideCompaction(ctx, r, dir))
}

func benchOneWriter(ctx context.Context, o options, r *report, dir string) error {
	w, err := openWriter(ctx, filepath.Join(dir, "one"), nil)
	if err != nil {
		return err
	}
	defer func() { _ = w.s.Close() }()
	size, err := w.bytesPerCommit(ctx)
	if err != nil {
		return err
	}
	p, err := openPlain(filepath.Join(dir, "plain"), size)
	if err != nil {
		return err
	}
	defer func() { _ = p.f.Close() }()
	var ours, theirs sample
	for range 200 * o.rounds {
		t, err := w.commit(ctx)
		if err != nil {
			return err
		}
		u, err := p.write()
		if err != nil {
			return err
		}
		ours, theirs = append(ours, t), append(theirs, u)
	}
	x := ours.median() / theirs.median()
	r.add(line{
		what: fmt.Sprintf("%d commits of %d rows", len(ours), commitRows), weft: percentiles(ours),
		yard:   fmt.Sprintf("the same %d KB written to a plain file and synced: %s", size>>10, percentiles(theirs)),
		figure: fmt.Sprintf("p50 %.2f ×", x), asked: "≤ 2 ×", kept: x <= 2, measured: true,
	})
	return nil
}

func percentiles(s sample) string {
	return fmt.Sprintf("p50 %s, p99 %s", short(s.median()), short(s.quantile(0.99)))
}

// rateOf runs do in n goroutines for a while and returns how often a second.
func rateOf(n int, d time.Duration, do func(int) error) (float64, error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var total int
	var failed error
	began := time.Now()
	for i := range n {
		wg.Go(func() {
			k := 0
			var err error
			for ; err == nil && time.Since(began) < d; k++ {
				err = do(i)
			}
			mu.Lock()
			defer mu.Unlock()
			total, failed = total+k, errors.Join(failed, err)
		})
	}
	wg.Wait()
	return float64(total) / time.Since(began).Seconds(), failed
}

// benchBesideCompaction commits and writes a plain file in turn while the store
// is compacted without a pause.
func benchBesideCompaction(ctx context.Context, r *report, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "busy", "tmp"), 0o755); err != nil {
		return err
	}
	pool := engine.NewPool(engine.PoolConfig{Warm: 1}, run.Quiet())
	defer pool.Close()
	w, err := openWriter(ctx, filepath.Join(dir, "busy"), pool)
	if err != nil {
		return err
	}
	defer func() { _ = w.s.Close() }()
	size, err := w.bytesPerCommit(ctx)
	if err != nil {
		return err
	}
	p, err := openPlain(filepath.Join(dir, "beside"), size)
	if err != nil {
		return err
	}
	defer func() { _ = p.f.Close() }()
	folding, stop := context.WithCancel(ctx)
	folded := make(chan error, 1)
	folds := 0
	go func() {
		var err error
		for err == nil && folding.Err() == nil {
			if err = w.s.Compact(folding, true); err == nil {
				folds++
			}
		}
		folded <- err
	}()
	var ours, theirs sample
	for range 4000 {
		t, err := w.commit(ctx)
		if err != nil {
			stop()
			return errors.Join(err, <-folded)
		}
		u, err := p.write()
		if err != nil {
			stop()
			return errors.Join(err, <-folded)
		}
		ours, theirs = append(ours, t), append(theirs, u)
	}
	stop()
	if err := <-folded; err != nil && !errors.Is(err, context.Canceled) && weft.KindOf(err) != weft.KindCancelled {
		return err
	}
	x := ours.quantile(0.999) / theirs.quantile(0.999)
	r.add(line{
		what: fmt.Sprintf("%d commits of %d rows beside %d compactions of their table", len(ours), commitRows, folds), weft: tails(ours),
		yard:   "a plain file written in turn with them: " + tails(theirs),
		figure: fmt.Sprintf("p99.9 %.2f ×", x), asked: "≤ 3 ×", kept: x <= 3, measured: true,
	})
	return nil
}

func tails(s sample) string {
	return fmt.Sprintf("p50 %s, p99.9 %s, most %s", short(s.median()), short(s.quantile(0.999)), short(slices.Max(s)))
}
