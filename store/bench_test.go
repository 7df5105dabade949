package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sys/unix"

	"weft"
	"weft/engine"
)

// BenchmarkCommit commits 1,000 rows, in turn with its yardstick: the same bytes
// written to a plain file and synced. It reports both medians and their ratio.
func BenchmarkCommit(b *testing.B) {
	dir := b.TempDir()
	cfg := testConfig(dir)
	cfg.TailRows, cfg.TailBytes = 1<<40, 1<<40
	s := mustOpen(b, cfg)
	plain, err := os.Create(filepath.Join(dir, "plain"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	var ours, theirs, cpu, plainCPU []time.Duration
	var off int64
	for i := 0; b.Loop(); i++ {
		rows := make([]row, 1000)
		for k := range rows {
			rows[k] = row{int64(i*1000 + k), "somebody with a name"}
		}
		c := change1(weft.OpAppend, batch(rows...))
		before := s.journal.size()
		used, start := cpuTime(), time.Now()
		mustAppend(b, s, c)
		ours, cpu = append(ours, time.Since(start)), append(cpu, cpuTime()-used)
		bytes := make([]byte, s.journal.size()-before)
		used, start = cpuTime(), time.Now()
		if _, err := plain.WriteAt(bytes, off); err != nil {
			b.Fatal(err)
		}
		if err := plain.Sync(); err != nil {
			b.Fatal(err)
		}
		theirs, plainCPU = append(theirs, time.Since(start)), append(plainCPU, cpuTime()-used)
		off += int64(len(bytes))
	}
	b.ReportMetric(float64(median(ours).Microseconds()), "µs/commit")
	b.ReportMetric(float64(median(theirs).Microseconds()), "µs/plain")
	b.ReportMetric(float64(median(cpu).Microseconds()), "cpu-µs/commit")
	b.ReportMetric(float64(median(plainCPU).Microseconds()), "cpu-µs/plain")
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "times")
}

// cpuTime is the processor time of the process: a busy machine changes it less
// than the clock.
func cpuTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (j *journal) size() int64 {
	segs := j.acquire()
	defer j.release(segs...)
	var n int64
	for _, g := range segs {
		n += g.end
	}
	return n
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkKeyedRead reads a keyed table of 5M rows with 100,000 changed rows in
// the tail, in turn with the base alone, and folds it.
func BenchmarkKeyedRead(b *testing.B) {
	if testing.Short() {
		b.Skip("needs half a minute")
	}
	const rows, changed = 5_000_000, 100_000
	dir := b.TempDir()
	e := newEngine(b, dir)
	cfg := testConfig(dir, e)
	s := mustOpen(b, cfg)
	bulk := change1(weft.OpReplace)
	bulk.Tables[0].Schema = wide
	bulk.Tables[0].File = e.stageFile(b, fmt.Sprintf("SELECT i AS id, i %% 1000 AS a, i * 0.5::DOUBLE AS v, 'name ' || i AS name FROM range(%d) t(i)", rows))
	mustAppend(b, s, bulk)
	for i := 0; i < changed; i += 1000 {
		c := change1(weft.OpMerge, wideUpdates(i, 1000))
		c.Tables[0].Schema = wide
		mustAppend(b, s, c)
	}
	var built []time.Duration
	read := func(seq weft.Seq, sql string) time.Duration {
		snap, err := s.Snapshot(context.Background(), seq)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = snap.Close() }()
		start := time.Now()
		r, err := snap.Relation("people")
		if err != nil {
			b.Fatal(err)
		}
		built = append(built, time.Since(start))
		rd, err := e.session(b).Query(context.Background(), engine.Statement{SQL: fmt.Sprintf(sql, r.SQL), Sources: r.Sources})
		if err != nil {
			b.Fatal(err)
		}
		for rd.Next() {
		}
		if rd.Err() != nil {
			b.Fatal(rd.Err())
		}
		rd.Release()
		return time.Since(start)
	}
	for _, q := range []struct{ name, sql string }{
		{"sum", "SELECT sum(a), count(*) FROM (%s)"},
		{"top", "SELECT * FROM (%s) ORDER BY v DESC LIMIT 10"},
		{"range", "SELECT sum(a) FROM (%s) WHERE id BETWEEN 1000000 AND 1050000"},
		{"point", "SELECT * FROM (%s) WHERE id = 4321098"},
	} {
		b.Run(q.name, func(b *testing.B) {
			var base, full []time.Duration
			built = nil
			for b.Loop() {
				base = append(base, read(1, q.sql))
				full = append(full, read(0, q.sql))
			}
			b.ReportMetric(float64(median(full).Microseconds())/1000, "ms/full")
			b.ReportMetric(float64(slices.Max(built).Microseconds())/1000, "ms/built")
			b.ReportMetric(float64(median(base).Microseconds())/1000, "ms/base")
			b.ReportMetric(float64(median(full))/float64(median(base)), "times")
		})
	}
	start := time.Now()
	compactNow(b, s)
	b.Logf("fold of %d changed rows: %v", changed, time.Since(start))
	start = time.Now()
	read(0, "SELECT sum(a) FROM (%s)")
	b.Logf("sum behind the fold: %v", time.Since(start))
}

var wide = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64},
	{Name: "a", Type: arrow.PrimitiveTypes.Int64},
	{Name: "v", Type: arrow.PrimitiveTypes.Float64},
	{Name: "name", Type: arrow.BinaryTypes.String},
}, nil)

func wideUpdates(from, n int) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, withOp(wide))
	for i := from; i < from+n; i++ {
		k := int64(i) * 48271 % 5_000_000
		for _, op := range []string{"b", "u"} {
			b.Field(0).(*array.StringBuilder).Append(op)
			b.Field(1).(*array.Int64Builder).Append(k)
			b.Field(2).(*array.Int64Builder).Append(k % 1000)
			b.Field(3).(*array.Float64Builder).Append(float64(k) / 2)
			b.Field(4).(*array.StringBuilder).Append(fmt.Sprint("name ", k))
		}
	}
	return b.NewRecordBatch()
}
