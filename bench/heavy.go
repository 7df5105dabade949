package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"weft"
	"weft/serve"
	"weft/serve/client"
)

// as returns a client with a token of its own.
func (g *gate) as(ctx context.Context, name string) (*client.Client, error) {
	t, err := g.client.CreateToken(ctx, serve.TokenRequest{Name: name, Scopes: []serve.Scope{serve.ScopeRead}})
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(g.dir, ".weft", "node.json"))
	if err != nil {
		return nil, err
	}
	var at struct{ URL string }
	if err := json.Unmarshal(b, &at); err != nil {
		return nil, err
	}
	return client.New(client.Config{URL: at.URL, Token: t.Token})
}

// heavySQL looks light and takes hours.
const heavySQL = "SELECT count(*) FROM %[1]s a, %[1]s b, %[1]s c WHERE hash(a.order_id, b.order_id, c.order_id) = 1"

// heavyQuestions is how many of them are asked at once.
const heavyQuestions = 100

// heavy asks the heavy question and returns how it ended, which is an error.
func (g *gate) heavy(ctx context.Context, c *client.Client, l serve.QueryLimits) error {
	ans, err := c.Query(ctx, serve.QueryRequest{SQL: fmt.Sprintf(heavySQL, g.product), Limits: l})
	if err != nil {
		return err
	}
	if _, err = size(ans); err == nil {
		err = fmt.Errorf("it was answered")
	}
	return err
}

// inHand waits until the node has n questions, running or waiting for their turn,
// of which one runs. It is an error where one has ended.
func (g *gate) inHand(ctx context.Context, n int, ended <-chan error) error {
	limit := time.After(30 * time.Second)
	for {
		st, err := g.client.Status(ctx)
		if err != nil {
			return err
		}
		var late bool
		select {
		case err := <-ended:
			return fmt.Errorf("a question that takes hours has ended: %w", err)
		case <-limit:
			late = true
		case <-time.After(2 * time.Millisecond):
		}
		if w := st.Workers; w.Running > 0 && w.Running+w.Waiting >= n {
			return nil
		} else if late {
			return fmt.Errorf("of %d questions only %d run and %d wait", n, w.Running, w.Waiting)
		}
	}
}

// beside asks small questions of one subject beside a hundred heavy ones of
// another, which are all there from the first small one to the last.
func (g *gate) beside(ctx context.Context) error {
	other, err := g.as(ctx, "heavy")
	if err != nil {
		return err
	}
	idle, err := g.many(ctx, g.client, 100)
	if err != nil {
		return err
	}
	heavy, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() { cancel(); wg.Wait() }()
	ended := make(chan error, heavyQuestions)
	for range heavyQuestions {
		wg.Go(func() { ended <- g.heavy(heavy, other, serve.QueryLimits{}) })
	}
	var busy sample
	for len(busy) < 100 {
		if err := g.inHand(ctx, heavyQuestions, ended); err != nil {
			return err
		}
		some, err := g.many(ctx, g.client, 10)
		if err != nil {
			return err
		}
		busy = append(busy, some...)
	}
	if err := g.inHand(ctx, heavyQuestions, ended); err != nil {
		return err
	}
	x := busy.median() / idle.median()
	g.r.add(line{
		what: fmt.Sprintf("the same beside %d heavy questions of another subject, p50", heavyQuestions), weft: fmt.Sprintf("%s, p99 %s; none refused", short(busy.median()), short(busy.quantile(0.99))),
		yard: "alone: " + short(idle.median()), figure: fmt.Sprintf("%.1f ×", x), asked: "≤ 10 ×", kept: x <= 10, measured: true,
	})
	return nil
}

// workers are the node's children.
func (g *gate) workers() []int { return family(g.cmd.Process.Pid)[1:] }

