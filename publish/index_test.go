package publish

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"weft"
	"weft/contract"
	"weft/store"
)

// byKey plans an upsert of staged rows on the head, with the index or without.
func (h *house) byKey(index bool, sql string) *store.TableData {
	h.T.Helper()
	snap, err := h.st.Snapshot(context.Background(), 0)
	if err != nil {
		h.T.Fatal(err)
	}
	defer snap.Close()
	rel, err := snap.Relation("t")
	if err != nil {
		h.T.Fatal(err)
	}
	r := Request{Table: "t", Key: []string{"k"}, Mode: contract.ModeUpsert, Prior: &rel, Stage: h.Stage, Staged: h.Staged(false, sql)}
	if index {
		r.Index = h.st
	}
	d, err := Plan(context.Background(), h.Session, r)
	if err != nil {
		h.T.Fatal(err)
	}
	return d
}

// filled is a house whose table t has rows rows, and an index.
func filled(t testing.TB, rows int) *house {
	h := newHouse(t)
	h.load(Request{
		Table: "t", Key: []string{"k"}, Mode: contract.ModeUpsert,
		Staged: h.Staged(true, fmt.Sprintf("SELECT i AS k, i %% 1000 AS a, i * 0.5::DOUBLE AS v, 'name ' || i AS name FROM range(%d) t(i)", rows)),
	})
	return h
}

func (h *house) lines(d *store.TableData) []string {
	h.T.Helper()
	if d == nil {
		return nil
	}
	sql, src := rowsOf(d)
	lines := h.Lines(sql, src...)
	slices.Sort(lines)
	return lines
}

// TestUpsertByIndex holds that the index and a full join find the same changes:
// inserts, updates, rows that are the same and keys that come twice.
func TestUpsertByIndex(t *testing.T) {
	h := filled(t, indexRows)
	const staged = `SELECT k, k %% 1000 AS a, CASE k %% 3 WHEN 0 THEN k * 0.5 ELSE k * 0.25 END::DOUBLE AS v, 'name ' || k AS name
		FROM (SELECT (i * 977) %% 150000 AS k FROM range(%[1]d, %[1]d + 700) t(i) UNION ALL SELECT 5 UNION ALL SELECT 5)`
	for i := range 12 {
		sql := fmt.Sprintf(staged, i*500)
		want, got := h.byKey(false, sql), h.byKey(true, sql)
		if (want == nil) != (got == nil) || want != nil && (want.Inserted != got.Inserted || want.Updated != got.Updated || want.Deleted != got.Deleted) {
			t.Fatalf("round %d: by the index %+v, by a join %+v", i, got, want)
		}
		if w, g := h.lines(want), h.lines(got); !slices.Equal(w, g) {
			t.Fatalf("round %d: by the index\n%v\nby a join\n%v", i, g, w)
		}
		if got == nil {
			continue
		}
		if _, _, err := Publish(context.Background(), h.st, store.Candidate{Cause: weft.CauseLoad}, got); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkUpsert plans 1,000 random rows by key of a table of 5M, by the index and
// by a join in turn.
func BenchmarkUpsert(b *testing.B) {
	if testing.Short() {
		b.Skip("needs half a minute")
	}
	const rows = 5_000_000
	h := filled(b, rows)
	staged := func(i int) string {
		return fmt.Sprintf("SELECT (i * 48271 + %d * 7919) %% %d AS k, 1 AS a, 2.5::DOUBLE AS v, 'other' AS name FROM range(1000) t(i)", i, rows)
	}
	start := time.Now()
	for i := range 8 {
		start = time.Now()
		h.byKey(true, staged(i))
	}
	built := time.Since(start)
	var index, join []time.Duration
	for i := 8; b.Loop(); i++ {
		start := time.Now()
		d := h.byKey(true, staged(i))
		index = append(index, time.Since(start))
		start = time.Now()
		h.byKey(false, staged(i))
		join = append(join, time.Since(start))
		if _, _, err := Publish(context.Background(), h.st, store.Candidate{Cause: weft.CauseLoad}, d); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(built.Seconds(), "s/build")
	slices.Sort(index)
	slices.Sort(join)
	b.ReportMetric(float64(index[len(index)/2].Microseconds())/1000, "ms/index")
	b.ReportMetric(float64(join[len(join)/2].Microseconds())/1000, "ms/join")
}
