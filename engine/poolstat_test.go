package engine

import (
	"context"
	"syscall"
	"testing"
	"time"

	"weft"
)

// TestPoolCountsHowWorkersEnd ends workers in every way that a test can and sees
// each counted once, with its reason.
func TestPoolCountsHowWorkersEnd(t *testing.T) {
	p := testPool(t)
	take := func(memory int64) Session {
		t.Helper()
		s, err := p.Session(t.Context(), SessionConfig{Name: "count", Memory: memory, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	long := Statement{SQL: "select count(*) from range(1000000000000) where hash(range) = 7"}

	killed := take(64 << 20) // while it works, from outside
	time.AfterFunc(50*time.Millisecond, func() { _ = syscall.Kill(killed.(*session).proc.cmd.Process.Pid, syscall.SIGKILL) })
	_, err := ask(t.Context(), killed, long)
	wantKind(t, err, weft.KindUnavailable)
	_ = killed.Close()

	rested := take(65 << 20) // while it rests
	proc := rested.(*session).proc
	_ = rested.Close()
	_ = syscall.Kill(proc.cmd.Process.Pid, syscall.SIGKILL)
	<-proc.gone

	left := take(66 << 20) // whoever asked leaves
	r, err := left.Query(t.Context(), Statement{SQL: "select * from range(100000000)"})
	if err != nil {
		t.Fatal(err)
	}
	_ = left.Close()
	r.Release()

	frozen := take(67 << 20) // it does not stop when it is told to
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, func() {
		_ = syscall.Kill(frozen.(*session).proc.cmd.Process.Pid, syscall.SIGSTOP)
		cancel()
	})
	if _, err := ask(ctx, frozen, long); err == nil {
		t.Error("a frozen worker answers")
	}
	_ = frozen.Close()

	idle := take(68 << 20)
	_ = idle.Close()
	p.Close()
	c := p.Counts()
	want := map[Ending]int64{EndCrashed: 2, EndClosed: 1, EndDeadline: 1, EndRetired: 1}
	total := int64(0)
	for _, e := range Endings() {
		if total += c.Ended[e]; c.Ended[e] != want[e] {
			t.Errorf("%s: %d, want %d", e, c.Ended[e], want[e])
		}
	}
	if c.Started != 5 || total != 5 {
		t.Errorf("%d started, %d ended", c.Started, total)
	}
}
