package engine

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/budget"
	"weft/run"
)

// testBudget has room for so many workers of 64 MB and one thread.
func testBudget(places int) (*budget.Budget, int64) {
	one := budget.Amount{Memory: ProcessMemory(64<<20, 1), Temp: 64 << 20, Threads: 1, Places: 1}
	c := budget.Config{Total: budget.Amount{
		Memory: int64(places) * one.Memory, Temp: int64(places) * one.Temp, Threads: places, Places: places,
	}}
	for _, l := range []budget.Lane{budget.Light, budget.Own, budget.Heavy} {
		c.SetLane(l, one, 0, 2, 0)
	}
	return budget.New(c, time.Now), c.Total.Memory + SpareMemory
}

// workerLimits adds up what the kernel lets the workers of this process have at one time:
// what two looks agree on was so between them.
func workerLimits(t *testing.T) (sum int64, n int) {
	t.Helper()
	first, second := limitsNow(t), limitsNow(t)
	for pid, b := range first {
		if second[pid] == b {
			sum += b
			n++
		}
	}
	return sum, n
}

// limitsNow is what the kernel lets each worker of this process have, one read after the
// other.
func limitsNow(t *testing.T) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, pid := range children(t) {
		f, err := os.Open("/proc/" + pid + "/limits")
		if err != nil {
			continue // gone meanwhile
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			if v, ok := strings.CutPrefix(sc.Text(), "Max data size"); ok {
				if b, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64); err == nil { // unlimited only before the worker's main
					out[pid] = b
				}
			}
		}
		f.Close()
	}
	return out
}

// children are the processes that this one has started and that live.
func children(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		b, _ := os.ReadFile(f) // a thread may be gone
		out = append(out, strings.Fields(string(b))...)
	}
	return out
}

// TestLimitsWithinBudget holds that the limits of all workers that live, idle ones
// too, are never more than the node's budget, whatever sessions come and go.
func TestLimitsWithinBudget(t *testing.T) {
	if raced {
		t.Skip("the race detector's memory is counted with the worker's")
	}
	b, most := testBudget(4)
	p := NewPool(PoolConfig{Warm: 1, Budget: b, Memory: most}, run.Quiet())
	g := run.NewGroup(t.Context())
	g.Go("pool", p.Run)
	defer func() {
		g.Stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for k := range 5 {
				s, err := p.Session(t.Context(), SessionConfig{
					Name: fmt.Sprint("s", i), Lane: Lane((i + k) % 3), Memory: 64 << 20 >> ((i * k) % 2), Threads: 1,
				})
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := ask(t.Context(), s, Statement{SQL: "select count(*) from range(1000)"}); err != nil || got != "1000\n" {
					t.Error(got, err)
				}
				if k == 2 {
					s.(*session).proc.kill(EndCrashed)
				}
				_ = s.Close()
			}
		})
	}
	go func() { wg.Wait(); close(done) }()
	samples, high := 0, 0
	for running := true; running; samples++ {
		select {
		case <-done:
			running = false
		case <-time.After(time.Millisecond):
		}
		sum, n := workerLimits(t)
		if high = max(high, n); sum > most {
			t.Fatalf("%d workers may have %d MB, the node's budget is %d MB", n, sum>>20, most>>20)
		}
	}
	t.Logf("%d samples, at most %d workers", samples, high)
	if s := b.State(); s.Used != (budget.Amount{}) {
		t.Errorf("nobody works, and in use is %+v", s)
	}
}

func TestRefusedForWantOfRoom(t *testing.T) {
	b, most := testBudget(3)
	p := NewPool(PoolConfig{Budget: b, Memory: most}, run.Quiet())
	defer p.Close()
	cfg := SessionConfig{Name: "q", Lane: LaneHeavy, Who: "ann", Memory: 64 << 20, Threads: 1}
	s, err := p.Session(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			_, err := p.Session(ctx, cfg)
			if weft.KindOf(err) != weft.KindCancelled {
				t.Error(err)
			}
		})
	}
	for b.State().Waiting[budget.Heavy] < 2 {
		time.Sleep(time.Millisecond)
	}
	_, err = p.Session(t.Context(), cfg)
	wantKind(t, err, weft.KindLimit)
	if weft.AfterOf(err) < time.Second || !strings.Contains(err.Error(), "2 of yours are waiting already") || !strings.Contains(weft.HintOf(err), "ask again in") {
		t.Errorf("%v, %s, after %v", err, weft.HintOf(err), weft.AfterOf(err))
	}
	short, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	cfg.Who = "bob"
	_, err = p.Session(short, cfg)
	wantKind(t, err, weft.KindLimit) // the deadline passed in the queue
	if weft.AfterOf(err) < time.Second || !strings.Contains(err.Error(), "before it could begin") || !strings.Contains(weft.HintOf(err), "ask again in") {
		t.Errorf("%v, %s, after %v", err, weft.HintOf(err), weft.AfterOf(err))
	}
	cancel()
	wg.Wait()
}

// TestHeavyGivesWay holds that the worker of a heavy question is put behind when a
// light one comes, and is not used on that level again.
func TestHeavyGivesWay(t *testing.T) {
	p := testPool(t)
	heavy, err := p.Session(t.Context(), SessionConfig{Lane: LaneHeavy, Memory: 64 << 20, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if n := nice(t, pid(heavy)); n != nice(t, "self") {
		t.Errorf("alone it has level %d", n)
	}
	light, err := p.Session(t.Context(), SessionConfig{Lane: LaneLight, Memory: 64 << 20, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if n := nice(t, pid(heavy)); n != min(ownLevel()+niceness, 19) {
		t.Errorf("beside a light one it has level %d", n)
	}
	if n := nice(t, pid(light)); n != nice(t, "self") {
		t.Errorf("the light one has level %d", n)
	}
	worker := pid(heavy)
	_ = heavy.Close()
	_ = light.Close()
	for range 2 {
		s, err := p.Session(t.Context(), SessionConfig{Lane: LaneLight, Memory: 64 << 20, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		if n := nice(t, pid(s)); n != nice(t, "self") {
			t.Errorf("worker %s (it was %s) is used on level %d", pid(s), worker, n)
		}
		defer s.Close()
	}
}

// nice is the level of a process's first thread.
func nice(t *testing.T, pid string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	n, err := strconv.Atoi(strings.Fields(rest)[16])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
