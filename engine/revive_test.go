package engine

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"weft"
	"weft/run"
)

// restedDead is a session of a pool with a budget whose worker died while it rested.
func restedDead(t *testing.T, cfg SessionConfig) (*Pool, *session) {
	t.Helper()
	b, most := testBudget(4)
	p := NewPool(PoolConfig{Budget: b, Memory: most}, run.Quiet())
	t.Cleanup(p.Close)
	cfg.Memory, cfg.Threads = 64<<20, 1
	first, err := p.Session(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	proc := first.(*session).proc
	_ = first.Close()
	s, err := p.Session(t.Context(), cfg)
	if err != nil || s.(*session).proc != proc {
		t.Fatalf("it did not rest: %v", err)
	}
	_ = syscall.Kill(proc.cmd.Process.Pid, syscall.SIGKILL)
	<-proc.gone
	return p, s.(*session)
}

// empty wants a pool that holds no worker and counts the memory of none.
func empty(t *testing.T, p *Pool) {
	t.Helper()
	if p.limits != 0 || len(p.live) != 0 || len(p.slow) != 0 {
		t.Errorf("%d bytes are counted for %d workers, %d of them slow", p.limits, len(p.live), len(p.slow))
	}
}

// TestNoOtherWorker holds that a session which cannot have another worker says why,
// and that its memory is counted off once.
func TestNoOtherWorker(t *testing.T) {
	temp := filepath.Join(t.TempDir(), "spill")
	p, s := restedDead(t, SessionConfig{Temp: temp, TempBytes: 1 << 20})
	if err := os.RemoveAll(temp); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(temp, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := s.Parse(t.Context(), "select 1")
	wantKind(t, err, weft.KindUnavailable)
	if !strings.Contains(err.Error(), "folder to spill to") {
		t.Error(err)
	}
	_ = s.Close()
	empty(t, p)
}

// TestClosedWhileRevived holds that a session which was closed keeps no worker.
func TestClosedWhileRevived(t *testing.T) {
	p, s := restedDead(t, SessionConfig{})
	s.broken.Store(true)
	_ = s.Close()
	wantKind(t, s.revive(t.Context()), weft.KindCancelled)
	empty(t, p)
}

// TestSlowIsOfTheLiving holds that what is put behind is a worker that runs a heavy
// question now: not a dead one, nor one that was given back, but the one that took
// its place.
func TestSlowIsOfTheLiving(t *testing.T) {
	p, s := restedDead(t, SessionConfig{Lane: LaneHeavy})
	dead := s.proc
	if got := mustAsk(t, s, "select 42"); got != "42\n" {
		t.Fatal(got)
	}
	if _, ok := p.slow[dead]; ok {
		t.Error("a dead worker is slow")
	}
	if _, ok := p.slow[s.proc]; !ok {
		t.Error("the worker that took its place is not slow")
	}
	_ = s.Close()
	Demote(s, true)
	if len(p.slow) != 0 {
		t.Error("a worker that was given back is slow")
	}
	p.retire(p.oldestIdle())
	empty(t, p)
}
