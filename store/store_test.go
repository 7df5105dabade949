package store

import (
	"context"
	"slices"
	"testing"
	"time"

	"weft"
)

func TestCommitsAreReadAtEveryCut(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir)
	s := mustOpen(t, cfg)
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "Ada"}, row{2, "Bob"})))
	mustAppend(t, s, change1(weft.OpAppend, batch(row{3, "Cyd"})))
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(
		opRow{"b", row{1, "Ada"}}, opRow{"u", row{1, "Eve"}}, opRow{"d", row{2, "Bob"}}, opRow{"i", row{4, "Dan"}})))
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{2, "Bea"}})))
	bulk := change1(weft.OpReplace)
	bulk.Tables[0].File = e.stageFile(t, "SELECT i AS id, 'n' || i AS name FROM range(3) t(i)")
	mustAppend(t, s, bulk)
	merge := change1(weft.OpMerge)
	merge.Tables[0].File = e.stageFile(t, "SELECT * FROM (VALUES ('b', 0::BIGINT, 'n0'), ('u', 0, 'N0'), ('d', 1, 'n1')) t(_op, id, name)")
	merge.Tables[0].Updated, merge.Tables[0].Deleted = 1, 1
	mustAppend(t, s, merge)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{1, "again"}})))

	want := [][]string{
		{"1|Ada", "2|Bob"},
		{"1|Ada", "2|Bob", "3|Cyd"},
		{"1|Eve", "3|Cyd", "4|Dan"},
		{"1|Eve", "2|Bea", "3|Cyd", "4|Dan"},
		{"0|n0", "1|n1", "2|n2"},
		{"0|N0", "2|n2"},
		{"0|N0", "1|again", "2|n2"},
	}
	check := func() {
		t.Helper()
		for i, w := range want {
			got, r := e.at(t, s, weft.Seq(i+1), "people")
			if !slices.Equal(got, w) {
				t.Fatalf("#%d: %v, want %v\n%s", i+1, got, w, r.SQL)
			}
			if plain := i == 4; r.Plain != plain {
				t.Fatalf("#%d: plain is %v\n%s", i+1, r.Plain, r.SQL)
			}
		}
	}
	check()
	head := s.Head()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	if s.Head() != head {
		t.Fatalf("%v became %v", head, s.Head())
	}
	check()
	commits, err := s.Commits(0, 3)
	if err != nil || len(commits) != 3 || commits[0].Hash != head.Hash || commits[0].Previous != commits[1].Hash {
		t.Fatal(commits, err)
	}
	for _, c := range commits {
		for _, d := range []time.Duration{0, 500 * time.Microsecond} {
			if seq, err := s.SeqAt(c.Time.Add(d)); err != nil || seq != c.Seq {
				t.Fatal(seq, err, c.Seq)
			}
		}
	}
	if _, err := s.SeqAt(time.Unix(0, 0)); weft.KindOf(err) != weft.KindNotFound {
		t.Fatal(err)
	}
	if _, err := s.Snapshot(context.Background(), 8); weft.KindOf(err) != weft.KindNotFound {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), cfg); weft.KindOf(err) != weft.KindConflict {
		t.Fatal(err)
	}
}
