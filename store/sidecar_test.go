package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weft"
	"weft/engine"
)

// TestKeysAreDerived damages and removes the files of keys: the same rows are
// read at every cut, and a fold makes the files again.
func TestKeysAreDerived(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	s := mustOpen(t, cfg)
	var rows []row
	for i := range int64(3000) {
		rows = append(rows, row{i, "x"})
	}
	mustAppend(t, s, change1(weft.OpReplace, batch(rows...)))
	compactNow(t, s)
	for i := range int64(40) {
		mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"b", row{i * 7, "x"}}, opRow{"u", row{i * 7, "y" + itoa(i)}}, opRow{"i", row{5000 + i, "new"}}, opRow{"d", row{1000 + i, "x"}})))
		if i == 20 {
			compactNow(t, s)
		}
	}
	want := map[weft.Seq][]string{}
	for seq := weft.Seq(1); seq <= s.Head().Seq; seq += 5 {
		want[seq], _ = e.at(t, s, seq, "people")
	}
	same := func(what, uses string) {
		t.Helper()
		for seq, rows := range want {
			got, rel := e.at(t, s, seq, "people")
			if !slices.Equal(got, rows) {
				t.Fatalf("%s: other rows at %s", what, seq)
			}
			if seq == 41 && !strings.Contains(rel.SQL, uses) {
				t.Fatalf("%s: no %s in\n%s", what, uses, rel.SQL)
			}
		}
	}
	compactNow(t, s)
	same("folded", "weft_unchanged")
	for what, damage := range map[string]func(path string, b []byte) error{
		"damaged": func(p string, b []byte) error { b[200] ^= 4; return os.WriteFile(p, b, 0o600) },
		"cut off": func(p string, b []byte) error { return os.WriteFile(p, b[:len(b)/2], 0o600) },
		"another's": func(p string, _ []byte) error {
			return writeNew(disk{}, p, func(w io.Writer) error { return engine.NewKeySet(0, 1).Write(w, 1) })
		},
		"of version 9": func(p string, b []byte) error { b[8] = 9; return os.WriteFile(p, b, 0o600) },
		"gone":         func(p string, _ []byte) error { return os.Remove(p) },
	} {
		// Damage is seen before the first use of a file and behind it.
		open := what == "damaged" || what == "gone"
		if !open {
			_ = s.Close()
		}
		found, err := filepath.Glob(filepath.Join(dir, "files", "*"+keysSuffix))
		if err != nil || len(found) == 0 {
			t.Fatal(what, found, err)
		}
		for _, path := range found {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(path, bytes.Clone(b)); err != nil {
				t.Fatal(err)
			}
		}
		if open {
			same(what+" while it is used", "ANTI JOIN")
			_ = s.Close()
		}
		if f := Verify(dir); what != "gone" && (len(f) == 0 || !strings.Contains(f[0].Consequence, "speed")) {
			t.Fatal(what, f)
		}
		s = mustOpen(t, cfg)
		same(what, "ANTI JOIN")
		if err := s.Compact(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		same(what+", made again", "weft_unchanged")
		if f := Verify(dir); len(f) != 1 || f[0].File != "lock" {
			t.Fatal(what, f)
		}
	}
}

// TestKeysAreHeldOnceForAllReaders asks for the same keys many times at once: the
// file is opened and read once, and again when it has changed.
func TestKeysAreHeldOnceForAllReaders(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	s := mustOpen(t, testConfig(dir, e))
	var rows []row
	for i := range int64(3000) {
		rows = append(rows, row{i, "x"})
	}
	mustAppend(t, s, change1(weft.OpReplace, batch(rows...)))
	compactNow(t, s)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"d", row{1, "x"}})))
	compactNow(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	opened := &countedOpens{}
	s, err := open(context.Background(), testConfig(dir, e), opened)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var d *dataFile
	for _, f := range s.tables["people"].head().files() {
		if f.hasKeys() {
			d = f
		}
	}
	opened.n.Store(0) // the start has looked at the seed
	ask := func(want string) {
		t.Helper()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got := s.keysPath(context.Background(), d); (got != "") != (want != "") {
					t.Errorf("the keys are in %q", got)
				}
			})
		}
		wg.Wait()
	}
	path := s.filePath(d.Name + keysSuffix)
	ask(path)
	if n := opened.n.Load(); n != 1 {
		t.Errorf("the file was opened %d times", n)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[200] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ask("")
	b[200] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	ask(path)
	if n := opened.n.Load(); n != 3 {
		t.Errorf("the file was opened %d times", n)
	}
}

// TestFoldsGoOnWithoutKeysOfADamagedFile loses the keys of a change file that is
// damaged itself: they are not made of it, and other tables are folded.
func TestFoldsGoOnWithoutKeysOfADamagedFile(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	s := mustOpen(t, testConfig(dir, e))
	var rows []row
	for i := range int64(100) {
		rows = append(rows, row{i, "x"})
	}
	mustAppend(t, s, change1(weft.OpReplace, batch(rows...)))
	compactNow(t, s)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"d", row{1, "x"}})))
	compactNow(t, s)
	keys, err := filepath.Glob(filepath.Join(dir, "files", "*"+keysSuffix))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	path := strings.TrimSuffix(keys[0], keysSuffix)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := errors.Join(os.Remove(keys[0]), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c := change1(weft.OpReplace, batch(row{7, "Bob"}))
		c.Tables[0].Table = "other"
		mustAppend(t, s, c)
		compactNow(t, s)
	}
	if rows, _ := e.at(t, s, 0, "other"); len(rows) != 1 || !s.Folded() {
		t.Error(rows, s.Folded())
	}
	if d := s.Damage(); len(d) != 1 || d[0].File != "files/"+filepath.Base(path) {
		t.Error(d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.foldDue() {
		t.Error("a fold is due for ever")
	}
}

// countedOpens counts how often files of keys are opened.
type countedOpens struct {
	disk
	n atomic.Int32
}

func (c *countedOpens) Open(path string, flag int) (file, error) {
	if strings.HasSuffix(path, keysSuffix) {
		c.n.Add(1)
	}
	return c.disk.Open(path, flag)
}

// TestKeysOfATailStayAsTheyWere takes a question's keys of a tail, and commits.
func TestKeysOfATailStayAsTheyWere(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	s := mustOpen(t, testConfig(dir, e))
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "Ada"}, row{2, "Ada"})))
	compactNow(t, s)
	sets := func() (out []*engine.KeySet) {
		snap, err := s.Snapshot(context.Background(), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = snap.Close() }()
		rel, err := snap.Relation("people")
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range rel.Sources {
			for _, set := range src.Sets {
				out = append(out, set.Set)
			}
		}
		return out
	}
	kept := func(k *engine.KeySet) []byte {
		var b bytes.Buffer
		if err := k.Write(&b, 1); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"d", row{1, "Ada"}})))
	first := sets()
	if len(first) != 1 {
		t.Fatal(len(first))
	}
	before := kept(first[0])
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"d", row{2, "Ada"}})))
	if later := sets(); bytes.Equal(before, kept(later[0])) {
		t.Error("the next question is not given the key that came")
	}
	if !bytes.Equal(before, kept(first[0])) {
		t.Error("what a question was given changes under it")
	}
	if again := sets(); again[0] != sets()[0] {
		t.Error("it is copied again for each question")
	}
}
