package engine

import (
	"path/filepath"
	"strings"
	"testing"

	"weft"
)

// seeds are the queries of the scripts.
func seeds(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/gate/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := readBlocks(t, "testdata/gate/answers/answers.txt")
	for _, f := range files {
		for _, b := range readBlocks(t, f) {
			if filepath.Base(f) == "hostile.txt" {
				out = append(out, strings.Split(b, "\n")...)
				continue
			}
			q, _, _ := strings.Cut(b, "\n----")
			out = append(out, q)
		}
	}
	return out
}

// FuzzTree walks any JSON: it is refused or walked, and never a panic, whatever
// a parser of another version might give.
func FuzzTree(f *testing.F) {
	s := newParser(f)
	for _, q := range seeds(f) {
		if len(q) < 300 && strings.IndexByte(q, 0) < 0 {
			if b, err := s.db.parse(q); err == nil {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := readTree(b, "")
		if err != nil {
			return
		}
		w := newWalker("", testRules)
		if err := w.walk(tree); err != nil {
			return
		}
		w.bound("")
		if _, err := (&tracer{}).run(tree.stmt); err != nil && weft.KindOf(err) != weft.KindLimit {
			t.Errorf("a tree that was walked cannot be traced: %v", err)
		}
		if _, err := tree.encode(); err != nil {
			t.Errorf("a tree that was walked cannot be written: %v", err)
		}
		if !tree.same(tree) {
			t.Error("a tree is not the same as itself")
		}
	})
}

// FuzzQuery takes any text through the gate: what passes is a fixpoint.
func FuzzQuery(f *testing.F) {
	s := newParser(f)
	for _, q := range seeds(f) {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		b, err := Bind(t.Context(), s, q, testRules)
		if err != nil {
			switch weft.KindOf(err) {
			case weft.KindInvalid, weft.KindLimit, weft.KindNotFound:
			default:
				t.Errorf("%q is refused as %s: %v", q, weft.KindOf(err), err)
			}
			return
		}
		if again, err := Bind(t.Context(), s, b.SQL, testRules); err == nil && again.SQL != b.SQL {
			t.Errorf("%q gives\n%s\nand that\n%s", q, b.SQL, again.SQL)
		} else if err != nil && weft.KindOf(err) != weft.KindLimit {
			t.Errorf("%q gives\n%s\nand that is refused: %v", q, b.SQL, err)
		}
	})
}

// FuzzScan holds that the scanner ends and that what it skips is never before
// where it stands.
func FuzzScan(f *testing.F) {
	for _, q := range seeds(f) {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		_ = checkText(q)
		_ = firstWord(q)
		for i := range len(q) {
			if j := skipQuoted(q, i); j < i || j > len(q) {
				t.Fatalf("%q: from %d to %d", q, i, j)
			}
		}
	})
}
