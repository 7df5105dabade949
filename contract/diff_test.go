package contract

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestDiff runs every script of testdata/diff: what is done to the base folder
// and what the two versions differ in.
func TestDiff(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/diff/*.txtar")
	if len(scripts) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := archive(t, filepath.Join("diff", filepath.Base(file)))
			files := map[string][]byte{}
			scripted(t, a, files)
			want := ""
			for _, f := range a.Files {
				if f.Name == "differences" {
					want = string(f.Data)
				} else {
					files[f.Name] = f.Data
				}
			}
			old, _ := ReadFiles(baseFiles(t))
			now, faults := ReadFiles(files)
			for _, f := range faults {
				t.Errorf("fault: %s", f)
			}
			var b strings.Builder
			for _, d := range Diff(old, now) {
				mark, rows := " ", ""
				if d.Breaking {
					mark = "!"
				}
				if d.Rewrites {
					rows = ", the rows are written again"
				}
				fmt.Fprintf(&b, "%s %s: %s: %q → %q%s\n", mark, d.Where, d.What, d.Before, d.After, rows)
			}
			compare(t, a, file, "differences", want, b.String())
		})
	}
}

func TestDiffOfNothing(t *testing.T) {
	f, _ := ReadFiles(baseFiles(t))
	if d := Diff(f, f); len(d) > 0 {
		t.Errorf("a folder differs from itself: %v", d)
	}
	if d := Diff(nil, f); len(d) != 1 || d[0].Breaking {
		t.Errorf("a new product: %v", d)
	}
	if d := Diff(f, nil); len(d) != 1 || !d[0].Breaking {
		t.Errorf("a product that is gone: %v", d)
	}
	if Diff(nil, nil) != nil {
		t.Error("nothing differs from nothing")
	}
}
