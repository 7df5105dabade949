package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
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
				keepsWithoutPower(t, s, fsys)
			})
		}
	}
}
