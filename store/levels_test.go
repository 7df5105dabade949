package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"weft"
)

// filesOf lists the files that a table's cuts are read from.
func filesOf(s *Store, table string) (all, head []*dataFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.tables[table].spans {
		all = append(all, sp.files()...)
	}
	return all, s.tables[table].head().files()
}

// TestFoldsCostWhatChanged changes a few of many rows again and again: what folds
// write grows with the changes and not with the table, there are never many files
// to read, and every cut stays what it was.
func TestFoldsCostWhatChanged(t *testing.T) {
	const rows, folds, changes = 10_000, 45, 60
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.TailRows = 1
	s := mustOpen(t, cfg)
	bulk := change1(weft.OpReplace)
	bulk.Tables[0].File = e.stageFile(t, fmt.Sprintf("SELECT i AS id, 'a' || i AS name FROM range(%d) t(i)", rows))
	mustAppend(t, s, bulk)
	rnd := rand.New(rand.NewPCG(3, 3))
	state := map[int64]string{}
	for i := range int64(rows) {
		state[i] = "a" + itoa(i)
	}
	seen := map[*dataFile]bool{}
	sums := map[weft.Seq]string{}
	var folded, based int64
	for i := range folds {
		var ops []opRow
		for range changes {
			id := rnd.Int64N(rows)
			if slices.ContainsFunc(ops, func(o opRow) bool { return o.ID == id }) {
				continue
			}
			name := fmt.Sprint("b", i, "-", id)
			ops = append(ops, opRow{"b", row{id, state[id]}}, opRow{"u", row{id, name}})
			state[id] = name
		}
		mustAppend(t, s, change1(weft.OpMerge, mergeBatch(ops...)))
		if err := s.Compact(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		all, head := filesOf(s, "people")
		for _, f := range all {
			if !seen[f] {
				if seen[f] = true; f.Form == formChange {
					folded += f.Rows
				} else {
					based += f.Rows
				}
			}
		}
		if len(head) > 6 {
			t.Fatalf("fold %d leaves %d files", i, len(head))
		}
		if i%9 == 0 {
			sums[s.Head().Seq] = sumOf(t, e, s, s.Head().Seq)
		}
	}
	if most := int64(5 * folds * changes); folded > most {
		t.Errorf("%d changed rows were written %d times", folds*changes, folded)
	}
	if most := int64(rows * (1 + 1 + folds*changes/(rows/5))); based > most {
		t.Errorf("bases have %d rows in all", based)
	}
	if based < 2*rows {
		t.Error("there was no new base")
	}
	got, _ := e.at(t, s, 0, "people")
	want := []string{}
	for id, name := range state {
		want = append(want, fmt.Sprintf("%d|%s", id, name))
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Error("the head has other rows than were committed")
	}
	_ = s.Close()
	s = mustOpen(t, cfg)
	for seq, sum := range sums {
		if now := sumOf(t, e, s, seq); now != sum {
			t.Errorf("%s was %s and is %s", seq, sum, now)
		}
	}
}

// sumOf is a figure of all rows of a cut.
func sumOf(t *testing.T, e *testEngine, s *Store, seq weft.Seq) string {
	t.Helper()
	snap, err := s.Snapshot(context.Background(), seq)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	r, err := snap.Relation("people")
	if err != nil {
		t.Fatal(err)
	}
	r.SQL = "SELECT count(*), bit_xor(hash(id, name)) FROM (" + r.SQL + ")"
	return e.rows(t, r)[0]
}

// TestSmallAppendsAreJoined appends to tables with and without a key, in small
// and in bulk commits: files stay few and are not written over and over.
func TestSmallAppendsAreJoined(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.TailRows = 1
	s := mustOpen(t, cfg)
	seen := map[*dataFile]bool{}
	var written, rows int64
	for i := range int64(36) {
		c := Candidate{Tables: []TableData{{Table: "events", Op: weft.OpAppend, Schema: people}}}
		if i%3 == 0 {
			c.Tables[0].File = e.stageFile(t, fmt.Sprintf("SELECT i AS id, 'bulk' AS name FROM range(%d) t(i)", 10+i))
			rows += 10 + i
		} else {
			c.Tables[0].Batches = append(c.Tables[0].Batches, batch(row{i, "small"}, row{i, "small"}))
			rows += 2
		}
		mustAppend(t, s, c)
		if err := s.Compact(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		_, head := filesOf(s, "events")
		for _, f := range head {
			if !seen[f] && f.Form == formChange {
				written += f.Rows
			}
			seen[f] = true
		}
		if len(head) > maxSmallFiles+8 {
			t.Fatalf("%d files after %d commits", len(head), i+1)
		}
	}
	if written > 8*rows {
		t.Errorf("%d rows were written %d times", rows, written)
	}
	if got, _ := e.at(t, s, 0, "events"); int64(len(got)) != rows {
		t.Error(len(got), rows)
	}
}

// TestACounterThatDoesNotHoldIsNotBelieved inserts keys that are there: the fold
// that reads all rows finds out, and nothing is counted by it until the table is
// replaced.
func TestACounterThatDoesNotHoldIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	s := mustOpen(t, testConfig(dir, e))
	var rows []row
	for i := range int64(10) {
		rows = append(rows, row{i, "Ada"})
	}
	want := func(what string, seq weft.Seq, counted int64, uncounted bool) {
		t.Helper()
		snap, err := s.Snapshot(context.Background(), seq)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = snap.Close() }()
		if got := snap.Tables()[0]; got.Rows != counted || got.Uncounted != uncounted {
			t.Errorf("%s: %s has %d rows, uncounted %v", what, seq, got.Rows, got.Uncounted)
		}
	}
	mustAppend(t, s, change1(weft.OpReplace, batch(rows...)))
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{1, "Bob"}}, opRow{"i", row{2, "Bob"}}, opRow{"i", row{3, "Bob"}})))
	want("new", 0, 13, false) // nobody knows better yet
	compactNow(t, s)
	want("folded", 0, 10, true)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{11, "Bob"}})))
	for _, what := range []string{"later", "reopened", "folded again"} {
		want(what, 0, 11, true)
		want(what, 1, 10, true)
		if what == "reopened" {
			compactNow(t, s)
		} else if what == "later" {
			_ = s.Close()
			s = mustOpen(t, testConfig(dir, e))
		}
	}
	mustAppend(t, s, change1(weft.OpReplace, batch(rows[:4]...)))
	want("replaced", 0, 4, false)
	want("replaced", 4-1, 11, true)
	compactNow(t, s)
	_ = s.Close()
	s = mustOpen(t, testConfig(dir, e))
	want("replaced, reopened", 0, 4, false)
	if rows, _ := e.at(t, s, 0, "people"); len(rows) != 4 {
		t.Error(rows)
	}
}
