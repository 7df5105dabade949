package files

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weft"
	"weft/contract"
	"weft/ingest/ingesttest"
)

// TestExchangedFile: what is put in the place of a listed file is judged by what
// was opened, not by what its name led to before.
func TestExchangedFile(t *testing.T) {
	inside := func(f func(dir string) error) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "data/a.csv")); err != nil {
				t.Fatal(err)
			}
			if err := f(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		exchange func(*testing.T, string)
		want     string // empty: it is read
	}{
		"a file":                 {inside(func(d string) error { return os.WriteFile(filepath.Join(d, "data/a.csv"), []byte("id\n2\n"), 0o600) }), ""},
		"a link in the folder":   {inside(func(d string) error { return os.Symlink("b.csv", filepath.Join(d, "data/a.csv")) }), ""},
		"a pipe":                 {inside(func(d string) error { return syscall.Mkfifo(filepath.Join(d, "data/a.csv"), 0o600) }), "no file any more"},
		"a folder":               {inside(func(d string) error { return os.Mkdir(filepath.Join(d, "data/a.csv"), 0o700) }), "no file any more"},
		"a link to a device":     {inside(func(d string) error { return os.Symlink("/dev/zero", filepath.Join(d, "data/a.csv")) }), "leads out of"},
		"a link to the node's":   {inside(func(d string) error { return os.Symlink("own/key.csv", filepath.Join(d, "data/a.csv")) }), "of the node itself"},
		"a link over two others": {inside(func(d string) error { return os.Symlink("over.csv", filepath.Join(d, "data/a.csv")) }), "of the node itself"},
		"a link to elsewhere":    {inside(func(d string) error { return os.Symlink(filepath.Join(d, "far.csv"), filepath.Join(d, "data/a.csv")) }), "leads out of"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"data/a.csv", "data/b.csv", "data/own/key.csv", "far.csv"} {
				write(t, dir, file, "id\n1\n")
			}
			if err := os.Symlink("own/key.csv", filepath.Join(dir, "data/over.csv")); err != nil {
				t.Fatal(err)
			}
			f := &file{
				path: filepath.Join(dir, "data/a.csv"), root: filepath.Join(dir, "data"), compression: "none",
				private: func(p string) bool { return strings.HasPrefix(p, filepath.Join(dir, "data/own")+"/") },
			}
			c.exchange(t, dir)
			opened := make(chan error, 1)
			go func() {
				h, err := f.openRaw()
				if err == nil {
					h.Close()
				}
				opened <- err
			}()
			select {
			case err = <-opened:
			case <-time.After(30 * time.Second):
				t.Fatal("the open waits")
			}
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (weft.KindOf(err) != weft.KindDenied || !strings.Contains(err.Error(), c.want)):
				t.Errorf("opened: %v", err)
			}
		})
	}
}

// TestNoFileOfTheNode: a source that links to a file of the node does not read it,
// also where the link comes after the listing.
func TestNoFileOfTheNode(t *testing.T) {
	p := port(t, map[string]string{"data/a.csv": "id\n1\n", "data/b.csv": "id\n2\n", "data/own/key.csv": "id\n3\n"}, "data/*.csv", ingesttest.Table("t", "id bigint"))
	p.Server = contract.Server{Name: "s", Type: "local", Path: "data/*.csv"}
	own := filepath.Join(p.Dir, "data/own")
	done := false
	r := hookedRequest(p, func(string) {
		if !done {
			done = true
			_ = os.Remove(filepath.Join(p.Dir, "data/b.csv"))
			_ = os.Symlink("own/key.csv", filepath.Join(p.Dir, "data/b.csv"))
		}
	})
	r.Private = func(path string) bool { return strings.HasPrefix(path, own) }
	if _, err := New().Read(context.Background(), r); err == nil || !done {
		t.Errorf("the link was read (%v): %v", done, err)
	}
	again := hookedRequest(p, func(string) {})
	again.Private = r.Private
	res, err := New().Read(context.Background(), again)
	if err != nil || res.Tables[0].Rows != 1 {
		t.Errorf("a link that was there before is left out: %+v, %v", res, err)
	}
}
