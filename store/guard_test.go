package store

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"weft"
)

// bigFile commits a data file that is not hashed by who asks for it.
func bigFile(t *testing.T, e *testEngine, dir string) string {
	t.Helper()
	s := mustOpen(t, testConfig(dir, e))
	c := change1(weft.OpAppend)
	c.Tables[0].File = e.stageFile(t, "SELECT range AS id, md5(range::VARCHAR) AS name FROM range(100000)")
	mustAppend(t, s, c)
	mustAppend(t, s, Candidate{Cause: weft.CauseLoad, Tables: []TableData{{Table: "other", Op: weft.OpAppend, Schema: people, Batches: change1(weft.OpAppend, batch(row{1, "Ada"})).Tables[0].Batches}}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "files", "*.parquet"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if st, err := os.Stat(files[0]); err != nil || st.Size() <= smallFile {
		t.Fatal("the file is small", err)
	}
	return files[0]
}

func TestGuardHoldsAFileOnceForAllReaders(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	dir := filepath.Join(root, "p")
	path := bigFile(t, e, dir)
	s := mustOpen(t, testConfig(dir, e))
	read := func(table string) error {
		snap, err := s.Snapshot(context.Background(), 0)
		if err != nil {
			return err
		}
		defer func() { _ = snap.Close() }()
		_, err = snap.Relation(table)
		return err
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := read("people"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	// The file is changed under an open store: it is no longer the one that was held.
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := read("people"); weft.KindOf(err) != weft.KindCorrupt || weft.HintOf(err) == "" {
			t.Error(err)
		}
	}
	if err := read("other"); err != nil {
		t.Error(err)
	}
	if d := s.Damage(); len(d) != 1 || d[0].File != filepath.Join("files", filepath.Base(path)) {
		t.Error(d)
	}
	if s.ReadOnly() != nil {
		t.Error(s.ReadOnly())
	}
	mustAppend(t, s, Candidate{Cause: weft.CauseApply})
	b[len(b)/2] ^= 1 // a repair is seen, too
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := read("people"); err != nil {
		t.Error(err)
	}
}

func TestGuardLetsGoOfWhoNoLongerWaits(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	dir := filepath.Join(root, "p")
	bigFile(t, e, dir)
	s := mustOpen(t, testConfig(dir, e))
	for range cap(s.guard.slots) {
		s.guard.slots <- struct{}{} // others are hashing
	}
	ctx, cancel := context.WithCancel(context.Background())
	snap, err := s.Snapshot(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := snap.Relation("people")
		done <- err
	}()
	cancel()
	if err := <-done; err == nil {
		t.Error("the reader did not end")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(s.guard.slots) {
		<-s.guard.slots
	}
}

func TestRunHoldsAllFiles(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	dir := filepath.Join(root, "p")
	path := bigFile(t, e, dir)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[4] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(dir, e)
	cfg.Background = make(chan struct{}, 1)
	s := mustOpen(t, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for len(s.Damage()) == 0 { // the test's own timeout ends it
		cfg.Background <- struct{}{} // in turn with the store
		<-cfg.Background
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
