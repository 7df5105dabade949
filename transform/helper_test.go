package transform

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"weft/contract"
	"weft/engine"
	"weft/run"
)

var update = flag.Bool("update", false, "write what the scripts give into them")

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	os.Exit(m.Run())
}

func newPool(t testing.TB) *engine.Pool {
	t.Helper()
	pool := engine.NewPool(engine.PoolConfig{}, run.Quiet())
	t.Cleanup(func() { pool.Close() })
	return pool
}

// newSession is a session with a stage to write to.
func newSession(t testing.TB) (engine.Session, string) {
	t.Helper()
	stage := t.TempDir()
	s, err := newPool(t).Session(context.Background(), engine.SessionConfig{
		Name: "test", Read: []string{stage}, Write: stage, Memory: 1 << 30, Threads: 2, Temp: t.TempDir(), TempBytes: 1 << 30,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, stage
}

// script is a text archive: a product folder, and what should come of it.
type script struct {
	t    *testing.T
	path string
	arc  *txtar.Archive
}

// scripts runs f for every script of a folder of testdata.
func scripts(t *testing.T, dir string, f func(*script)) {
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			arc, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f(&script{t: t, path: file, arc: arc})
		})
	}
}

// folder reads the product folder of the script; faults that make it unusable
// fail the test, but for those of rules that are named.
func (s *script) folder(allowed ...string) *contract.Folder {
	s.t.Helper()
	fsys := fstest.MapFS{}
	for _, f := range s.arc.Files {
		if f.Name != "want" {
			fsys["p/"+f.Name] = &fstest.MapFile{Data: f.Data}
		}
	}
	f, faults := contract.Read(fsys, "p")
	checkFaults(s.t, f, faults, allowed...)
	return f
}

func checkFaults(t *testing.T, f *contract.Folder, faults []contract.Fault, allowed ...string) {
	t.Helper()
	for _, x := range faults {
		ok := x.Severity != contract.FaultError
		for _, a := range allowed {
			ok = ok || a == x.Rule
		}
		if !ok {
			t.Errorf("%s:%d: %s: %s", x.File, x.Line, x.Rule, x.Message)
		}
	}
	if f == nil || t.Failed() {
		t.FailNow()
	}
}

// want compares got with the script's file "want", or writes it there.
func (s *script) want(got string) {
	s.t.Helper()
	for i := range s.arc.Files {
		f := &s.arc.Files[i]
		if f.Name != "want" {
			continue
		}
		if *update {
			f.Data = []byte(got)
			if err := os.WriteFile(s.path, txtar.Format(s.arc), 0o644); err != nil {
				s.t.Fatal(err)
			}
			return
		}
		if string(f.Data) != got {
			s.t.Errorf("got\n%s\nwant\n%s", got, f.Data)
		}
		return
	}
	s.t.Fatal("the script has no file want")
}
