package store

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
		"damaged":      func(p string, b []byte) error { b[200] ^= 4; return os.WriteFile(p, b, 0o600) },
		"cut off":      func(p string, b []byte) error { return os.WriteFile(p, b[:len(b)/2], 0o600) },
		"another's":    func(p string, _ []byte) error { return os.WriteFile(p, engine.NewKeySet(0, 1).Bytes(1), 0o600) },
		"of version 9": func(p string, b []byte) error { b[8] = 9; return os.WriteFile(p, b, 0o600) },
		"gone":         func(p string, _ []byte) error { return os.Remove(p) },
	} {
		_ = s.Close()
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
