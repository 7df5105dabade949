package backup

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/run"
	"weft/sign"
	"weft/store"
)

var (
	flipCount = flag.Int("flips", 0, "how many flips TestFlipsOfABackup makes; 0 is its own number")
	seedFrom  = flag.Int("seed", 0, "the first seed")
)

// TestFlipsOfABackup damages every file of a backup folder, one bit or one cut at
// a time: the check names the file, a restore of each state is refused or gives
// what was there, and the next backup is made or refused and harms no state that
// was good. A flip that fails runs again with -seed N -flips 1.
func TestFlipsOfABackup(t *testing.T) {
	n := 16
	if testing.Short() {
		n = 6
	}
	if *flipCount > 0 {
		n = *flipCount
	}
	h := newHouse(t)
	whole := filepath.Join(t.TempDir(), "whole")
	want := map[string]string{}
	for i := range int64(3) {
		h.commit(weft.OpReplace, i*1000, 200)
		if i == 1 {
			h.must(h.s.Compact(t.Context(), true))
		}
		want[h.save(whole, Options{}).ID] = h.sum(0)
	}
	good := map[string][]byte{}
	for path, size := range sizes(t, whole) {
		if size > 0 {
			b, err := os.ReadFile(path)
			h.must(err)
			rel, err := filepath.Rel(whole, path)
			h.must(err)
			good[rel] = b
		}
	}
	names := slices.Sorted(maps.Keys(good))
	for seed := *seedFrom; seed < *seedFrom+n; seed++ {
		rnd := rand.New(rand.NewPCG(uint64(seed), 5))
		name := names[seed%len(names)]
		bad := bytes.Clone(good[name])
		at := rnd.IntN(len(bad))
		what := fmt.Sprintf("seed %d: %s, bit of byte %d of %d", seed, name, at, len(bad))
		if rnd.IntN(4) == 0 {
			bad, what = bad[:at], fmt.Sprintf("seed %d: %s, cut at byte %d of %d", seed, name, at, len(bad))
		} else {
			bad[at] ^= 1 << rnd.IntN(8)
		}
		dir := filepath.Join(t.TempDir(), "backup")
		h.must(os.CopyFS(dir, os.DirFS(whole)))
		h.must(os.WriteFile(filepath.Join(dir, name), bad, 0o600))
		h.flipped(dir, name, what, want)
		if t.Failed() {
			return
		}
	}
}

// flipped looks at a backup folder of which one file is damaged.
func (h *house) flipped(dir, name, what string, want map[string]string) {
	t := h.t
	r, err := Verify(t.Context(), dir)
	if err != nil || !slices.ContainsFunc(r.Findings, func(f store.Finding) bool { return f.File == name }) {
		t.Errorf("%s: the check says %+v, %v", what, r, err)
		return
	}
	restored := map[string]bool{}
	for id := range want {
		to := filepath.Join(t.TempDir(), "data")
		back, err := Restore(t.Context(), dir, to, RestoreOptions{State: id, Env: run.Quiet()})
		if err != nil {
			if hint := weft.HintOf(err); hint == "" || strings.Contains(err.Error(), "goroutine") {
				t.Errorf("%s: the restore of %s says %v (%s)", what, id, err, hint)
			}
			continue
		}
		restored[id] = true
		o := &house{t: t, data: to, pool: h.pool, name: h.name, id: back.Products[0].ID}
		o.open()
		if got := o.sum(0); got != want[id] {
			t.Errorf("%s: state %s is restored as %s, was %s", what, id, got, want[id])
		}
		o.close()
	}
	_, err = Save(t.Context(), dir, h.source(), Options{})
	for id := range restored {
		to := filepath.Join(t.TempDir(), "data")
		if _, e := Restore(t.Context(), dir, to, RestoreOptions{State: id, Env: run.Quiet()}); e != nil {
			t.Errorf("%s: state %s was good before the next backup (%v): %v", what, id, err, e)
		}
	}
	if !strings.HasPrefix(name, "products") {
		return
	}
	// What the node still has is mended by removing the damaged copy.
	h.must(os.Remove(filepath.Join(dir, name)))
	h.save(dir, Options{})
	if f, err := verify(t, dir); err != nil || len(f) > 0 {
		t.Errorf("%s: mended, the check says %v, %v", what, f, err)
	}
}

// FuzzState reads states that anybody may have written: it ends, and what it
// takes names no file outside of its folder.
func FuzzState(f *testing.F) {
	state := func() *State {
		return &State{
			ID: "20261128T030000.000Z", Node: "test", Whole: true,
			Products: []Product{{
				Point:    weft.Point{Product: weft.Name{Domain: "sales", Product: "people"}, ID: "0123456789abcdef", Incarnation: 1, Seq: 2},
				Files:    []weft.File{{Name: "0000000001-people-c108ac61d78f.parquet", Bytes: 100}},
				Segments: []Segment{{ID: "0123456789abcdef", Incarnation: 1, Number: 1, Pieces: []Piece{{End: 10}, {End: 30}}}},
			}},
			Keys: []Key{{Name: "token"}},
		}
	}
	for _, change := range []func(*State){
		func(*State) {},
		func(s *State) { s.Products[0].Point.ID = "../x" },
		func(s *State) { s.Products[0].Segments[0].ID = ".." },
		func(s *State) { s.Products[0].Segments[0].Pieces[0].End = -1 },
		func(s *State) { s.Keys[0].Name = "../token" },
	} {
		st := state()
		change(st)
		b, err := json.Marshal(st)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := decodeState("state", text); err == nil {
			t.Error("a state without its digest was taken")
		}
		var body bytes.Buffer
		if json.Compact(&body, text) != nil {
			return
		}
		b, err := json.Marshal(envelope{magic, formatVersion, sign.Digest(body.Bytes()), body.Bytes()})
		if err != nil {
			t.Fatal(err)
		}
		s, err := decodeState("state", append(b, '\n'))
		if err != nil {
			return
		}
		s.names(func(rel string) {
			if !filepath.IsLocal(rel) || !strings.HasPrefix(rel, "products/") && !strings.HasPrefix(rel, "blobs/") {
				t.Errorf("a state names %q", rel)
			}
		})
	})
}
