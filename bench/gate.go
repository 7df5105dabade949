package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
