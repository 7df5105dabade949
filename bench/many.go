package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"weft"
	"weft/serve"
)

// A node of many products: most of them idle, some busy.
const (
	manyProducts = 1000
	busyProducts = 10
	busyFor      = 10 * time.Second
)

// benchMany starts a node that holds 1,000 products which were loaded before.
func benchMany(ctx context.Context, o options, r *report) error {
	dir := filepath.Join(o.dir, "many")
	if err := makeMany(ctx, o, dir); err != nil {
		return err
	}
	var starts, lists, idle, busy sample
	var rate float64
	for i := range min(o.rounds, 3) {
		began := time.Now()
		p, err := startNode(ctx, o, dir)
		if err != nil {
			return err
		}
		starts = append(starts, time.Since(began).Seconds())
		began = time.Now()
		if _, err := p.client.Products(ctx); err != nil {
			return err
		}
		lists = append(lists, time.Since(began).Seconds())
		if i == 0 {
			if idle, busy, rate, err = p.live(ctx, dir); err != nil {
				return err
			}
		}
		if err := p.stop(); err != nil {
			return err
		}
	}
	r.add(line{
		what: fmt.Sprintf("start of a node with %d products until it is ready", manyProducts), weft: starts.seconds(), figure: short(starts.median()),
		asked: "≤ 2 s", kept: starts.median() <= 2, measured: true,
	})
	r.add(line{
		what: fmt.Sprintf("memory of node and workers (PSS) with %d idle products", manyProducts), weft: megabytes(idle), figure: fmt.Sprintf("%.0f MB", idle.median()),
		asked: "≤ 250 MB", kept: idle.median() <= 250, measured: true,
	})
	r.add(line{what: fmt.Sprintf("the same while %d of them are loaded and asked without a pause (%.0f answers/s)", busyProducts, rate), weft: megabytes(busy)})
	r.add(line{what: fmt.Sprintf("first list of %d products after the start", manyProducts), weft: lists.seconds()})
	return nil
}

func megabytes(s sample) string {
	c := s.sorted()
	return fmt.Sprintf("%.0f MB (%.0f–%.0f)", s.median(), c[0], c[len(c)-1])
}

// live measures the memory when every product was looked at once since the start
// and nothing happens, and then while some are busy.
func (p *process) live(ctx context.Context, dir string) (idle, busy sample, rate float64, err error) {
	began := time.Now()
	if err := p.until(ctx, 5*time.Minute, func(s serve.ProductSummary) bool {
		return s.NextRefresh != nil && s.NextRefresh.After(began.Add(30*time.Minute))
	}); err != nil {
		return nil, nil, 0, err
	}
	pause := func(d time.Duration) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
	look := func(s *sample) error {
		m, err := p.memory()
		*s = append(*s, float64(m)/1e6)
		return err
	}
	pause(75 * time.Second) // idle workers end after a minute
	if err := look(&idle); err != nil {
		return nil, nil, 0, err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error // of the busy ones
	answers := 0
	end := time.Now().Add(busyFor)
	for i := range busyProducts {
		wg.Go(func() {
			for k := 0; time.Now().Before(end) && ctx.Err() == nil; k++ {
				e := writeRows(dir, i, k+2)
				if e == nil && k%10 == 0 {
					_, e = p.client.Refresh(ctx, manyName(i), serve.RefreshRequest{Wait: true}, nil)
				}
				if e == nil {
					_, e = ask(ctx, p, "SELECT count(*), sum(amount) FROM "+manyName(i).String())
				}
				mu.Lock()
				if answers++; e != nil {
					failed = e
				}
				mu.Unlock()
			}
		})
	}
	for err == nil && time.Now().Before(end) && ctx.Err() == nil {
		pause(time.Second)
		err = look(&busy)
	}
	wg.Wait()
	return idle, busy, float64(answers) / busyFor.Seconds(), errors.Join(err, failed)
}

// until polls the list until all of it is as wanted.
func (p *process) until(ctx context.Context, limit time.Duration, ok func(serve.ProductSummary) bool) error {
	began := time.Now()
	for {
		list, err := p.client.Products(ctx)
		if err != nil {
			return err
		}
		left := manyProducts
		for _, s := range list {
			if ok(s) {
				left--
			}
		}
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		if time.Since(began) > limit {
			return fmt.Errorf("%d of %d products were not done in %s\n%s", left, manyProducts, limit, p.log.String())
		}
	}
}

// makeMany makes the products and loads them, once for all runs.
func makeMany(ctx context.Context, o options, dir string) error {
	done := filepath.Join(dir, "done")
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for i := range manyProducts {
		if err := writeSmall(dir, i); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "  loading %d products, once\n", manyProducts)
	p, err := startNode(ctx, o, dir)
	if err != nil {
		return err
	}
	if err := p.until(ctx, 20*time.Minute, func(s serve.ProductSummary) bool { return s.Rows > 0 }); err != nil {
		return err
	}
	if err := p.stop(); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o644)
}

func manyName(i int) weft.Name { return weft.Name{Domain: "bench", Product: fmt.Sprintf("small%d", i)} }

// writeSmall writes the folder of a small product with its source.
func writeSmall(dir string, i int) error {
	name := manyName(i).Product
	folder := filepath.Join(dir, name)
	for _, d := range []string{folder, filepath.Join(dir, "data")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for file, text := range map[string]string{
		"product.odps.yaml": `apiVersion: v1.0.0
kind: DataProduct
id: bench.NAME
name: NAME
domain: bench
status: active
description: {purpose: One of many small products.}
team: {members: [{username: bench@example.com, role: owner}]}
inputPorts: [{name: NAME, version: 1.0.0, contractId: bench.NAME/source}]
outputPorts: [{name: NAME, version: 1.0.0, contractId: bench.NAME/NAME, type: tables}]
`,
		"source.odcs.yaml": `apiVersion: v3.1.0
kind: DataContract
id: bench.NAME/source
version: 1.0.0
status: active
servers: [{server: files, type: local, path: SOURCE, format: csv}]
`,
		name + ".odcs.yaml": `apiVersion: v3.1.0
kind: DataContract
id: bench.NAME/NAME
version: 1.0.0
status: active
schema:
  - name: NAME
    logicalType: object
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: amount, logicalType: number, physicalType: "decimal(10,2)", logicalTypeOptions: {minimum: 0}}
`,
	} {
		if err := os.WriteFile(filepath.Join(folder, file), []byte(strings.NewReplacer("NAME", name, "SOURCE", rowsFile(dir, i)).Replace(text)), 0o644); err != nil {
			return err
		}
	}
	return writeRows(dir, i, 1)
}

// writeRows writes a small product's source anew, with more rows each time.
func writeRows(dir string, i, times int) error {
	b := []byte("id,amount\n")
	for k := range 100 * times {
		b = fmt.Appendf(b, "%d,%d.25\n", k, k%1000)
	}
	path := rowsFile(dir, i)
	if err := os.WriteFile(path+".tmp", b, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func rowsFile(dir string, i int) string {
	return filepath.Join(dir, "data", manyName(i).Product+".csv")
}
