package contract

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFix runs every script of testdata/fix: a folder, what is done to it and
// the lines that change.
func TestFix(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/fix/*.txtar")
	if len(scripts) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := archive(t, filepath.Join("fix", filepath.Base(file)))
			files := map[string][]byte{}
			scripted(t, a, files)
			want := ""
			for _, f := range a.Files {
				if f.Name == "fixed" {
					want = string(f.Data)
				} else {
					files[f.Name] = f.Data
				}
			}
			changed, done, err := Fix(mapFS(files), ".")
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, d := range done {
				fmt.Fprintln(&b, d)
			}
			for _, name := range slices.Sorted(maps.Keys(changed)) {
				b.WriteString(changedLines(name, string(files[name]), string(changed[name])))
				files[name] = changed[name]
			}
			compare(t, a, file, "fixed", want, b.String())
			if _, again, _ := Fix(mapFS(files), "."); len(again) > 0 {
				t.Errorf("a second run finds more: %v", again)
			}
		})
	}
}

// changedLines shows the lines of two texts that differ, as a set.
func changedLines(name, before, after string) string {
	old := map[string]int{}
	for line := range strings.Lines(before) {
		old[line]++
	}
	var b strings.Builder
	for line := range strings.Lines(after) {
		if old[line]--; old[line] < 0 {
			fmt.Fprintf(&b, "%s: %s", name, line)
		}
	}
	return b.String()
}
