package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weft/engine"
	"weft/meshtest/fedtest"
	"weft/serve"
)

// delayed is how much later all comes in the measurement with delays, one way.
const delayed = 10 * time.Millisecond

// benchTPCH asks one node the 22 questions of TPC-H over tables of four others, in turn
// with one engine that has the same files in one place.
func benchTPCH(ctx context.Context, o options, r *report) error {
	data, err := fedtest.TPCHData(ctx, o.dir, o.scale)
	if err != nil {
		return err
	}
	for _, split := range fedtest.TPCHSplits() {
		b := &tpchBench{o: o, r: r, split: split}
		if err := b.measure(ctx, data); err != nil {
			return fmt.Errorf("split %s: %w", split.Name, err)
		}
	}
	return nil
}

// tpchBench measures one split.
type tpchBench struct {
	o      options
	r      *report
	split  fedtest.TPCHSplit
	mesh   *tpchMesh
	direct *engine.Direct // the yardstick: the same engine in this process
	widths map[string]int64
}

func (b *tpchBench) measure(ctx context.Context, data string) (err error) {
	began := time.Now()
	if b.mesh, err = startTPCH(ctx, b.o, b.split, data); err != nil {
		return err
	}
	defer func() {
		if e := b.mesh.stop(); err == nil {
			err = e
		}
	}()
	fmt.Fprintf(os.Stderr, "  %s: five nodes and %d tables in %s\n", b.split.Name, len(fedtest.TPCHTables()), time.Since(began).Round(time.Millisecond))
	if b.direct, err = fedtest.OpenEngine(0); err != nil {
		return err
	}
	defer func() { _ = b.direct.Close() }()
	for _, t := range fedtest.TPCHTables() {
		if err := fedtest.Define(ctx, b.direct, "main", t.Name, b.mesh.parts(t.Name)...); err != nil {
			return err
		}
	}
	for _, f := range []func(context.Context) error{b.same, b.questions, b.plans, b.point} {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

// same holds every answer against the yardstick's, which warms both.
func (b *tpchBench) same(ctx context.Context) error {
	var errs []error
	for _, q := range fedtest.TPCHQueries() {
		if err := b.one(ctx, q); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", q.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (b *tpchBench) one(ctx context.Context, q fedtest.TPCHQuery) error {
	ans, err := b.mesh.nodes[fedtest.Asker].client.Query(ctx, serve.QueryRequest{SQL: b.split.SQL(q, b.o.scale)})
	if err != nil {
		return err
	}
	got, err := fedtest.Read(ans.Rows)
	_ = ans.Close()
	if err != nil {
		return err
	}
	want, err := fedtest.AskEngine(ctx, b.direct, q.Plain(b.o.scale))
	if err != nil {
		return fmt.Errorf("yardstick: %w", err)
	}
	if diff := fedtest.Diff(got, want); diff != "" {
		return fmt.Errorf("the answer is another than one engine's: %s", diff)
	}
	return nil
}

// tpchTimes is what was measured of one question.
type tpchTimes struct {
	ours, theirs, late sample
	moved              int64 // bytes in one round
	needed             int64 // of the columns that it uses
}

// questions measures all of them, each with wires that are at once, with the yardstick,
// and with wires that are late, in turn.
func (b *tpchBench) questions(ctx context.Context) error {
	queries := fedtest.TPCHQueries()
	times := make([]tpchTimes, len(queries))
	for range b.o.rounds {
		for i, q := range queries {
			sql := b.split.SQL(q, b.o.scale)
			before := b.mesh.bytes()
			t, err := b.ask(ctx, sql)
			if err != nil {
				return fmt.Errorf("%s: %w", q.Name, err)
			}
			times[i].moved += (b.mesh.bytes() - before) / int64(b.o.rounds)
			times[i].ours = append(times[i].ours, t)
			began := time.Now()
			if _, err := drain(ctx, b.direct, q.Plain(b.o.scale)); err != nil {
				return fmt.Errorf("%s: yardstick: %w", q.Name, err)
			}
			times[i].theirs = append(times[i].theirs, time.Since(began).Seconds())
			b.mesh.delay(delayed)
			t, err = b.ask(ctx, sql)
			b.mesh.delay(0)
			if err != nil {
				return fmt.Errorf("%s: with a delay: %w", q.Name, err)
			}
			times[i].late = append(times[i].late, t)
		}
	}
	for i, q := range queries {
		var err error
		if times[i].needed, err = b.needed(ctx, q); err != nil {
			return err
		}
	}
	b.report(queries, times)
	return nil
}

// plans writes how each question was answered, for people who look for what takes long.
func (b *tpchBench) plans(ctx context.Context) error {
	if b.o.plans == "" {
		return nil
	}
	for _, q := range fedtest.TPCHQueries() {
		p, err := b.mesh.nodes[fedtest.Asker].client.Explain(ctx, serve.ExplainRequest{
			QueryRequest: serve.QueryRequest{SQL: b.split.SQL(q, b.o.scale)}, Analyze: true,
		})
		if err != nil {
			return fmt.Errorf("%s: %w", q.Name, err)
		}
		var text strings.Builder
		if err := serve.WritePlan(&text, p, serve.PlanPrint{}); err != nil {
			return err
		}
		if err := os.MkdirAll(b.o.plans, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(b.o.plans, strings.ReplaceAll(b.split.Name, " ", "-")+"-"+q.Name+".txt"), []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// ask asks the asker and returns how long it took to the last row, in seconds.
func (b *tpchBench) ask(ctx context.Context, sql string) (float64, error) {
	began := time.Now()
	_, err := ask(ctx, b.mesh.nodes[fedtest.Asker].process, sql)
	return time.Since(began).Seconds(), err
}

// needed is the size as Arrow of the columns that a question uses of its tables.
func (b *tpchBench) needed(ctx context.Context, q fedtest.TPCHQuery) (all int64, err error) {
	if b.widths == nil {
		b.widths = map[string]int64{}
	}
	for _, t := range fedtest.TPCHTables() {
		for _, c := range q.Columns(t) {
			if _, ok := b.widths[c]; !ok {
				if b.widths[c], err = drain(ctx, b.direct, "SELECT "+c+" FROM "+t.Name); err != nil {
					return 0, err
				}
			}
			all += b.widths[c]
		}
	}
	return all, nil
}

// geometric is the geometric mean.
func (s sample) geometric() float64 {
	var sum float64
	for _, v := range s {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(s)))
}

func (b *tpchBench) report(queries []fedtest.TPCHQuery, times []tpchTimes) {
	var moved, whole int64
	var ours, theirs, late, over sample
	for i, t := range times {
		over = append(over, ratios(t.ours, t.theirs).median())
		ours, theirs, late = append(ours, t.ours.median()), append(theirs, t.theirs.median()), append(late, t.late.median())
		moved, whole = moved+t.moved, whole+t.needed
		fmt.Fprintf(os.Stderr, "  %s %s: weft %s, DuckDB %s: %.2f ×; with delays %s; %.1f of %.0f MB moved\n", b.split.Name, queries[i].Name,
			t.ours.seconds(), t.theirs.seconds(), over[i], t.late.seconds(), float64(t.moved)/1e6, float64(t.needed)/1e6)
	}
	what := fmt.Sprintf("22 questions of TPC-H at scale %g from a fifth node, tables laid out over four %s, geometric mean", b.o.scale, b.split.Name)
	full := b.o.scale >= 1
	x := over.geometric()
	b.r.add(line{
		what: what, weft: fmt.Sprintf("%s, worst ratio %.2f ×", short(ours.geometric()), over.quantile(1)),
		yard: "DuckDB in one process, the same files in one place: " + short(theirs.geometric()), figure: fmt.Sprintf("%.2f ×", x),
		asked: "≤ 1.5 × at scale 1", kept: x <= 1.5, measured: full,
	})
	share := float64(moved) / float64(whole)
	b.r.add(line{
		what: "the same: bytes on the wire in all", weft: fmt.Sprintf("%.0f MB", float64(moved)/1e6),
		yard: fmt.Sprintf("the columns that they use of their tables, as Arrow: %.0f MB", float64(whole)/1e6), figure: fmt.Sprintf("%.3f ×", share),
		asked: "≤ 0.1 × at scale 1", kept: share <= 0.1, measured: full,
	})
	grows := late.geometric() - ours.geometric()
	b.r.add(line{
		what: fmt.Sprintf("the same with %s one way on every link, geometric mean", delayed), weft: short(late.geometric()),
		yard: "without a delay: " + short(ours.geometric()), figure: fmt.Sprintf("%.1f ms more", grows*1e3),
		asked: "≤ 60 ms more", kept: grows <= 0.06, measured: true,
	})
}

// point measures what it costs that the one row that is asked for is elsewhere.
func (b *tpchBench) point(ctx context.Context) error {
	p, err := b.mesh.whole("customer")
	if err != nil {
		return err
	}
	there, here := b.mesh.nodes[p.Domain].process, b.mesh.nodes[fedtest.Asker].process
	var ours, theirs sample
	for i := range 100*b.o.rounds + 20 {
		sql := fmt.Sprintf("SELECT * FROM %s WHERE c_custkey = %d", p.Address(), 1+i*37%1500)
		for _, x := range []struct {
			p *process
			s *sample
		}{{there, &theirs}, {here, &ours}} {
			began := time.Now()
			if _, err := ask(ctx, x.p, sql); err != nil {
				return err
			}
			if i >= 20 { // the first ones warm both
				*x.s = append(*x.s, time.Since(began).Seconds())
			}
		}
	}
	more := ours.median() - theirs.median()
	b.r.add(line{
		what: fmt.Sprintf("one row by its key from another node, tables laid out %s, p50", b.split.Name), weft: fmt.Sprintf("%s, p99 %s", short(ours.median()), short(ours.quantile(0.99))),
		yard: fmt.Sprintf("asked at the node that holds it: %s, p99 %s", short(theirs.median()), short(theirs.quantile(0.99))), figure: short(more) + " more",
		asked: "≤ 3 ms more", kept: more <= 0.003, measured: true,
	})
	return nil
}
