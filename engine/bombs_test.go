package engine

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
)

// nodeMemory watches what this process holds while something runs.
func nodeMemory(run func()) (grown int64) {
	runtime.GC()
	start, stop, done := residentSet(), make(chan struct{}), make(chan int64)
	go func() {
		var high int64
		for {
			select {
			case <-stop:
				done <- high
				return
			case <-time.After(5 * time.Millisecond):
				high = max(high, residentSet())
			}
		}
	}()
	run()
	close(stop)
	return <-done - start
}

// residentSet is the memory of this process in bytes.
func residentSet() (n int64) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size int64
	_, _ = fmt.Sscan(string(b), &size, &n)
	return n * int64(os.Getpagesize())
}

// TestHostileIsCheap holds that every statement of hostile.txt is refused soon and
// that neither the node nor the worker that reads them grows by it.
func TestHostileIsCheap(t *testing.T) {
	s := testSession(t, func(c *SessionConfig) { c.Threads = 1 })
	text, err := os.ReadFile("testdata/gate/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	grown := nodeMemory(func() {
		for line := range strings.SplitSeq(string(text), "\n") {
			if strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "# ") {
				continue
			}
			q := expand(t, line)
			began := time.Now()
			if _, err := Bind(t.Context(), s, q, testRules); err == nil {
				t.Fatalf("%.200s passes", q)
			}
			took = append(took, time.Since(began))
		}
	})
	slices.Sort(took)
	p99, worst := took[len(took)*99/100], took[len(took)-1]
	t.Logf("%d refusals: p50 %v, p99 %v, worst %v; the node grew by %d MB", len(took), took[len(took)/2], p99, worst, grown>>20)
	if p99 > 500*time.Millisecond || worst > 5*time.Second { // a tenth of it on a machine of one's own
		t.Errorf("refusals take long: p99 %v, worst %v", p99, worst)
	}
	if grown > 128<<20 {
		t.Errorf("the node grew by %d MB", grown>>20)
	}
	if got := mustAsk(t, s, "select 42"); got != "42\n" { // the same worker through all of them
		t.Error(got)
	}
}

// TestBombs runs what only shows its cost when it runs.
func TestBombs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	p := testPool(t)
	views := testViews(t)
	const deadline = 500 * time.Millisecond
	var wg sync.WaitGroup
	turns := make(chan struct{}, 4)
	grown := nodeMemory(func() {
		for line := range strings.SplitSeq(readAll(t, "testdata/gate/bombs.sql"), "\n") {
			want, q, ok := strings.Cut(line, ": ")
			if !ok || strings.HasPrefix(line, "#") {
				continue
			}
			turns <- struct{}{}
			wg.Go(func() {
				defer func() { <-turns }()
				s, err := p.Session(t.Context(), SessionConfig{Name: "bomb", Memory: 128 << 20, Threads: 1})
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				began := time.Now()
				b, err := Bind(ctx, s, expand(t, q), testRules)
				if err == nil {
					_, err = count(ctx, s, Statement{SQL: b.SQL, Views: viewsOf(q, views)})
				}
				took, got := time.Since(began), "ok"
				if err != nil {
					got = string(weft.KindOf(err))
				}
				if !slices.Contains(strings.Split(want, "|"), got) {
					t.Errorf("%.150s\n  ends as %s (%v), want %s", q, got, err, want)
				}
				if took > deadline+grace+2*time.Second {
					t.Errorf("%.150s\n  took %v", q, took)
				}
			})
		}
		wg.Wait()
	})
	t.Logf("the node grew by %d MB", grown>>20)
	if grown > 256<<20 {
		t.Errorf("the node grew by %d MB", grown>>20)
	}
}

func readAll(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
