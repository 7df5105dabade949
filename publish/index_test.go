package publish

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// counted is a store that counts what its index was asked and has answered.
type counted struct {
	*store.Store
	asked, answered int
}

func (c *counted) Upsert(ctx context.Context, s engine.Session, r store.Rows) (store.TableData, bool, error) {
	d, ok, err := c.Store.Upsert(ctx, s, r)
	c.asked++
	if ok {
		c.answered++
	}
	return d, ok, err
}

// byKey plans an upsert of staged rows on the head, with an index or without.
func (h *house) byKey(index Index, sql string) *store.TableData {
	h.T.Helper()
	_, d := h.plan(index, h.Staged(false, sql))
	return d
}

func (h *house) plan(index Index, staged store.Staged) (*plan, *store.TableData) {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // it takes milliseconds
	defer cancel()
	snap, err := h.st.Snapshot(context.Background(), 0)
	if err != nil {
		h.T.Fatal(err)
	}
	defer snap.Close()
	rel, err := snap.Relation("t")
	if err != nil {
		h.T.Fatal(err)
	}
	p := newPlan(h.Session, Request{Table: "t", Key: []string{"k"}, Mode: contract.ModeUpsert, Prior: &rel, Stage: h.Stage, Staged: staged, Index: index})
	d, err := p.compute(ctx)
	if err != nil {
		h.T.Fatal(err)
	}
	return p, d
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
	index := &counted{Store: h.st}
	for i := range 12 {
		sql := fmt.Sprintf(staged, i*500)
		want, got := h.byKey(nil, sql), h.byKey(index, sql)
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
	if index.answered < 4 {
		t.Errorf("the index has answered %d of 12 times: the test says little", index.answered)
	}
}

// TestIndexNeedsNoTurnOfItsOwn makes an index and brings it up to a commit whose
// rows are in a file, both in the session of the load that asks: see newHouse.
func TestIndexNeedsNoTurnOfItsOwn(t *testing.T) {
	h := filled(t, indexRows)
	index := &counted{Store: h.st}
	const sql = "SELECT i AS k, 7::BIGINT AS a, 0.5::DOUBLE AS v, 'round %d' AS name FROM range(20) t(i)"
	for i := 0; index.answered == 0; i++ {
		if i > 20 {
			t.Fatal("the table has no index after 20 upserts")
		}
		h.byKey(index, fmt.Sprintf(sql, i))
	}
	d := h.byKey(index, fmt.Sprintf(sql, 100))
	from, src := rowsOf(d)
	d.File, d.Batches = h.Stage+"/change.parquet", nil
	n, err := h.Session.Exec(context.Background(), engine.Statement{SQL: engine.CopyParquet(from, d.File), Sources: src})
	if err != nil {
		t.Fatal(err)
	}
	d.FileRows = n
	if _, _, err := Publish(context.Background(), h.st, store.Candidate{Cause: weft.CauseLoad}, d); err != nil {
		t.Fatal(err)
	}
	before := index.answered
	if d := h.byKey(index, fmt.Sprintf(sql, 100)); d != nil || index.answered != before+1 {
		t.Errorf("rows that are there already are %+v; the index has answered %d times more", d, index.answered-before)
	}
	if d := h.byKey(index, fmt.Sprintf(sql, 101)); d == nil || d.Updated != 20 || index.answered != before+2 {
		t.Errorf("20 other rows are %+v; the index has answered %d times more", d, index.answered-before)
	}
}

// TestFewLargeRows holds that rows that are few and large are not held in memory
// for the index.
func TestFewLargeRows(t *testing.T) {
	h := filled(t, indexRows)
	index := &counted{Store: h.st}
	staged := h.Staged(false, "SELECT i AS k, 7::BIGINT AS a, 0.5::DOUBLE AS v, 'other' AS name FROM range(20) t(i)")
	for i := 0; index.answered == 0; i++ {
		if i > 20 {
			t.Fatal("the table has no index after 20 upserts")
		}
		h.plan(index, staged)
	}
	asked := index.asked
	p, _ := h.plan(nil, staged)
	p.Index, p.heldBytes = index, 100
	d, err := p.compute(context.Background())
	if err != nil || d == nil || d.Updated != 20 || index.asked != asked {
		t.Errorf("%+v, %v; the index was asked %d times more", d != nil, err, index.asked-asked)
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
		h.byKey(h.st, staged(i))
	}
	built := time.Since(start)
	var index, join []time.Duration
	for i := 8; b.Loop(); i++ {
		start := time.Now()
		d := h.byKey(h.st, staged(i))
		index = append(index, time.Since(start))
		start = time.Now()
		h.byKey(nil, staged(i))
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
