package store

import (
	"bytes"
	"context"
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
)

var flipCount = flag.Int("flips", 0, "how many flips and truncations TestFlips makes; 0 is its own number")

// TestFlips damages every kind of file, one bit or one cut at a time: each is
// named by Verify, nothing that is not what was written is ever given to a
// reader, and what does not need the damaged bytes is read as before. A flip that
// fails runs again with -seed N -flips 1.
func TestFlips(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 120
	}
	if *flipCount > 0 {
		n = *flipCount
	}
	root := memoryDir(t)
	e := newEngine(t, root)
	from := filepath.Join(root, "whole")
	history(t, e, from)
	g := newFlipped(t, e, from)
	names := slices.Sorted(maps.Keys(g.good))
	byKind := map[string][]string{}
	for _, name := range names {
		k := kindOf(name)
		if k == nil {
			t.Fatalf("%s is of no kind", name)
		}
		if len(g.good[name]) > 0 {
			byKind[k.pattern] = append(byKind[k.pattern], name)
		}
	}
	kindNames := slices.Sorted(maps.Keys(byKind))
	readable := map[string]int{}
	for seed := *seedFrom; seed < *seedFrom+n; seed++ {
		rnd := rand.New(rand.NewPCG(uint64(seed), 3))
		of := byKind[kindNames[seed%len(kindNames)]]
		name := of[rnd.IntN(len(of))]
		what, bad := damaged(rnd, g.good[name])
		readable[kindOf(name).pattern] += g.try(t, fmt.Sprintf("seed %d, %s: %s", seed, name, what), name, bad, rnd)
		if t.Failed() {
			return
		}
	}
	for _, k := range kindNames {
		if readable[k] == 0 && n >= 10*len(kindNames) {
			t.Errorf("nothing can be read after any damage to %s", k)
		}
	}
}

func damaged(rnd *rand.Rand, good []byte) (string, []byte) {
	at := rnd.IntN(len(good))
	if rnd.IntN(4) == 0 {
		return fmt.Sprintf("cut off at byte %d of %d", at, len(good)), good[:at]
	}
	bad := bytes.Clone(good)
	bit := rnd.IntN(8)
	bad[at] ^= 1 << bit
	return fmt.Sprintf("bit %d of byte %d of %d", bit, at, len(good)), bad
}

// flipped is a folder, what it holds, and a copy to damage.
type flipped struct {
	e      *testEngine
	good   map[string][]byte
	dir    string
	head   weft.Seq
	cuts   map[weft.Seq]map[string][]string // rows by cut and table
	needs  map[string]map[string]bool       // by data file: "seq table" that are read from it
	follow []string                         // the changes of each commit, as text
}

