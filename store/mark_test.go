package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"weft"
)

// TestMarkIsMadeWhole lets every step of making the mark fail, and then takes the
// power after a commit, before anything but the journal was synced: the head of the
// mark is on the disk, whatever its slots say, and the commit is there.
func TestMarkIsMadeWhole(t *testing.T) {
	for _, fault := range []string{"create", "write", "sync", "name"} {
		for step := range 4 {
			for seed := range uint64(12) {
				t.Run(fmt.Sprint(fault, " at ", step, " seed ", seed), func(t *testing.T) {
					cfg := testConfig(filepath.Join(memoryDir(t), "p"))
					fsys := newFaultFS(memoryDir(t), rand.New(rand.NewPCG(seed, 8)))
					for _, d := range []string{cfg.Dir, filepath.Join(cfg.Dir, "journal"), filepath.Join(cfg.Dir, "files")} {
						if err := makeFolder(fsys, d); err != nil {
							t.Fatal(err)
						}
					}
					path := filepath.Join(cfg.Dir, "journal", "mark")
					fsys.plan(step, fault)
					if m, _, _, err := openMark(fsys, path); err == nil {
						_ = m.close()
					}
					fsys.plan(-1, "")
					s, err := open(context.Background(), cfg, fsys)
					if err != nil {
						t.Fatal(err)
					}
					keepsWithoutPower(t, s, fsys)
				})
			}
		}
	}
}

// keepsWithoutPower commits, takes the power before anything else is synced, and
// holds that the commit is there.
func keepsWithoutPower(t *testing.T, s *Store, fsys *faultFS) {
	t.Helper()
	want, err := s.Append(context.Background(), change1(weft.OpReplace, batch(row{1, "a"})))
	if err != nil {
		t.Fatal(err)
	}
	fsys.plan(0, "crash")
	_ = s.Close()
	fsys.lose()
	fsys.restore()
	for _, f := range Verify(s.cfg.Dir) {
		t.Errorf("%v", f)
	}
	if s, err = open(context.Background(), s.cfg, fsys); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if d := s.Damage(); len(d) > 0 || s.Head().Hash != want.Hash {
		t.Fatalf("the head is %v, damage %v", s.Head(), d)
	}
}
