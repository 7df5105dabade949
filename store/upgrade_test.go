package store

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/store/goldentest"
)

// goldenV1 unpacks the golden folder of version 1 and its text.
func goldenV1(t *testing.T, dir string) string {
	t.Helper()
	goldentest.Unpack(t, filepath.Join(goldenDir, "v1", "full.tar.zst"), dir)
	b, err := os.ReadFile(filepath.Join(goldenDir, "v1", "full.txt"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "\n")
	return text
}

// TestUpgradeKeepsWhatItReplaces upgrades a folder of version 1: the copy that it
// leaves is that folder, whole, and stays so while this program goes on.
func TestUpgradeKeepsWhatItReplaces(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	dir := filepath.Join(root, "p")
	goldenV1(t, dir)
	before := filesBelow(t, dir)
	s := mustOpen(t, goldenConfig(e, dir))
	if _, err := os.Stat(filepath.Join(dir, SavedDir)); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "new"})))
	compactNow(t, s)
	s.cfg.KeepFor, s.cfg.KeepBytes = 1, 1 // let go of all that may go
	for i := range 3 {
		mustAppend(t, s, change1(weft.OpReplace, batch(row{int64(i), "newer"})))
		compactNow(t, s)
	}
	if s.Oldest() < 19 {
		t.Fatal("nothing went: oldest is", s.Oldest())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	saved := filesBelow(t, filepath.Join(dir, SavedDir))
	for name, b := range before {
		if name != "journal/mark" && !bytes.Equal(saved[name], b) { // each start counts on in the mark
			t.Errorf("%s of the saved folder is not what was replaced", name)
		}
	}
	if len(saved) != len(before) {
		t.Errorf("%d files were saved, there were %d", len(saved), len(before))
	}
	r := VerifyFolder(context.Background(), dir)
	if len(r.Faults()) > 0 || len(r.Findings) != 1 || r.Findings[0].File != SavedDir {
		t.Error(r.Findings)
	}
	if f := Verify(filepath.Join(dir, SavedDir)); len(f) > 0 {
		t.Error(f)
	}
}

// TestUpgradeInterrupted takes the power at every step of an upgrade: the next
// start finds a folder of the one version or of the other, and all of it.
func TestUpgradeInterrupted(t *testing.T) {
	root := memoryDir(t)
	whole := filepath.Join(root, "whole")
	goldenV1(t, whole)
	good := filesBelow(t, whole)
	names := slices.Sorted(maps.Keys(good))
	steps := 0
	for step := 0; ; step++ {
		rnd := rand.New(rand.NewPCG(uint64(step), 4))
		dir := filepath.Join(root, fmt.Sprint(step))
		for _, name := range names {
			p := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, good[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		fsys := newFaultFS(memoryDir(t), rnd)
		if err := fsys.adopt(dir); err != nil {
			t.Fatal(err)
		}
		fsys.plan(step, "crash")
		s, err := open(context.Background(), testConfig(dir), fsys)
		if s != nil {
			_ = s.Close()
		}
		crashed := fsys.crashed
		fsys.lose()
		fsys.restore()
		if err != nil && !crashed {
			t.Fatalf("step %d: %v", step, err)
		}
		for _, f := range Verify(dir) {
			// A slot that was torn looks like one that was damaged, and a copy that was
			// not made yet like one that is gone.
			if f.File != "journal/mark" && f.File != manifestCopy {
				t.Fatalf("step %d: %v", step, f)
			}
		}
		s = mustOpen(t, testConfig(dir))
		if s.Head().Seq != 20 || s.ReadOnly() != nil || len(s.Damage()) > 0 {
			t.Fatalf("step %d: %v %v", step, s.Head(), s.Damage())
		}
		mustAppend(t, s, Candidate{Cause: weft.CauseApply})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if f := Verify(dir); len(f) > 0 {
			t.Fatalf("step %d: %v", step, f)
		}
		saved := filesBelow(t, filepath.Join(dir, SavedDir))
		for _, name := range names {
			if name != "journal/mark" && !bytes.Equal(saved[name], good[name]) {
				t.Fatalf("step %d: %s was not saved", step, name)
			}
		}
		_ = os.RemoveAll(dir)
		if steps++; !crashed {
			break
		}
	}
	if steps < 30 {
		t.Fatal("only", steps, "steps")
	}
}
