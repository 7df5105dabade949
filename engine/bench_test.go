package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft/run"
)

// parquet writes rows of a wide table and returns its file.
func parquet(b testing.TB, rows int) string {
	d, err := OpenDirect(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	f := filepath.Join(b.TempDir(), "wide.parquet")
	var cols []string
	for i := range 12 {
		cols = append(cols, fmt.Sprintf("(range * %d) %% 1000003 as c%d", i+7, i))
	}
	sql := fmt.Sprintf("copy (select %s from range(%d)) to %s (format parquet, compression zstd)", strings.Join(cols, ","), rows, QuoteLiteral(f))
	if _, err := d.Exec(b.Context(), Statement{SQL: sql}); err != nil {
		b.Fatal(err)
	}
	return f
}

func drain(b testing.TB, r array.RecordReader, err error) (n int64) {
	if err != nil {
		b.Fatal(err)
	}
	defer r.Release()
	for r.Next() {
		n += batchSize(r.RecordBatch())
	}
	if r.Err() != nil {
		b.Fatal(r.Err())
	}
	return n
}

// BenchmarkSmall is what a small question costs that was asked before: a session
// of a warm configuration, the statement, and the answer; with the files' folder
// in sight, and with each opened by the node's leave. The two take turns.
func BenchmarkSmall(b *testing.B) {
	f := parquet(b, 10_000)
	p := testPool(b)
	took := map[bool][]time.Duration{}
	for b.Loop() {
		for _, leave := range []bool{false, true} {
			began := time.Now()
			s, err := p.Session(b.Context(), SessionConfig{Memory: 512 << 20, Read: []string{filepath.Dir(f)}, Leave: leave})
			if err != nil {
				b.Fatal(err)
			}
			r, err := s.Query(b.Context(), Statement{
				SQL:   "SELECT (c0 % 10) AS k, sum(c1) FROM sales.orders GROUP BY ALL ORDER BY ALL",
				Views: []View{{Schema: "sales", Name: "orders", SQL: "from read_parquet([" + QuoteLiteral(f) + "])"}}, Files: []string{f},
			})
			drain(b, r, err)
			_ = s.Close()
			took[leave] = append(took[leave], time.Since(began))
		}
	}
	for leave, name := range map[bool]string{false: "folder", true: "leave"} {
		slices.Sort(took[leave])
		b.ReportMetric(float64(took[leave][len(took[leave])/2].Microseconds()), "µs-p50-"+name)
	}
}

// BenchmarkStream is an export through the socket, beside the same in this process.
func BenchmarkStream(b *testing.B) {
	const rows = 3_000_000
	sources := map[string]string{"range": "", "parquet": parquet(b, rows)}
	for name, f := range sources {
		sql := "select range as a, range + 1 as b, range + 2 as c, range + 3 as d, range + 4 as e, range + 5 as f from range(6000000)"
		cfg := SessionConfig{Memory: 1 << 30}
		if f != "" {
			sql, cfg.Read = "from "+QuoteLiteral(f), []string{f}
		}
		b.Run(name+"/worker", func(b *testing.B) {
			s, err := testPool(b).Session(b.Context(), cfg)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r, err := s.Query(b.Context(), Statement{SQL: sql})
				b.SetBytes(drain(b, r, err))
			}
			_ = s.Close()
		})
		b.Run(name+"/direct", func(b *testing.B) {
			d, err := OpenDirect(map[string]string{"preserve_insertion_order": "false"})
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			for b.Loop() {
				r, err := d.Query(b.Context(), Statement{SQL: sql})
				b.SetBytes(drain(b, r, err))
			}
		})
	}
}

