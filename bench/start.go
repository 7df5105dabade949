package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"weft/demo"
)

// benchStart measures from the start of the process to the first answer with the
// demo's data, and what the node takes when nothing happens.
func benchStart(ctx context.Context, o options, r *report) error {
	dir := filepath.Join(o.dir, "start")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := demo.Write(dir); err != nil {
		return err
	}
	began := time.Now()
	p, err := startNode(ctx, o, dir)
	if err != nil {
		return err
	}
	// The first start loads everything: wait for the product that is made last.
	for {
		if _, err := ask(ctx, p, "SELECT count(*) FROM insights.delays"); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(began) > 2*time.Minute {
			return fmt.Errorf("the demo was not loaded in 2 minutes\n%s", p.log.String())
		}
	}
	first := time.Since(began).Seconds()
	if err := p.stop(); err != nil {
		return err
	}
	var starts, memory sample
	for i := range o.rounds {
		began := time.Now()
		p, err := startNode(ctx, o, dir)
		if err != nil {
			return err
		}
		if _, err := ask(ctx, p, demo.Tour()[1].SQL); err != nil {
			return err
		}
		starts = append(starts, time.Since(began).Seconds())
		if i == 0 {
			// Idle: nothing was asked for a while. Idle workers end after a minute.
			select {
			case <-ctx.Done():
			case <-time.After(75 * time.Second):
			}
			m, err := p.memory()
			if err != nil {
				return err
			}
			memory = append(memory, float64(m)/1e6)
		}
		if err := p.stop(); err != nil {
			return err
		}
	}
	r.add(line{
		what: "start to first answer, demo data", weft: starts.seconds(), figure: short(starts.median()),
		asked: "≤ 1 s", kept: starts.median() <= 1, measured: true,
	})
	r.add(line{
		what: "idle memory, node and workers (PSS)", weft: fmt.Sprintf("%.0f MB", memory.median()), figure: fmt.Sprintf("%.0f MB", memory.median()),
		asked: "≤ 150 MB", kept: memory.median() <= 150, measured: true,
	})
	r.add(line{what: "first start: all demo products loaded, verified and committed", weft: short(first)})
	return nil
}

// benchBuild prints the binary's size and how long a build takes with an empty cache.
func benchBuild(ctx context.Context, o options, r *report) error {
	st, err := os.Stat(o.bin)
	if err != nil {
		return err
	}
	r.add(line{what: "size of the program", weft: fmt.Sprintf("%.0f MB", float64(st.Size())/1e6)})
	if !o.cold {
		return nil
	}
	cache, err := os.MkdirTemp("", "weft-cold-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(cache) }()
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(cache, "weft"), "./cmd/weft")
	c.Env = append(os.Environ(), "GOCACHE="+filepath.Join(cache, "cache"))
	began := time.Now()
	if b, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, b)
	}
	r.add(line{what: "cold build (empty cache, modules there)", weft: short(time.Since(began).Seconds())})
	return nil
}
