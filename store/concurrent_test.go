package store

import (
	"context"
	"sync"
	"testing"

	"weft"
)

// TestReadersWriterAndCompactionAtOnce holds every answer against what its cut
// must be: commit n of a product that gets one new row, one changed and one
// gone in each.
func TestReadersWriterAndCompactionAtOnce(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.TailRows = 40
	s := mustOpen(t, cfg)
	commits := 300
	if testing.Short() {
		commits = 60
	}
	name := func(n int) string { return "v" + itoa(int64(n)) }
	mustAppend(t, s, change1(weft.OpReplace, batch(row{0, name(1)}, row{1, name(1)})))
	ctx, cancel := context.WithCancel(context.Background())
	var background, wg sync.WaitGroup
	background.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	background.Go(func() {
		next := weft.Seq(1)
		for c, err := range s.Follow(ctx, 0) {
			if err != nil || c.Commit.Seq != next {
				t.Error(c.Commit.Seq, next, err)
				return
			}
			next++
		}
	})
	wg.Go(func() {
		// Commit n inserts n, deletes n-2 and changes n-1.
		for n := 2; n <= commits; n++ {
			old := name(1)
			if n > 2 {
				old = name(n - 1)
			}
			_, err := s.Append(ctx, change1(weft.OpMerge, mergeBatch(
				opRow{"d", row{int64(n - 2), old}}, opRow{"b", row{int64(n - 1), old}}, opRow{"u", row{int64(n - 1), name(n)}}, opRow{"i", row{int64(n), name(n)}})))
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			r := newEngine(t, dir)
			for i := range commits / 4 {
				head := s.Head().Seq
				seq := head - weft.Seq(i*7)%head
				rows, rel := r.at(t, s, seq, "people")
				n := int64(seq)
				if len(rows) != 2 || rows[0] != itoa(n-1)+"|"+name(int(n)) && rows[1] != itoa(n-1)+"|"+name(int(n)) {
					t.Errorf("%s: %v\n%s", seq, rows, rel.SQL)
					return
				}
			}
		})
	}
	wg.Wait()
	cancel()
	background.Wait()
	compactNow(t, s)
	_ = s.Close()
	if f := Verify(dir); len(f) != 0 {
		t.Fatal(f)
	}
}
