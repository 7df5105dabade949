package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"weft"
	"weft/engine"
	"weft/serve"
	"weft/serve/client"
)

// gate is the node that the gate's figures are measured at.
type gate struct {
	*process
	o       options
	r       *report
	product string
	direct  *engine.Direct // the yardstick: the same engine in this process
	file    string
}

// benchGate measures small questions: idle, beside heavy ones, after a worker was
// killed; and how soon hostile ones are refused.
func benchGate(ctx context.Context, o options, r *report) error {
	o.rows = 5000
	csv, err := makeCSV(o)
	if err != nil {
		return err
	}
	dir := filepath.Join(o.dir, "gate")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	p, err := startNode(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	folder := filepath.Join(o.dir, "folders", "small")
	if err := writeFolder(folder, "small", csv); err != nil {
		return err
	}
	if _, err := p.weft(ctx, o, "apply", folder); err != nil {
		return err
	}
	g := &gate{process: p, o: o, r: r, product: "bench.small"}
	if g.file, err = storedFile(p); err != nil {
		return err
	}
	if g.direct, err = engine.OpenDirect(map[string]string{"enable_object_cache": "true"}); err != nil {
		return err
	}
	defer func() { _ = g.direct.Close() }()
	for _, f := range []func(context.Context) error{g.small, g.beside, g.afterKill, g.stopped, g.refusals} {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

const smallSQL = "SELECT channel, count(*) AS orders, sum(quantity * unit_price) AS value FROM %s GROUP BY channel ORDER BY channel"

// one asks the small question and returns how long it took, in seconds.
func (g *gate) one(ctx context.Context, c *client.Client) (float64, error) {
	began := time.Now()
	ans, err := c.Query(ctx, serve.QueryRequest{SQL: fmt.Sprintf(smallSQL, g.product)})
	if err != nil {
		return 0, err
	}
	_, err = size(ans)
	return time.Since(began).Seconds(), err
}

func (g *gate) many(ctx context.Context, c *client.Client, n int) (sample, error) {
	var s sample
	for range n {
		t, err := g.one(ctx, c)
		if err != nil {
			return nil, err
		}
		s = append(s, t)
	}
	return s, nil
}

func (g *gate) small(ctx context.Context) error {
	if _, err := g.many(ctx, g.client, 20); err != nil { // warms the worker
		return err
	}
	var ours, theirs sample
	for range 100 * g.o.rounds {
		began := time.Now()
		if _, err := drain(ctx, g.direct, fmt.Sprintf(smallSQL, "read_parquet('"+g.file+"')")); err != nil {
			return err
		}
		theirs = append(theirs, time.Since(began).Seconds())
		t, err := g.one(ctx, g.client)
		if err != nil {
			return err
		}
		ours = append(ours, t)
	}
	g.r.add(line{
		what: "a small question through a warm worker over HTTP, p50", weft: fmt.Sprintf("%s, p99 %s", short(ours.median()), short(ours.quantile(0.99))),
		yard:   fmt.Sprintf("the same SQL by a connection in the process: %s, p99 %s", short(theirs.median()), short(theirs.quantile(0.99))),
		figure: short(ours.median()), asked: "≤ 3 ms", kept: ours.median() <= 0.003, measured: true,
	})
	return nil
}

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

// beside asks small questions of one subject beside a hundred heavy ones of another.
func (g *gate) beside(ctx context.Context) error {
	ann, err := g.as(ctx, "heavy")
	if err != nil {
		return err
	}
	idle, err := g.many(ctx, g.client, 100)
	if err != nil {
		return err
	}
	heavy, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			ans, err := ann.Query(heavy, serve.QueryRequest{SQL: fmt.Sprintf(heavySQL, g.product)})
			if err == nil {
				_, _ = size(ans) // cancelled below
			}
		})
	}
	time.Sleep(2 * time.Second) // until the first have used up their slice
	busy, err := g.many(ctx, g.client, 100)
	if err != nil {
		return err
	}
	cancel()
	wg.Wait()
	x := busy.median() / idle.median()
	g.r.add(line{
		what: "the same beside 100 heavy questions of another subject, p50", weft: fmt.Sprintf("%s, p99 %s; none refused", short(busy.median()), short(busy.quantile(0.99))),
		yard: "alone: " + short(idle.median()), figure: fmt.Sprintf("%.1f ×", x), asked: "≤ 10 ×", kept: x <= 10, measured: true,
	})
	return nil
}

