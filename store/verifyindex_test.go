package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
)

// TestVerifyLooksIntoTheKeyIndex damages each file of an index in turn: verify
// says so in a note, since nothing but speed hangs on it.
func TestVerifyLooksIntoTheKeyIndex(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	dir := filepath.Join(root, "p")
	s := mustOpen(t, testConfig(dir, e))
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "Ada"}, row{2, "Bob"})))
	keys := batch(row{1, "Ada"})
	keys = withColumns(keys, 1)
	if _, err := lookup(s, e.session(t), "people", keys); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r := VerifyFolder(context.Background(), dir); len(r.Findings) > 0 {
		t.Fatal(r.Findings)
	}
	files, err := os.ReadDir(filepath.Join(dir, indexDir))
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for _, f := range files {
		path := filepath.Join(dir, indexDir, f.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 || strings.HasPrefix(f.Name(), "LOG") { // a text for people
			continue
		}
		b[len(b)/2] ^= 8
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r := VerifyFolder(context.Background(), dir)
		if len(r.Faults()) > 0 || len(r.Findings) != 1 || r.Findings[0].File != indexDir {
			t.Errorf("%s: %v", f.Name(), r.Findings)
		}
		damaged++
		b[len(b)/2] ^= 8
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if damaged < 2 {
		t.Error("only", damaged, "files")
	}
}

// withColumns are the first n columns of a batch.
func withColumns(b arrow.RecordBatch, n int) arrow.RecordBatch {
	return array.NewRecordBatch(arrow.NewSchema(b.Schema().Fields()[:n], nil), b.Columns()[:n], b.NumRows())
}
