package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"weft/serve/client"
)

// process is a node under test, started as a user starts it.
type process struct {
	cmd    *exec.Cmd
	log    bytes.Buffer
	dir    string
	client *client.Client
	done   chan error
}

// startNode runs `weft up` in dir, with further arguments, and waits until it answers.
func startNode(ctx context.Context, o options, dir string, args ...string) (*process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p := &process{dir: dir, done: make(chan error, 1)}
	p.cmd = exec.CommandContext(ctx, o.bin, append([]string{"up", dir, "--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	_ = os.Remove(filepath.Join(dir, ".weft", "node.json")) // of an earlier run
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.done <- p.cmd.Wait() }()
	for {
		if err := p.connect(ctx); err == nil {
			return p, nil
		}
		select {
		case err := <-p.done:
			return nil, fmt.Errorf("the node ended: %w\n%s", err, p.log.String())
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (p *process) connect(ctx context.Context) error {
	b, err := os.ReadFile(filepath.Join(p.dir, ".weft", "node.json"))
	if err != nil {
		return err
	}
	var at struct{ URL string }
	if err := json.Unmarshal(b, &at); err != nil {
		return err
	}
	token, err := client.ReadToken(filepath.Join(p.dir, ".weft", "token"))
	if err != nil {
		return err
	}
	if p.client, err = client.New(client.Config{URL: at.URL, Token: token}); err != nil {
		return err
	}
	return p.client.Ready(ctx)
}

// stop ends the node as systemd would.
func (p *process) stop() error {
	p.client.Close()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(40 * time.Second):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("the node did not stop within 40 s")
	}
}

// weft runs a command against the node.
func (p *process) weft(ctx context.Context, o options, args ...string) (string, error) {
	c := exec.CommandContext(ctx, o.bin, args...)
	c.Dir = p.dir
	b, err := c.CombinedOutput()
	if err != nil {
		return string(b), fmt.Errorf("weft %s: %w\n%s\n%s", strings.Join(args, " "), err, b, p.log.String())
	}
	return string(b), nil
}

// memory is the proportional set size of the node and its workers, in bytes:
// what they take of the machine, shared pages counted once.
func (p *process) memory() (int64, error) {
	var sum int64
	for _, pid := range family(p.cmd.Process.Pid) {
		n, err := pss(pid)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// pss is the proportional set size of one process, 0 of one that has ended meanwhile.
func pss(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for l := range strings.SplitSeq(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, "Pss:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, nil
}

// family is a process with all its descendants.
func family(pid int) []int {
	out := []int{pid}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return out
	}
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		for _, w := range strings.Fields(string(b)) {
			if c, err := strconv.Atoi(w); err == nil {
				out = append(out, family(c)...)
			}
		}
	}
	return out
}