// workers are the node's children.
func (g *gate) workers() []int { return family(g.cmd.Process.Pid)[1:] }

// afterKill kills all workers and asks.
func (g *gate) afterKill(ctx context.Context) error {
	var after sample
	for range 10 * g.o.rounds {
		if _, err := g.many(ctx, g.client, 3); err != nil {
			return err
		}
		spare := g.workers()
		// The one that answers is killed, a spare one takes its place.
		for _, pid := range spare[:max(len(spare)-1, 1)] {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		t, err := g.one(ctx, g.client)
		if err != nil {
			return fmt.Errorf("after a kill: %w", err)
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
		done := make(chan error, 1)
		began := time.Now()
		go func() {
			ans, err := g.client.Query(ctx, serve.QueryRequest{SQL: fmt.Sprintf(heavySQL, g.product), Limits: serve.QueryLimits{Deadline: deadline}})
			if err == nil {
				_, err = size(ans)
			}
			done <- err
		}()
		time.Sleep(100 * time.Millisecond)
		for _, pid := range g.workers() {
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
		err := <-done
		over = append(over, time.Since(began).Seconds()-deadline)
		if weft.KindOf(err) != weft.KindLimit {
			return fmt.Errorf("a question past its deadline gives %w", err)
		}
		for _, pid := range g.workers() {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	g.r.add(line{
		what: "a worker that ignores everything is killed after the deadline", weft: over.seconds(),
		figure: short(over.sorted()[len(over)-1]), asked: "≤ 1.1 s", kept: over.sorted()[len(over)-1] <= 1.1, measured: true,
	})
	return nil
}

var repeated = regexp.MustCompile(`\{\{(\d+)\*(.*?)\}\}`)

// hostile reads the statements that the engine's tests want refused.
func hostile() ([]string, error) {
	b, err := os.ReadFile("engine/testdata/gate/hostile.txt")
	if err != nil {
		return nil, err
	}
	var out []string
	for l := range strings.SplitSeq(string(b), "\n") {
		if strings.TrimSpace(l) == "" || strings.HasPrefix(l, "    ") || strings.HasPrefix(l, "#") || strings.HasPrefix(l, `"`) {
			continue
		}
		out = append(out, repeated.ReplaceAllStringFunc(l, func(m string) string {
			p := repeated.FindStringSubmatch(m)
			n, _ := strconv.Atoi(p[1]) // digits, by the expression
			return strings.Repeat(p[2], n)
		}))
	}
	return out, nil
}

func (g *gate) refusals(ctx context.Context) error {
	all, err := hostile()
	if err != nil {
		return err
	}
	before, err := g.memory()
	if err != nil {
		return err
	}
	var took sample
	for _, q := range all {
		began := time.Now()
		ans, err := g.client.Query(ctx, serve.QueryRequest{SQL: q})
		if err == nil {
			_ = ans.Close()
			return fmt.Errorf("answered: %.200s", q)
		}
		if k := weft.KindOf(err); !slices.Contains([]weft.Kind{weft.KindInvalid, weft.KindLimit, weft.KindNotFound}, k) {
			return fmt.Errorf("%.200s: %w", q, err)
		}
		took = append(took, time.Since(began).Seconds())
	}
	after, err := g.memory()
	if err != nil {
		return err
	}
	g.r.add(line{
		what:   fmt.Sprintf("refusal of %d hostile statements over HTTP, p99", len(all)),
		weft:   fmt.Sprintf("%s, p50 %s, worst %s; node and workers grow by %d MB", short(took.quantile(0.99)), short(took.median()), short(took.quantile(1)), (after-before)/1e6),
		figure: short(took.quantile(0.99)), asked: "≤ 50 ms", kept: took.quantile(0.99) <= 0.05, measured: true,
	})
	return nil
}
