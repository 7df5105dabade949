package files

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"weft"
)

// TestLinks holds that a link is followed within its folder, however it is written,
// and nowhere else.
func TestLinks(t *testing.T) {
	top := t.TempDir()
	path := func(name string) string { return filepath.Join(top, name) }
	for _, f := range []string{"src/a.csv", "src/sub/b.csv", "outside/c.csv", "src-2/d.csv"} {
		if err := os.MkdirAll(filepath.Dir(path(f)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path(f), []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"src/relative": "a.csv", "src/whole": path("src/sub/b.csv"), "src/sub/up": "../a.csv", "src/folder": path("src/sub"),
		"src/out": path("outside/c.csv"), "src/out-relative": "../outside/c.csv", "src/beside": path("src-2/d.csv"), "src/outer": path("outside"),
		"src/chain": path("src/out"), "current": path("src"),
	} {
		if err := os.Symlink(to, path(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ root, file, want string }{
		{"src", "src/a.csv", "src/a.csv"},
		{"src", "src/relative", "src/a.csv"},
		{"src", "src/whole", "src/sub/b.csv"},
		{"src", "src/sub/up", "src/a.csv"},
		{"src", "src/folder/b.csv", "src/sub/b.csv"},
		{"", "src/whole", "src/sub/b.csv"},
		{"current", "current/whole", "src/sub/b.csv"},
		{"src", "src/out", ""},
		{"src", "src/out-relative", ""},
		{"src", "src/beside", ""},
		{"src", "src/outer/c.csv", ""},
		{"src", "src/chain", ""},
		{"", "src/out", ""},
		{"current", "current/out", ""},
	} {
		f := &file{path: path(c.file)}
		if c.root != "" {
			f.root = path(c.root)
		}
		h, err := f.openRaw()
		if c.want == "" {
			if weft.KindOf(err) != weft.KindDenied || weft.HintOf(err) == "" {
				t.Errorf("%s in %q: %v", c.file, c.root, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s in %q: %v", c.file, c.root, err)
			continue
		}
		if b, err := io.ReadAll(h); err != nil || string(b) != c.want {
			t.Errorf("%s in %q is %q, %v", c.file, c.root, b, err)
		}
		h.Close()
	}
	f := &file{path: path("src/none.csv"), root: path("src")}
	if _, err := f.openRaw(); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}
