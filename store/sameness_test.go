package store

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"weft"
	"weft/sign"
)

// sameness remembers what every cut answered when it was made.
type sameness struct {
	*world
	told map[weft.Seq]string
}

// digestOf is a digest of all rows of all tables at a cut; "" where it is gone.
func (w *sameness) digestOf(seq weft.Seq) string {
	w.t.Helper()
	snap, err := w.s.Snapshot(context.Background(), seq)
	if weft.KindOf(err) == weft.KindGone && seq < w.s.Oldest() {
		return ""
	}
	if err != nil {
		w.fatal("snapshot %s: %v", seq, err)
	}
	defer func() { _ = snap.Close() }()
	var all []byte
	for _, info := range snap.Tables() {
		rel, err := snap.Relation(info.Table)
		if err != nil {
			w.fatal("%s at %s: %v", info.Table, seq, err)
		}
		all = fmt.Appendf(all, "%s %v %v %d %q", info.Table, info.Schema, info.Key, rel.Rows, w.e.rows(w.t, rel))
	}
	return sign.Digest(all).String()
}

// compare asks for some cuts again, or for all.
func (w *sameness) compare(after string, all bool) {
	w.t.Helper()
	seqs := slices.Sorted(maps.Keys(w.told))
	if !all {
		w.rnd.Shuffle(len(seqs), func(i, k int) { seqs[i], seqs[k] = seqs[k], seqs[i] })
		seqs = seqs[:min(2, len(seqs))]
	}
	for _, seq := range seqs {
		got := w.digestOf(seq)
		if got == "" {
			continue
		}
		if got != w.told[seq] {
			w.fatal("after %s, %s answers otherwise than when it was made", after, seq)
		}
	}
}

// restore goes on with a copy of the folder, as from a backup, in another place.
func (w *sameness) restore(n int) {
	w.t.Helper()
	w.close(false)
	to := fmt.Sprintf("%s-%d", w.cfg.Dir, n)
	for name, b := range filesBelow(w.t, w.cfg.Dir) {
		p := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.RemoveAll(w.cfg.Dir); err != nil {
		w.t.Fatal(err)
	}
	w.cfg.Dir = to
	w.fs = newFaultFS(memoryDir(w.t), w.rnd)
	if err := w.fs.adopt(to); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// TestSameness runs random histories; each cut that is kept answers the same as
// when it was made, whatever was committed, folded, put away, restored or lost
// power since.
func TestSameness(t *testing.T) {
	n := 12
	if testing.Short() {
		n = 3
	}
	e := newEngine(t, memoryDir(t))
	for seed, to := seeds(n); seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 7))
			w := &sameness{newWorld(t, rnd, e, seed), map[weft.Seq]string{}}
			first := w.cfg.Dir
			t.Cleanup(func() {
				dirs, _ := filepath.Glob(first + "*")
				for _, d := range dirs {
					_ = os.RemoveAll(d)
				}
			})
			w.faulty = false
			sh := newShapes(t, e)
			w.cfg.TailRows = 1 + rnd.Int64N(30)
			if seed%3 == 0 {
				w.cfg.KeepBytes = 1
			}
			w.open()
			for i := range 25 {
				what := ""
				switch k := rnd.IntN(22); {
				case k > 19 && i > 0: // columns change, or get rows
					mustAppend(t, w.s, sh.step(rnd.IntN(shapeSteps)))
					w.cuts = append(w.cuts, w.head().clone())
					seq := w.s.Head().Seq
					w.told[seq] = w.digestOf(seq)
					what = "a change of columns"
				case k < 11 || i == 0:
					w.commit()
					seq := w.s.Head().Seq
					w.told[seq] = w.digestOf(seq)
					what = "a commit"
				case k < 15:
					compactNow(t, w.s)
					what = "a compaction"
				case k < 17: // put away: folded and closed
					compactNow(t, w.s)
					w.close(false)
					w.open()
					what = "it was put away"
				case k < 18:
					w.close(true)
					w.open()
					what = "a power cut"
				default:
					w.restore(i)
					what = "a restore"
				}
				w.say("%d: %s", i, what)
				w.compare(what, false)
			}
			w.compare("all of it", true)
			w.close(false)
			if f := Verify(w.cfg.Dir); len(f) > 0 {
				w.fatal("%v", f)
			}
		})
	}
}
