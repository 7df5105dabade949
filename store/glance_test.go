package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
)

// TestPeekAtWhatIsLost takes parts of the journal of a closed store, all of which
// is folded: a glance says that it does not know the state, and opening knows.
func TestPeekAtWhatIsLost(t *testing.T) {
	journal := func(dir, name string) string { return filepath.Join(dir, "journal", name) }
	cases := []struct {
		name  string
		whole bool
		do    func(dir string) error
	}{
		{"nothing", true, func(string) error { return nil }},
		{"the journal", false, func(dir string) error { return os.RemoveAll(filepath.Join(dir, "journal")) }},
		{"the only segment", false, func(dir string) error { return os.Remove(journal(dir, segmentName(1))) }},
		{"the end of the segment", false, func(dir string) error { return os.Truncate(journal(dir, segmentName(1)), 100) }},
		{"the mark", false, func(dir string) error { return os.Remove(journal(dir, "mark")) }},
		{"the segment that the mark names", false, func(dir string) error {
			m, _, _, err := openMark(disk{}, journal(dir, "mark"))
			if err != nil {
				return err
			}
			m.set(2, 500)
			return m.close()
		}},
		{"all", true, os.RemoveAll},
	}
	e := newEngine(t, t.TempDir())
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(filepath.Join(e.dir, strings.ReplaceAll(c.name, " ", "-")), e)
			s := mustOpen(t, cfg)
			mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "a"})))
			compactNow(t, s)
			if err := errors.Join(s.Close(), c.do(cfg.Dir)); err != nil {
				t.Fatal(err)
			}
			g, err := Peek(cfg.Dir)
			if err != nil || g.Whole != c.whole {
				t.Errorf("the glance is %+v, %v", g, err)
			}
		})
	}
}

// TestPeekBeforeTheFold glances at a store whose last commit is in the journal only.
func TestPeekBeforeTheFold(t *testing.T) {
	cfg := testConfig(filepath.Join(t.TempDir(), "p"))
	s := mustOpen(t, cfg)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if g, err := Peek(cfg.Dir); err != nil || !g.Whole || g.Seq != 0 {
		t.Errorf("of an empty store: %+v, %v", g, err)
	}
	s = mustOpen(t, cfg)
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "a"})))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if g, err := Peek(cfg.Dir); err != nil || g.Whole {
		t.Errorf("of a store with a commit that is not folded: %+v, %v", g, err)
	}
}

// TestCancelledCommit commits with a context that has ended, blocks and a file:
// nothing is committed, the error says so, and the file is where it was and is
// not believed where it was moved to.
func TestCancelledCommit(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s := mustOpen(t, testConfig(filepath.Join(e.dir, "p"), e))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Append(ctx, change1(weft.OpReplace, batch(row{1, "a"})))
	if weft.KindOf(err) != weft.KindCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("blocks: %v of kind %s", err, weft.KindOf(err))
	}
	c := change1(weft.OpReplace)
	c.Tables[0].File = e.stageFile(t, "SELECT 1::BIGINT AS id, 'a' AS name")
	if _, err = s.Append(ctx, c); weft.KindOf(err) != weft.KindCancelled {
		t.Errorf("a file: %v of kind %s", err, weft.KindOf(err))
	}
	two := change1(weft.OpReplace)
	two.Tables[0].File = c.Tables[0].File
	bad := two.Tables[0]
	bad.Table, bad.File = "others", e.stageFile(t, "SELECT 1::BIGINT AS id, 'a' AS name")
	two.Tables = append(two.Tables, bad)
	s.fs = failingRename{s.fs, bad.File}
	if _, err := s.Append(context.Background(), two); err == nil {
		t.Error("a file that cannot be moved was committed")
	}
	if n := len(s.guard.held); n != 0 {
		t.Errorf("%d files of no commit are taken as held", n)
	}
	if _, err := os.Stat(two.Tables[0].File); err != nil {
		t.Error(err)
	}
	mustAppend(t, s, c)
	if n := len(s.guard.held); n != 1 {
		t.Errorf("%d files are taken as held, one was hashed", n)
	}
}

// failingRename is a file system that does not move one file.
type failingRename struct {
	fileSystem
	path string
}

func (f failingRename) Rename(from, to string) error {
	if from == f.path {
		return errors.New("no")
	}
	return f.fileSystem.Rename(from, to)
}