// BenchmarkWire is what leaving the worker costs: the rows come from memory.
func BenchmarkWire(b *testing.B) {
	var fields []arrow.Field
	for i := range 8 {
		fields = append(fields, arrow.Field{Name: fmt.Sprintf("c%d", i), Type: arrow.PrimitiveTypes.Int64})
	}
	rb := array.NewRecordBuilder(memoryOf(), arrow.NewSchema(fields, nil))
	for i := range 64 << 10 {
		for c := range fields {
			rb.Field(c).(*array.Int64Builder).Append(int64(i * c))
		}
	}
	one := rb.NewRecordBatch()
	src := Source{Name: "s", Schema: one.Schema()}
	for range 8 {
		src.Batches = append(src.Batches, one)
	}
	st := Statement{SQL: "select s.* from arrow_source('s') s, range(8)", Sources: []Source{src}}
	s := testSession(b, nil)
	b.Run("worker", func(b *testing.B) {
		began, bytes := cpu(b, "self")+cpu(b, pid(s)), int64(0)
		for b.Loop() {
			r, err := s.Query(b.Context(), st)
			n := drain(b, r, err)
			b.SetBytes(n)
			bytes += n
		}
		b.ReportMetric(float64(cpu(b, "self")+cpu(b, pid(s))-began)*1e7/float64(bytes), "cpu-s/GB")
	})
	d, err := OpenDirect(map[string]string{"preserve_insertion_order": "false"})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.Run("direct", func(b *testing.B) {
		began, bytes := cpu(b, "self"), int64(0)
		for b.Loop() {
			r, err := d.Query(b.Context(), st)
			n := drain(b, r, err)
			b.SetBytes(n)
			bytes += n
		}
		b.ReportMetric(float64(cpu(b, "self")-began)*1e7/float64(bytes), "cpu-s/GB")
	})
}

// cpu is the processor time that a process has used, in hundredths of a second:
// unlike the clock it does not depend on who else is busy.
func cpu(b testing.TB, pid string) int64 {
	m, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(m), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return user + system
}

// BenchmarkSource reads a tail of a million rows as a statement sees it.
func BenchmarkSource(b *testing.B) {
	src := Source{Name: "s"}
	for i := range 100 {
		src.Batches = append(src.Batches, numbers(i*10_000, 10_000))
	}
	src.Schema = src.Batches[0].Schema()
	s := testSession(b, nil)
	b.Run("worker", func(b *testing.B) {
		for b.Loop() {
			r, err := s.Query(b.Context(), Statement{SQL: "select sum(k), count(t) from arrow_source('s')", Sources: []Source{src}})
			drain(b, r, err)
		}
		b.ReportMetric(float64(b.N)*1e6/b.Elapsed().Seconds(), "rows/s")
	})
	d, err := OpenDirect(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	b.Run("direct", func(b *testing.B) {
		for b.Loop() {
			r, err := d.Query(b.Context(), Statement{SQL: "select sum(k), count(t) from arrow_source('s')", Sources: []Source{src}})
			drain(b, r, err)
		}
		b.ReportMetric(float64(b.N)*1e6/b.Elapsed().Seconds(), "rows/s")
	})
}

// BenchmarkStart is a new worker's way to its first session, and what it weighs then.
func BenchmarkStart(b *testing.B) {
	var weight, resting int64
	for b.Loop() {
		p := NewPool(PoolConfig{}, run.Quiet())
		s, err := p.Session(b.Context(), SessionConfig{Memory: 512 << 20})
		if err != nil {
			b.Fatal(err)
		}
		weight = pss(b, s)
		r, err := s.Query(b.Context(), Statement{SQL: "select count(distinct hash(range)) from range(2000000)"})
		drain(b, r, err)
		_ = s.Close()
		resting = pss(b, s)
		p.Close()
	}
	b.ReportMetric(float64(weight)/1024, "MB-new")
	b.ReportMetric(float64(resting)/1024, "MB-used")
}

// pss is the memory that a worker costs beside its siblings, in kB.
func pss(b testing.TB, s Session) (kb int64) {
	m, err := os.ReadFile("/proc/" + pid(s) + "/smaps_rollup")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(m), "\nPss:")
	_, _ = fmt.Sscan(rest, &kb)
	return kb
}
