package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"weft"
)

// TestFoldersAreMadeWhole lets every step of making a store's folders fail, opens
// it again, and takes the power after a commit: the names of the folders are on the
// disk, though an opening before had found them made.
func TestFoldersAreMadeWhole(t *testing.T) {
	for _, fault := range []string{"create", "sync", "name", "crash"} {
		for step := range 8 {
			t.Run(fmt.Sprint(fault, " at ", step), func(t *testing.T) {
				cfg := testConfig(filepath.Join(memoryDir(t), "a", "p"))
				fsys := newFaultFS(memoryDir(t), rand.New(rand.NewPCG(uint64(step), 9)))
				fsys.plan(step, fault)
				if s, err := open(context.Background(), cfg, fsys); err == nil {
					_ = s.Close()
				}
				if fsys.crashed {
					fsys.lose()
				}
				fsys.restore()
				s, err := open(context.Background(), cfg, fsys)
				if err != nil {
					t.Fatal(err)
				}
				want, err := s.Append(context.Background(), change1(weft.OpReplace, batch(row{1, "a"})))
				if err != nil {
					t.Fatal(err)
				}
				fsys.plan(0, "crash")
				_ = s.Close()
				fsys.lose()
				fsys.restore()
				if s, err = open(context.Background(), cfg, fsys); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				if d := s.Damage(); len(d) > 0 || s.Head().Hash != want.Hash {
					t.Fatalf("the head is %v, damage %v", s.Head(), d)
				}
			})
		}
	}
}
