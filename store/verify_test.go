package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	if err := s.Hold("audit", 3); err != nil {
		t.Fatal(err)
	}
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
		if name == holdsFile {
			found = name // where nothing is held there is none
		}
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
		if strings.HasSuffix(name, ".parquet") || strings.HasSuffix(name, keysSuffix) || name == manifestCopy {
			continue // the first has no version of ours, the others are made again
		}
		bad := bytes.Clone(b)
		if name == manifestFile || name == holdsFile {
			bad = bytes.Replace(bad, []byte(`"version":2`), []byte(`"version":3`), 1)
		} else {
			bad[8] = 3
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(context.Background(), testConfig(dir, e))
		var known *weft.Error
		if !errors.As(err, &known) || known.Kind != weft.KindInvalid || known.Subject != path || !strings.Contains(known.Error(), "format version 3") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
