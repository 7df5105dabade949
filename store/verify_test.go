package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
)

// history makes a folder with every kind of file in it: two segments, tail,
// change file, base, bulk file.
func history(t testing.TB, e *testEngine, dir string) {
	t.Helper()
	s := mustOpen(t, testConfig(dir, e))
	s.journal.max = 6000
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "Ada"}, row{2, "Bob"}, row{3, "Cyd"}, row{4, "Dan"}, row{5, "Eve"}, row{6, "Fay"})))
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"d", row{2, "Bob"}})))
	if err := s.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{int64(100 + i), "Gil"}})))
	}
	if err := s.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	bulk := change1(weft.OpAppend)
	bulk.Tables[0].File = e.stageFile(t, "SELECT 1000 + i AS id, 'n' || i AS name FROM range(30) t(i)")
	mustAppend(t, s, bulk)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"b", row{1, "Ada"}}, opRow{"u", row{1, "Ida"}})))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func filesBelow(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		out[rel] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(out, "lock")
	return out
}

func TestVerifyFindsEveryFlip(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	dir := filepath.Join(root, "p")
	history(t, e, dir)
	if f := Verify(dir); len(f) != 0 {
		t.Fatal(f)
	}
	good := filesBelow(t, dir)
	if len(good) < 6 {
		t.Fatal(len(good), "files")
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	times := 40
	if testing.Short() {
		times = 12
	}
	for name, b := range good {
		path := filepath.Join(dir, name)
		for range times {
			bad := bytes.Clone(b)
			at, what := rnd.IntN(len(b)), "flip"
			if rnd.IntN(4) == 0 {
				bad, what = bad[:at], "truncation"
			} else {
				bad[at] ^= 1 << rnd.IntN(8)
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			found := Verify(dir)
			if len(found) == 0 {
				t.Errorf("a %s at byte %d of %s was not found", what, at, name)
			}
			for _, f := range found {
				if f.File == "" || f.Message == "" || f.Consequence == "" || strings.Contains(f.Message, dir) {
					t.Errorf("%+v", f)
				}
			}
			openDamaged(t, dir, name)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f := Verify(dir); len(f) != 0 {
		t.Fatal(f)
	}
}

// openDamaged opens a copy of a damaged folder: it is refused by kind or has
// all commits. Data files are held by Verify only, but for their size.
func openDamaged(t *testing.T, dir, name string) {
	t.Helper()
	to := memoryDir(t)
	for n, b := range filesBelow(t, dir) {
		p := filepath.Join(to, n)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(context.Background(), testConfig(to))
	if err != nil {
		if k := weft.KindOf(err); k != weft.KindCorrupt && k != weft.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	defer func() { _ = s.Close() }()
	if s.Head().Seq != 9 {
		t.Errorf("%s is damaged and the store opened at %s", name, s.Head().Seq)
	}
}

func TestVerifyNamesWhatIsMissing(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	dir := filepath.Join(root, "p")
	history(t, e, dir)
	for name, b := range filesBelow(t, dir) {
		if strings.HasSuffix(name, keysSuffix) {
			continue // the next fold makes it
		}
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		found := fmt.Sprint(Verify(dir))
		if !strings.Contains(found, name) {
			t.Errorf("without %s: %s", name, found)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, testConfig(dir, e))
	if f := Verify(dir); len(f) != 1 || f[0].File != "lock" {
		t.Fatal(f)
	}
	_ = s.Close()
}

func TestNewerVersionsAreRefusedByName(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	dir := filepath.Join(root, "p")
	history(t, e, dir)
	for name, b := range filesBelow(t, dir) {
		if strings.HasSuffix(name, ".parquet") || strings.HasSuffix(name, keysSuffix) {
			continue // the one has no version of ours, the other is made again
		}
		bad := bytes.Clone(b)
		if name == manifestFile {
			bad = bytes.Replace(bad, []byte(`"version":1`), []byte(`"version":2`), 1)
		} else {
			bad[8] = 2
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(context.Background(), testConfig(dir, e))
		var known *weft.Error
		if !errors.As(err, &known) || known.Kind != weft.KindInvalid || known.Subject != path || !strings.Contains(known.Error(), "format version 2") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
