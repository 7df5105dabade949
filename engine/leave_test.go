package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weft/run"
)

// TestNotReachable holds that a node which may not look into its workers does not try
// to give them their files one by one: they are held to their folders, as where the
// kernel cannot ask.
func TestNotReachable(t *testing.T) {
	dir := Resolved(t.TempDir())
	inside, outside := filepath.Join(dir, "files", "a.csv"), filepath.Join(dir, "b.csv")
	if err := os.Mkdir(filepath.Dir(inside), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{inside, outside} {
		if err := os.WriteFile(f, []byte("a\n1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, reach := range []bool{true, false} {
		asked := 0
		p := NewPool(PoolConfig{
			reach: func(pid int) bool { asked++; return reachable(pid) && reach },
			seen:  func(string, bool) {},
		}, run.Quiet())
		t.Cleanup(p.Close)
		s, err := p.Session(t.Context(), SessionConfig{Memory: 64 << 20, Threads: 1, Read: []string{filepath.Dir(inside)}, Leave: true})
		if err != nil {
			t.Fatal(err)
		}
		prot, _ := ProtectionOf(s)
		if asked != 1 || prot.Leave != (reach && canAsk() && prot.Files == "on") {
			t.Errorf("asked %d times; reachable %v: %+v", asked, reach, prot)
		}
		st := Statement{SQL: "from read_csv(" + QuoteLiteral(inside) + ")", Files: []string{inside}}
		if got, err := ask(t.Context(), s, st); err != nil || got != "1\n" {
			t.Errorf("reachable %v: %q %v", reach, got, err)
		}
		if got, err := ask(t.Context(), s, Statement{SQL: "from read_csv(" + QuoteLiteral(outside) + ")"}); err == nil {
			t.Errorf("reachable %v: %q", reach, got)
		}
		_ = s.Close()
	}
	if !reachable(os.Getpid()) {
		t.Error("the node cannot look into itself")
	}
	if reachable(1 << 30) {
		t.Error("nobody is looked into")
	}
}

// TestSignalsWhileFilesAreGiven holds that a signal to the node or to its worker, as Go's
// runtime sends many, never leaves the worker with another file than it wanted.
func TestSignalsWhileFilesAreGiven(t *testing.T) {
	dir := Resolved(t.TempDir())
	p := NewPool(PoolConfig{}, run.Quiet())
	t.Cleanup(p.Close)
	w, err := p.Session(t.Context(), SessionConfig{Memory: 64 << 20, Threads: 1, Write: dir})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "rows.parquet")
	if _, err := w.Exec(t.Context(), Statement{SQL: "copy (select range i from range(3)) to " + QuoteLiteral(file) + " (format parquet)"}); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	s, err := p.Session(t.Context(), SessionConfig{Memory: 64 << 20, Threads: 1, Read: []string{dir}, Leave: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if prot, _ := ProtectionOf(s); !prot.Leave {
		t.Skip("no file is given here: ", prot)
	}
	// Newer than ten seconds, a file's footer is read each time: an older one is what is
	// opened twice and whose second opening nobody looks at.
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(file, old, old); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go signalAll(ctx, os.Getpid())
	go signalAll(ctx, s.(*session).proc.cmd.Process.Pid)
	for n := range 100 {
		st := Statement{SQL: fmt.Sprintf("select sum(i) + %d from read_parquet(%s)", n, QuoteLiteral(file)), Files: []string{file}}
		if got, err := ask(t.Context(), s, st); err != nil || got != fmt.Sprintf("%d\n", n+3) {
			t.Fatalf("question %d: %q %v", n, got, err)
		}
	}
}

// signalAll sends the signal that Go interrupts a goroutine with to all threads of a
// process, again and again.
func signalAll(ctx context.Context, pid int) {
	for ctx.Err() == nil {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return
		}
		for _, task := range tasks {
			if id, err := strconv.Atoi(task.Name()); err == nil {
				_ = unix.Tgkill(pid, id, unix.SIGURG)
			}
		}
	}
}
