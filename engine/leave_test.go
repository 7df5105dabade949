package engine

import (
	"os"
	"path/filepath"
	"testing"

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
