package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"weft/demo"
	"weft/node"
)

// demoRun is `weft demo` as a process of its own.
type demoRun struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	done chan error

	mu    sync.Mutex
	lines []string
	more  chan struct{}
}

func runDemo(t *testing.T, dir string) *demoRun {
	t.Helper()
	r := &demoRun{t: t, dir: dir, done: make(chan error, 1), more: make(chan struct{}, 1)}
	r.cmd = exec.Command("weft", "demo", dir, "--listen", "127.0.0.1:0")
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stderr = r.cmd.Stdout
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			r.mu.Lock()
			r.lines = append(r.lines, s.Text())
			r.mu.Unlock()
			select {
			case r.more <- struct{}{}:
			default:
			}
		}
		r.done <- r.cmd.Wait()
	}()
	return r
}

// says waits until a line holds the words.
func (r *demoRun) says(words string) {
	r.t.Helper()
	end := time.NewTimer(2 * patience)
	defer end.Stop()
	for {
		r.mu.Lock()
		text := strings.Join(r.lines, "\n")
		r.mu.Unlock()
		if strings.Contains(text, words) {
			return
		}
		select {
		case <-r.more:
		case <-end.C:
			r.t.Fatalf("the demo never says %q:\n%s", words, text)
		}
	}
}

// pid is the process of a node's.
func (r *demoRun) pid(domain string) (pid int, url string) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, ".weft", domain, ".weft", "node.json"))
	var at struct {
		PID int
		URL string
	}
	if err != nil || json.Unmarshal(b, &at) != nil {
		r.t.Fatalf("%s: %v %s", domain, err, b)
	}
	return at.PID, at.URL
}

// ended waits until no node holds its folder.
func (r *demoRun) ended() {
	r.t.Helper()
	for _, d := range demo.Domains() {
		if !poll(20*time.Millisecond, func() bool { return !node.InUse(filepath.Join(r.dir, ".weft", d, ".weft", "lock")) }) {
			r.t.Errorf("the node of %s still runs", d)
		}
	}
}

// TestDemoMesh holds what `weft demo` does as the process that runs five others: one
// that ends is started again, a Ctrl-C ends all, they are where they were at the next
// start, and none outlives it.
func TestDemoMesh(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five nodes, twice")
	}
	dir := t.TempDir()
	r := runDemo(t, dir)
	r.says("Ctrl-C stops all of them")
	pid, url := r.pid("fleet")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.says("the node of fleet ended and is started again")
	if !poll(50*time.Millisecond, func() bool {
		b, err := os.ReadFile(filepath.Join(dir, ".weft", "fleet", ".weft", "node.json"))
		var at struct{ PID int }
		return err == nil && json.Unmarshal(b, &at) == nil && at.PID != pid
	}) {
		t.Fatal("the node of fleet does not come back")
	}
	// The terminal's Ctrl-C reaches the whole group of the demo.
	if err := syscall.Kill(-r.cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-r.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience + 5*time.Second):
		t.Fatal("a Ctrl-C does not end the demo")
	}
	r.ended()

	// At the next start they know each other, and nothing is made anew.
	again := runDemo(t, dir)
	again.says("all products published in")
	if _, now := again.pid("fleet"); now != url {
		t.Errorf("fleet was at %s and is at %s", url, now)
	}
	again.mu.Lock()
	text := strings.Join(again.lines, "\n")
	again.mu.Unlock()
	if strings.Contains(text, "founded") || strings.Contains(text, "committed") {
		t.Errorf("the second start makes anew what is there:\n%s", text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	search := exec.CommandContext(ctx, "weft", "search", "hourly weather")
	search.Dir = filepath.Join(dir, ".weft", "fleet")
	if b, err := search.CombinedOutput(); err != nil || !strings.Contains(string(b), "weather.hourly") {
		t.Errorf("%v %s", err, b)
	}
	// Killed without a warning, it takes them along.
	if err := again.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	again.ended()
}