// answering asks a few small questions and returns the worker that answers them:
// the one that has used the processor most meanwhile.
func (g *gate) answering(ctx context.Context) (int, error) {
	before := map[int]int64{}
	for _, pid := range g.workers() {
		before[pid] = onProcessor(pid)
	}
	if _, err := g.many(ctx, g.client, 3); err != nil {
		return 0, err
	}
	found, most := 0, int64(0)
	for _, pid := range g.workers() {
		if used := onProcessor(pid) - before[pid]; used > most {
			found, most = pid, used
		}
	}
	if found == 0 {
		return 0, fmt.Errorf("none of %d workers has worked", len(before))
	}
	return found, nil
}

// onProcessor is how long the threads of a process have run, in nanoseconds.
func onProcessor(pid int) (sum int64) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if f := strings.Fields(string(b)); err == nil && len(f) > 0 { // else the thread has ended
			n, _ := strconv.ParseInt(f[0], 10, 64)
			sum += n
		}
	}
	return sum
}

// watched is a process whose end can be told for certain.
type watched struct{ pid, fd int }

func watch(pid int) (watched, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	return watched{pid, fd}, err
}

// signal sends to this process and to no other that has got its number since.
func (w watched) signal(s syscall.Signal) error { return unix.PidfdSendSignal(w.fd, s, nil, 0) }

func (w watched) close() { _ = unix.Close(w.fd) }

// ended waits a moment for the end of the process.
func (w watched) ended() error {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}}, 5000)
	if err == nil && n == 0 {
		err = fmt.Errorf("process %d lives on", w.pid)
	}
	return err
}

// afterKill kills the worker that answers and asks.
func (g *gate) afterKill(ctx context.Context) error {
	var after sample
	for range 10 * g.o.rounds {
		pid, err := g.answering(ctx)
		if err != nil {
			return err
		}
		w, err := watch(pid)
		if err != nil {
			return err
		}
		if err := w.signal(syscall.SIGKILL); err != nil {
			return err
		}
		t, err := g.one(ctx, g.client)
		if err != nil {
			return fmt.Errorf("after a kill: %w", err)
		}
		err = w.ended()
		w.close()
		if err != nil {
			return err
		}
		after = append(after, t)
	}
	g.r.add(line{
		what: "a small question right after kill -9 of its worker, p99", weft: fmt.Sprintf("%s, p50 %s; none failed", short(after.quantile(0.99)), short(after.median())),
		figure: short(after.quantile(0.99)), asked: "≤ 250 ms", kept: after.quantile(0.99) <= 0.25, measured: true,
	})
	return nil
}

// stopped asks a question whose worker ignores everything, and measures when the
// node has killed it.
func (g *gate) stopped(ctx context.Context) error {
	const deadline = 0.5
	var over sample
	for range g.o.rounds {
		t, err := g.stopOne(ctx, deadline)
		if err != nil {
			return err
		}
		over = append(over, t)
	}
	g.r.add(line{
		what: "a worker that ignores everything is killed after the deadline", weft: over.seconds(),
		figure: short(over.sorted()[len(over)-1]), asked: "≤ 1.1 s", kept: over.sorted()[len(over)-1] <= 1.1, measured: true,
	})
	return nil
}

// stopOne stops all workers while one of them answers, and returns how long after
// the deadline the answer was given up. The one that answered must be gone.
func (g *gate) stopOne(ctx context.Context, deadline float64) (float64, error) {
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- g.heavy(ctx, g.client, serve.QueryLimits{Deadline: deadline}) }()
	if err := g.inHand(ctx, 1, done); err != nil {
		return 0, err
	}
	var all []watched
	for _, pid := range g.workers() {
		w, err := watch(pid)
		if err != nil {
			return 0, err
		}
		defer w.close()
		if err := w.signal(syscall.SIGSTOP); err != nil {
			return 0, err
		}
		all = append(all, w)
	}
	err := <-done
	took := time.Since(began).Seconds() - deadline
	if weft.KindOf(err) != weft.KindLimit {
		return 0, fmt.Errorf("a question past its deadline gives %w", err)
	}
	killed := 0
	for _, w := range all {
		if w.signal(syscall.SIGCONT) != nil { // the others go on
			killed++
		}
	}
	if killed != 1 {
		return 0, fmt.Errorf("%d of %d workers were killed", killed, len(all))
	}
	return took, nil
}
