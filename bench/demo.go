package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"weft/demo"
)

// benchDemo measures the mesh of five nodes that `weft demo` makes: how long it takes
// to be there, what it takes of the machine, and what it costs a product that what it
// is made from is at other nodes. The yardstick is the same product at one node.
func benchDemo(ctx context.Context, o options, r *report) error {
	dir := filepath.Join(o.dir, "demo")
	one := filepath.Join(dir, "one")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := demo.Write(one); err != nil {
		return err
	}
	first, m, err := startDemo(ctx, o, filepath.Join(dir, "mesh"))
	if err != nil {
		return err
	}
	if err := m.stop(); err != nil {
		return err
	}
	again, m, err := startDemo(ctx, o, filepath.Join(dir, "mesh"))
	if err != nil {
		return err
	}
	defer func() { _ = m.stop() }()
	p, err := startNode(ctx, o, one)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	insights := filepath.Join(dir, "mesh", ".weft", "insights")
	var far, near sample
	for i := range o.rounds + 1 {
		a, err := applyDelays(ctx, o, insights, filepath.Join(insights, "delays"), i)
		if err != nil {
			return err
		}
		b, err := applyDelays(ctx, o, one, filepath.Join(one, "insights", "delays"), i)
		if err != nil {
			return err
		}
		if i > 0 { // the first one finds no worker ready
			far, near = append(far, a), append(near, b)
		}
	}
	// Idle: nothing was asked for a while. Idle workers end after a minute.
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(75 * time.Second):
	}
	var sum int64
	for _, pid := range family(m.cmd.Process.Pid) {
		n, err := pss(pid)
		if err != nil {
			return err
		}
		sum += n
	}
	r.add(line{what: "weft demo: five nodes, one mesh, all products published, first start", weft: short(first)})
	r.add(line{what: "the same, next start", weft: short(again)})
	r.add(line{
		what: "a product made from 363,000 rows of three other nodes", weft: far.seconds(), yard: near.seconds(),
		figure: fmt.Sprintf("%.2f × that from one node", far.median()/near.median()),
	})
	r.add(line{what: "idle memory of the five nodes, their workers and the process that runs them (PSS)", weft: fmt.Sprintf("%.0f MB", float64(sum)/1e6)})
	return nil
}

// mesh is `weft demo` as a process of its own.
type mesh struct {
	cmd  *exec.Cmd
	done chan error
}

// startDemo runs `weft demo` in dir, and says how long it takes until all products are
// published. It returns when the tour is over.
func startDemo(ctx context.Context, o options, dir string) (published float64, m *mesh, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, nil, err
	}
	m = &mesh{cmd: exec.CommandContext(ctx, o.bin, "demo", dir, "--listen", "127.0.0.1:0"), done: make(chan error, 1)}
	m.cmd.Cancel = func() error { return m.cmd.Process.Signal(syscall.SIGTERM) }
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return 0, nil, err
	}
	m.cmd.Stderr = m.cmd.Stdout
	began := time.Now()
	if err := m.cmd.Start(); err != nil {
		return 0, nil, err
	}
	over, text := make(chan struct{}), strings.Builder{}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			text.WriteString(s.Text() + "\n")
			switch l := s.Text(); {
			case strings.Contains(l, "all products published in"):
				published = time.Since(began).Seconds()
			case strings.Contains(l, "Ctrl-C stops all of them"):
				close(over)
			}
		}
		m.done <- m.cmd.Wait()
	}()
	select {
	case <-over:
		return published, m, nil
	case err := <-m.done:
		return 0, nil, fmt.Errorf("the demo ended: %v\n%s", err, text.String())
	case <-time.After(2 * time.Minute):
		_ = m.cmd.Process.Kill()
		return 0, nil, fmt.Errorf("the demo's tour was not over in 2 minutes")
	}
}

// stop ends the demo and its nodes.
func (m *mesh) stop() error {
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-m.done:
		return nil
	case <-time.After(40 * time.Second):
		_ = m.cmd.Process.Kill()
		return fmt.Errorf("the demo did not stop within 40 s")
	}
}

// applyDelays makes insights.delays anew at the node of home, with other text that
// gives the same rows.
func applyDelays(ctx context.Context, o options, home, folder string, round int) (seconds float64, err error) {
	path := filepath.Join(folder, "delays.sql")
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(path, fmt.Appendf(b, "\n-- round %d\n", round), 0o644); err != nil {
		return 0, err
	}
	c := exec.CommandContext(ctx, o.bin, "apply", folder)
	c.Dir = home
	began := time.Now()
	if b, err := c.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, b)
	}
	return time.Since(began).Seconds(), nil
}
