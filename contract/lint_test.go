package contract

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write what the scripts of testdata give now")

// archive reads a txtar file.
func archive(t testing.TB, file string) *txtar.Archive {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// baseFiles returns the files of the folder without faults.
func baseFiles(t testing.TB) map[string][]byte {
	files := map[string][]byte{}
	for _, f := range archive(t, "base.txtar").Files {
		files[f.Name] = f.Data
	}
	return files
}

func mapFS(files map[string][]byte) fstest.MapFS {
	m := fstest.MapFS{}
	for name, data := range files {
		m[name] = &fstest.MapFile{Data: data}
	}
	return m
}

// scripted applies the comment of a script to files, line by line:
//
//	base                      start from testdata/base.txtar
//	remove FILE
//	replace FILE ¦ OLD ¦ NEW  where \n stands for a line end
func scripted(t testing.TB, a *txtar.Archive, files map[string][]byte) {
	t.Helper()
	for line := range strings.Lines(string(a.Comment)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "base":
			for name, data := range baseFiles(t) {
				files[name] = data
			}
		case "remove":
			delete(files, rest)
		case "replace":
			w := strings.Split(rest, "¦")
			if len(w) != 3 {
				t.Fatalf("replace wants three parts: %s", line)
			}
			name := strings.TrimSpace(w[0])
			unescape := func(s string) string {
				return strings.ReplaceAll(strings.TrimPrefix(strings.TrimSuffix(s, " "), " "), `\n`, "\n")
			}
			old, now := unescape(w[1]), unescape(w[2])
			if !strings.Contains(string(files[name]), old) {
				t.Fatalf("%s holds no %q", name, old)
			}
			files[name] = []byte(strings.Replace(string(files[name]), old, now, 1))
		case "", "#":
		default:
			t.Fatalf("no verb %q", verb)
		}
	}
}

// TestLint runs every script of testdata/lint: a folder and the faults it has.
func TestLint(t *testing.T) {
	scripts, err := filepath.Glob("testdata/lint/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := archive(t, filepath.Join("lint", filepath.Base(file)))
			files := map[string][]byte{}
			scripted(t, a, files)
			want := ""
			for _, f := range a.Files {
				if f.Name == "faults" {
					want = string(f.Data)
					continue
				}
				files[f.Name] = f.Data
			}
			var b strings.Builder
			fsys := mapFS(files)
			var faults []Fault
			if _, ok := files[productFile]; ok || len(Find(fsys, ".")) == 0 {
				_, faults = Read(fsys, ".")
			} else {
				faults = readAll(fsys, ".")
			}
			for _, f := range faults {
				at := f.File
				if f.Line > 0 {
					at = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
				}
				fmt.Fprintf(&b, "%s %s %s\n\t%s\n", at, f.Severity, f.Rule, f.Message)
				if f.Hint != "" {
					fmt.Fprintf(&b, "\t→ %s\n", f.Hint)
				}
			}
			compare(t, a, file, "faults", want, b.String())
		})
	}
}

// readAll reads every product folder at and below root and holds them against
// each other, as weft lint does.
func readAll(fsys fs.FS, root string) []Fault {
	var all []Found
	s := &sink{}
	for _, dir := range Find(fsys, root) {
		f, faults := Read(fsys, dir)
		s.faults = append(s.faults, faults...)
		if f != nil {
			all = append(all, Found{dir, f})
		}
	}
	s.faults = append(s.faults, CheckTogether(all)...)
	return s.sorted()
}

// compare holds a script's section against what came out, or rewrites it.
func compare(t *testing.T, a *txtar.Archive, file, section, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	if !*update {
		t.Errorf("%s gives other %s (go test -update rewrites them)\n--- want\n%s--- got\n%s", file, section, want, got)
		return
	}
	found := false
	for i, f := range a.Files {
		if f.Name == section {
			a.Files[i].Data, found = []byte(got), true
		}
	}
	if !found {
		a.Files = append(a.Files, txtar.File{Name: section, Data: []byte(got)})
	}
	if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