func newFlipped(t *testing.T, e *testEngine, from string) *flipped {
	t.Helper()
	g := &flipped{
		e: e, good: filesBelow(t, from), dir: filepath.Join(filepath.Dir(from), "damaged"),
		cuts: map[weft.Seq]map[string][]string{}, needs: map[string]map[string]bool{},
	}
	if f := Verify(from); len(f) != 0 {
		t.Fatal(f)
	}
	s := mustOpen(t, testConfig(from, e))
	g.head = s.Head().Seq
	for seq := max(s.Oldest(), 1); seq <= g.head; seq++ {
		snap, err := s.Snapshot(context.Background(), seq)
		if err != nil {
			t.Fatal(err)
		}
		g.cuts[seq] = map[string][]string{}
		for _, info := range snap.Tables() {
			rel, err := snap.Relation(info.Table)
			if err != nil {
				t.Fatal(err)
			}
			g.cuts[seq][info.Table] = e.rows(t, rel)
			for _, f := range rel.Files {
				name, _ := filepath.Rel(from, f)
				if strings.HasSuffix(name, keysSuffix) {
					continue // without it the same is read, more slowly
				}
				if g.needs[name] == nil {
					g.needs[name] = map[string]bool{}
				}
				g.needs[name][fmt.Sprint(seq, info.Table)] = true
			}
		}
		_ = snap.Close()
	}
	g.follow, _ = followed(s, g.head)
	if len(g.follow) != int(g.head-s.Oldest()) {
		t.Fatal(g.follow)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return g
}

// followed are the changes of each commit as text, up to an error or the head.
func followed(s *Store, head weft.Seq) ([]string, error) {
	var out []string
	var text strings.Builder
	for c, err := range s.Follow(context.Background(), s.Oldest()) {
		if err != nil {
			return out, err
		}
		for _, tr := range c.Tables {
			fmt.Fprintf(&text, "%s %s", tr.Op, tr.Table)
			for _, b := range tr.Batches {
				fmt.Fprint(&text, texts(b))
			}
		}
		if c.More {
			continue
		}
		out = append(out, text.String())
		text.Reset()
		if c.Commit.Seq == head {
			break
		}
	}
	return out, nil
}

// try puts bad in the place of a file and looks at what comes of it. It returns
// how many tables at how many cuts could be read.
func (g *flipped) try(t *testing.T, what, name string, bad []byte, rnd *rand.Rand) int {
	t.Helper()
	defer func() { _ = os.RemoveAll(g.dir) }()
	for n, b := range g.good {
		if n == name {
			b = bad
		}
		p := filepath.Join(g.dir, n)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.verified(t, what, name)
	s, err := Open(context.Background(), testConfig(g.dir, g.e))
	if err != nil {
		if k := weft.KindOf(err); k != weft.KindCorrupt && k != weft.KindInvalid {
			t.Errorf("%s: open: %v", what, err)
		}
		if name != manifestFile && weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("%s: nothing can be read: %v", what, err)
		}
		return 0
	}
	defer func() { _ = s.Close() }()
	n := g.read(t, what, name, s, rnd)
	got, err := followed(s, g.head)
	if err != nil && weft.KindOf(err) != weft.KindCorrupt {
		t.Errorf("%s: follow: %v", what, err)
	}
	if len(got) > len(g.follow) || !slices.Equal(got, g.follow[:len(got)]) || err == nil && len(got) < len(g.follow) {
		t.Errorf("%s: followers are given %v, want %v", what, got, g.follow)
	}
	return n
}

// verified wants the damage named, with its file, and without the folder's place.
func (g *flipped) verified(t *testing.T, what, name string) {
	t.Helper()
	found := Verify(g.dir)
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.File == name }) {
		t.Errorf("%s: was not found: %v", what, found)
	}
	for _, f := range found {
		if f.File == "" || f.Message == "" || f.Consequence == "" || strings.Contains(f.Message, g.dir) {
			t.Errorf("%s: %+v", what, f)
		}
	}
}

// read reads every table at every cut of a damaged store: the rows are right or
// there are none. Rows are fetched for some of them; whether a read is refused is
// asked for all.
func (g *flipped) read(t *testing.T, what, name string, s *Store, rnd *rand.Rand) (n int) {
	t.Helper()
	refused := func(of string, err error) {
		if weft.KindOf(err) != weft.KindCorrupt {
			t.Errorf("%s: %s: %v", what, of, err)
		}
		if strings.HasPrefix(name, "files/") && !g.needs[name][of] {
			t.Errorf("%s: %s does not need the file: %v", what, of, err)
		}
	}
	for seq, tables := range g.cuts {
		if seq > s.Head().Seq {
			if seq == g.head && s.headLost() == nil {
				t.Errorf("%s: the store takes %s for its head", what, s.Head().Seq)
			}
			if _, err := s.Snapshot(context.Background(), seq); err == nil {
				t.Errorf("%s: %s can be read, the head is %s", what, seq, s.Head().Seq)
			}
			continue
		}
		snap, err := s.Snapshot(context.Background(), seq)
		if err != nil {
			for table := range tables {
				refused(fmt.Sprint(seq, table), err)
			}
			continue
		}
		if len(snap.Tables()) != len(tables) {
			t.Errorf("%s: %s has the tables %v", what, seq, snap.Tables())
		}
		for _, info := range snap.Tables() {
			want, of := tables[info.Table], fmt.Sprint(seq, info.Table)
			rel, err := snap.Relation(info.Table)
			if err != nil {
				refused(of, err)
				continue
			}
			n++
			if g.needs[name][of] {
				t.Errorf("%s: %s is read from the damaged file", what, of)
			}
			if rel.Rows != int64(len(want)) {
				t.Errorf("%s: %s has %d rows, want %d", what, of, rel.Rows, len(want))
			}
			if rnd.IntN(6) > 0 {
				continue
			}
			if got := g.e.rows(t, rel); !slices.Equal(got, want) {
				t.Errorf("%s: %s is %v, want %v", what, of, got, want)
			}
		}
		_ = snap.Close()
	}
	if snap, err := s.Snapshot(context.Background(), 0); err == nil {
		if snap.Point().Seq != g.head {
			t.Errorf("%s: the head is %s", what, snap.Point().Seq)
		}
		_ = snap.Close()
	} else {
		refused("the head", err)
	}
	return n
}
