package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weft"
	"weft/run"
)

// spillSession is a session in a pool that looks at what is spilled.
func spillSession(t *testing.T, memory, temp int64) (s Session, dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "spill")
	p := NewPool(PoolConfig{}, run.Quiet())
	g := run.NewGroup(t.Context())
	g.Go("pool", p.Run)
	t.Cleanup(func() {
		g.Stop()
		_ = g.Wait()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%v is left behind", left)
		}
	})
	s, err := p.Session(t.Context(), SessionConfig{Name: "spill", Memory: memory, Threads: 2, Temp: dir, TempBytes: temp})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, dir
}

var spilling = map[string]struct{ sql, want string }{
	"sort":  {"select count(*) || min(t)[:1] from (select range as a, hash(range) as h, 'x' || hash(range + 1) as t from range(1500000) order by h offset 1)", "1499999x\n"},
	"join":  {"select count(*) from (select range as a, 'some text ' || range as t from range(1200000)) x join (select range as a, 'more text ' || range as t from range(1200000)) y on x.a = y.a and length(x.t) = length(y.t)", "1200000\n"},
	"group": {"select count(*), sum(n) from (select hash(range) as h, 'text ' || range as t, count(*) as n from range(1500000) group by all)", "1500000|1500000\n"},
}

// TestSpill holds that a sort, a join and a grouping that do not fit into memory
// are answered, and refused where they need more of the disk than they may use;
// the worker serves on, and its folder is empty.
func TestSpill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for name, q := range spilling {
		t.Run(name, func(t *testing.T) {
			s, dir := spillSession(t, 64<<20, 1<<30)
			most, stop := highest(dir)
			if got := mustAsk(t, s, q.sql); got != q.want {
				t.Fatal(got)
			}
			stop()
			if most() == 0 {
				t.Error("it did not spill")
			}
			if n := folderSize(dir); n > 1<<20 {
				t.Errorf("%d bytes are left after the answer", n)
			}
			s, dir = spillSession(t, 64<<20, 8<<20)
			most, stop = highest(dir)
			_, err := ask(t.Context(), s, Statement{SQL: q.sql})
			stop()
			wantKind(t, err, weft.KindLimit)
			if !strings.Contains(err.Error(), "more memory or room to spill than it may use") || weft.HintOf(err) == "" {
				t.Errorf("%v (%s)", err, weft.HintOf(err))
			}
			if n := most(); n > 8<<20+spillSlack {
				t.Errorf("it had %d MB on the disk", n>>20)
			}
		})
	}
}

// highest watches how much a folder holds.
func highest(dir string) (most func() int64, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int64, 1)
	go func() {
		var high int64
		for ctx.Err() == nil {
			high = max(high, folderSize(dir))
			time.Sleep(time.Millisecond)
		}
		done <- high
	}()
	var got int64
	return func() int64 { return got }, func() { cancel(); got = <-done }
}

// TestSpillIsBoundedByTheSystem holds that a worker whose engine would not count
// is stopped all the same: one file by the kernel, many by the node.
func TestSpillIsBoundedByTheSystem(t *testing.T) {
	s, dir := spillSession(t, 64<<20, 20<<20)
	temp := filepath.Join(dir, fmt.Sprint("worker-", pid(s)))
	if got := probe(t, s, "fill", target{Temp: temp}); !strings.Contains(got, "20 MB: ") || !strings.Contains(got, syscall.EFBIG.Error()) {
		t.Errorf("one file: %s", got)
	}
	for _, how := range []string{"many", "unlinked", "mapped"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, dir := spillSession(t, 64<<20, 20<<20)
			temp := filepath.Join(dir, fmt.Sprint("worker-", pid(s)))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			out, err := s.(*session).simple(ctx, "fill", fmt.Sprintf(`{"Temp": %q, "Linked": %q}`, temp, how), nil)
			if weft.KindOf(err) != weft.KindLimit || !strings.Contains(err.Error(), "wrote more to its temp folder than it may") {
				t.Error(out, err)
			}
			if _, err := os.Stat(temp); !os.IsNotExist(err) {
				t.Errorf("what it wrote is still there: %v", err)
			}
		})
	}
}

func TestRemovedMapping(t *testing.T) {
	for line, want := range map[string]int64{
		"7f00-8f00 r--p 00000000 fe:00 42                         /w/tmp/worker-1/a b (deleted)\n": 0x1000,
		"7f00-8f00 r--p 00000000 fe:00 42                         /w/tmp/worker-1/a b\n":           0,
		"7f00-8f00 r--p 00000000 fe:00 42                         /w/tmp/worker-12/a (deleted)\n":  0,
		"7f00-8f00 r--s 00000000 00:01 42                         /memfd:weft-rows (deleted)\n":    0,
		"7f00-8f00 rw-p 00000000 00:00 0 \n":                                                       0,
		"":                                                                                         0,
	} {
		if n, _ := removed(line, "/w/tmp/worker-1"); n != want {
			t.Errorf("%q: %d", line, n)
		}
	}
}

// BenchmarkSpillWatch is what a look at one worker costs.
func BenchmarkSpillWatch(b *testing.B) {
	s := testSession(b, func(c *SessionConfig) { c.Temp, c.TempBytes = b.TempDir(), 1<<20 })
	for b.Loop() {
		if s.(*session).proc.spillsOver() {
			b.Fatal("it spills")
		}
	}
}

// TestSpillIsGoneAfterAKill holds that nothing of a killed worker stays on the disk.
func TestSpillIsGoneAfterAKill(t *testing.T) {
	s, dir := spillSession(t, 64<<20, 1<<30)
	go func() { _, _ = ask(t.Context(), s, Statement{SQL: spilling["sort"].sql}) }()
	for folderSize(dir) < 4<<20 {
		time.Sleep(time.Millisecond)
	}
	proc := s.(*session).proc
	_ = syscall.Kill(proc.cmd.Process.Pid, syscall.SIGKILL)
	<-proc.gone
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}
