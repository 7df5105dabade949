package engine

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/run"
)

var crashes = flag.Int("crashes", 40, "workers that TestCrashes kills")

// holdings is what a process could leak by its workers.
type holdings struct{ processes, descriptors, memory int }

func holdingsNow(t *testing.T) holdings {
	t.Helper()
	h := holdings{processes: len(children(t))}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	h.descriptors = len(fds)
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.Contains(to, "memfd:") {
			h.memory++
		}
	}
	return h
}

// TestCrashes kills workers while they stream, while they read a question, while
// they rest and while they are made ready. Each costs at most the question that
// was under way, whose answer is whole or a clean error; the next one is answered;
// and nothing is left of them.
func TestCrashes(t *testing.T) {
	before := holdingsNow(t)
	temp := t.TempDir()
	p := NewPool(PoolConfig{Warm: 1}, run.Quiet())
	g := run.NewGroup(t.Context())
	g.Go("pool", p.Run)
	b := numbers(0, 20_000)
	whole := Statement{
		SQL:     "select k, t, 'spilled ' || hash(k) as h from arrow_source('x'), range(20) order by h, t",
		Sources: []Source{{Name: "x", Schema: b.Schema(), Batches: []arrow.RecordBatch{b}}},
	}
	cfg := SessionConfig{Name: "crash", Memory: 96 << 20, Threads: 2, Temp: temp, TempBytes: 256 << 20, Read: []string{temp}, Leave: true}
	rnd := rand.New(rand.NewPCG(7, 7))
	lost := 0
	for i := range *crashes {
		s, err := p.Session(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		pid := s.(*session).proc.cmd.Process.Pid
		kill := func() { _ = syscall.Kill(pid, syscall.SIGKILL) }
		after := time.Duration(rnd.IntN(60)) * time.Millisecond
		switch i % 4 {
		case 0:
			timer := time.AfterFunc(after, kill)
			rows, err := count(t.Context(), s, whole)
			timer.Stop()
			lost += cleanly(t, "a stream", err)
			if err == nil && rows != 400_000 {
				t.Fatalf("a torn answer of %d rows looks whole", rows)
			}
		case 1:
			timer := time.AfterFunc(after/4, kill)
			text := "select " + strings.Repeat("lower(a), ", 4000) + "1 from t"
			tree, err := s.Parse(t.Context(), text)
			if err == nil {
				_, err = s.Deparse(t.Context(), tree)
			}
			timer.Stop()
			lost += cleanly(t, "reading a question", err)
		case 2:
			_ = s.Close() // it rests, and dies at it
			kill()
		case 3:
			_ = s.Close()
			other := cfg
			other.Memory += int64(i) << 20 // no session rests for this one
			timer := time.AfterFunc(after/20, func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				for w := range p.live {
					_ = syscall.Kill(w.cmd.Process.Pid, syscall.SIGKILL)
				}
			})
			o, err := p.Session(t.Context(), other)
			timer.Stop()
			cleanly(t, "making a worker ready", err)
			if err == nil {
				_ = o.Close()
			}
		}
		_ = s.Close()
		next, err := p.Session(t.Context(), cfg)
		if err != nil {
			t.Fatalf("after crash %d: %v", i, err)
		}
		if got, err := ask(t.Context(), next, Statement{SQL: "select 42"}); err != nil || got != "42\n" {
			t.Fatalf("after crash %d: %q %v", i, got, err)
		}
		_ = next.Close()
	}
	t.Logf("%d workers killed, %d questions lost", *crashes, lost)
	if lost == 0 {
		t.Error("no kill came in time: the test proves nothing")
	}
	g.Stop()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(temp, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left to spill: %v %v", left, err)
	}
	var after holdings
	for range 100 { // descriptors that were passed are closed a moment later
		if after = holdingsNow(t); after.processes <= before.processes && after.descriptors <= before.descriptors && after.memory <= before.memory {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("before %+v, after %+v", before, after)
}

// count reads an answer to its end.
func count(ctx context.Context, s Session, st Statement) (int64, error) {
	r, err := s.Query(ctx, st)
	if err != nil {
		return 0, err
	}
	return rowsOf(r)
}

func rowsOf(r array.RecordReader) (n int64, err error) {
	defer r.Release()
	for r.Next() {
		n += r.RecordBatch().NumRows()
	}
	return n, r.Err()
}

// cleanly wants of an error that it says the worker died, and counts it.
func cleanly(t *testing.T, what string, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	if k := weft.KindOf(err); k != weft.KindUnavailable && k != weft.KindLimit || weft.HintOf(err) == "" {
		t.Fatalf("%s ends with %v (%s, %s)", what, err, k, weft.HintOf(err))
	}
	return 1
}

// TestRestedWorkerDied holds that a worker which dies while it rests costs nothing.
func TestRestedWorkerDied(t *testing.T) {
	p := testPool(t)
	cfg := SessionConfig{Memory: 64 << 20, Threads: 1}
	for i := range 5 {
		s, err := p.Session(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		proc := s.(*session).proc
		_ = s.Close()
		r, err := p.Session(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if r.(*session).proc != proc {
			t.Fatal("it did not rest")
		}
		_ = syscall.Kill(proc.cmd.Process.Pid, syscall.SIGKILL) // after it was handed out
		if i%2 == 0 {
			<-proc.gone
		}
		if got, err := ask(t.Context(), r, Statement{SQL: "select 42"}); err != nil || got != "42\n" {
			t.Fatalf("%q %v", got, err)
		}
		_ = r.Close()
	}
}

// TestKilledAtTheDeadline holds that the node itself ends a worker which ignores
// everything, one second after the deadline: while it runs code that looks at no
// interrupt, and where it does not even read its job.
func TestKilledAtTheDeadline(t *testing.T) {
	const deadline = 200 * time.Millisecond
	big := Statement{SQL: "select 1 -- " + strings.Repeat("x", 8<<20)} // more than the socket holds
	var wg sync.WaitGroup
	for name, f := range map[string]func(ctx context.Context, s *session) error{
		"spins": func(ctx context.Context, s *session) error {
			_, err := s.simple(ctx, "spin", "", nil)
			return err
		},
		"is stopped": func(ctx context.Context, s *session) error {
			_ = syscall.Kill(s.proc.cmd.Process.Pid, syscall.SIGSTOP)
			_, err := ask(ctx, s, Statement{SQL: "select 1"})
			return err
		},
		"does not read": func(ctx context.Context, s *session) error {
			_ = syscall.Kill(s.proc.cmd.Process.Pid, syscall.SIGSTOP)
			_, err := ask(ctx, s, big)
			return err
		},
		"stops within a stream": func(ctx context.Context, s *session) error {
			r, err := s.Query(ctx, Statement{SQL: "select range from range(1000000000)"})
			if err != nil {
				return err
			}
			defer r.Release()
			for n := 0; r.Next(); n++ {
				if n == 2 {
					_ = syscall.Kill(s.proc.cmd.Process.Pid, syscall.SIGSTOP)
				}
			}
			return r.Err()
		},
		"has a reader that does not read": func(ctx context.Context, s *session) error {
			r, err := s.Query(ctx, Statement{SQL: "select range from range(1000000000)"})
			if err != nil {
				return err
			}
			defer r.Release()
			_ = syscall.Kill(s.proc.cmd.Process.Pid, syscall.SIGSTOP)
			<-s.proc.gone
			return firstErr(r)
		},
	} {
		s := testSession(t, func(c *SessionConfig) { c.Ordered = true }).(*session) // has rows soon
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			began := time.Now()
			err := f(ctx, s)
			took := time.Since(began)
			if weft.KindOf(err) != weft.KindLimit || !strings.Contains(fmt.Sprint(err), "ran longer") {
				t.Errorf("a worker that %s: %v", name, err)
			}
			if took < deadline || took > deadline+grace+700*time.Millisecond {
				t.Errorf("a worker that %s was ended after %v", name, took)
			}
			if _, err := os.Stat("/proc/" + pid(s) + "/exe"); err == nil {
				t.Errorf("a worker that %s lives on", name)
			}
		})
	}
	wg.Wait()
}

func firstErr(r array.RecordReader) error {
	for r.Next() {
	}
	return r.Err()
}
