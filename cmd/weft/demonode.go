package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"weft"
	"weft/serve/client"
)

// demoNode is one node of the demonstration's mesh: `weft up` as a process of its own,
// in a folder of its own.
type demoNode struct {
	domain string
	home   string   // the folder of its weft.yaml and its product folders
	args   []string // further ones of the command line

	mu     sync.Mutex
	listen string // where it listens
	cmd    *exec.Cmd
	gone   chan struct{}  // closed when cmd has ended
	errors *tailOf        // what it said last, of what went wrong
	held   bool           // it is down because it is meant to be
	up     chan struct{}  // closed while it may run
	client *client.Client // of the node that runs
	url    string
}

func newDemoNode(domain, home, listen string, args []string) *demoNode {
	n := &demoNode{domain: domain, home: home, listen: listen, args: args, up: make(chan struct{})}
	close(n.up)
	return n
}

// The life of a node that ends by itself: it is started again, after a while, and
// given up where it never lives long.
const (
	demoRestart  = time.Second
	demoShortest = 5 * time.Second
	demoTries    = 4
	demoStop     = 30 * time.Second // for a node to end by itself
)

// supervise keeps the node running until ctx ends, and then stops it. say tells what
// happens to it.
func (n *demoNode) supervise(ctx context.Context, say func(string)) error {
	failed := 0
	for {
		n.mu.Lock()
		up := n.up
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-up:
		}
		began := time.Now()
		gone, err := n.start()
		if err != nil {
			return weft.Errorf(weft.KindUnavailable, "start the node", n.domain, "%w", err)
		}
		select {
		case <-ctx.Done():
			n.stop(gone)
			return nil
		case <-gone:
		}
		n.mu.Lock()
		held, last := n.held, n.errors.String()
		n.mu.Unlock()
		if held {
			continue
		}
		if failed++; time.Since(began) > demoShortest {
			failed = 1
		}
		if failed == demoTries {
			return weft.Errorf(weft.KindUnavailable, "run the node", n.domain, "it ended %d times in a row: %s", failed, last).
				WithHint("%s has all that it said", filepath.Join(n.home, "node.log"))
		}
		say(fmt.Sprintf("the node of %s ended and is started again: %s", n.domain, last))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(demoRestart << (failed - 1)):
		}
	}
}

// start starts the process. It ends with this one, also where this one is killed.
func (n *demoNode) start() (gone chan struct{}, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(n.home, "node.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	said := &tailOf{w: log}
	n.mu.Lock()
	cmd := exec.Command(self, append([]string{"up", n.home, "--listen=" + n.listen}, n.args...)...)
	n.mu.Unlock()
	cmd.Args[0] = os.Args[0]
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.home, log, said
	// A Ctrl-C at the terminal is for this process, which then stops the nodes: a node
	// that gets two signals ends at once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	_ = os.Remove(filepath.Join(n.home, dataFolder, "node.json")) // of the process before
	gone = make(chan struct{})
	started := make(chan error, 1)
	go func() {
		// The kernel sends that signal when the thread ends that began the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its last words
		}
		_ = log.Close()
		close(gone)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cmd, n.gone, n.errors = cmd, gone, said
	return gone, nil
}

// stop ends the process as a service manager would.
func (n *demoNode) stop(gone chan struct{}) {
	n.signal(syscall.SIGTERM)
	select {
	case <-gone:
	case <-time.After(demoStop):
		n.signal(syscall.SIGKILL)
		<-gone
	}
}

// signal reaches a process that has not ended, and no other.
func (n *demoNode) signal(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.gone:
	default:
		_ = n.cmd.Process.Signal(s)
	}
}

// kill ends the node without a warning; it stays down until resume.
func (n *demoNode) kill() {
	n.mu.Lock()
	if !n.held {
		n.held, n.up = true, make(chan struct{})
	}
	gone := n.gone
	n.mu.Unlock()
	n.signal(syscall.SIGKILL)
	<-gone
}

// resume lets a node run that was killed, and waits until it answers.
func (n *demoNode) resume(ctx context.Context) error {
	n.mu.Lock()
	if n.held {
		n.held = false
		close(n.up)
	}
	n.mu.Unlock()
	return n.ready(ctx)
}

// tailOf passes on what is written and remembers the end of it.
type tailOf struct {
	w  io.Writer
	mu sync.Mutex
	b  []byte
}

func (t *tailOf) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b = append(t.b, p...); len(t.b) > 2048 {
		t.b = t.b[len(t.b)-2048:]
	}
	return t.w.Write(p)
}

// String is the last lines, in one.
func (t *tailOf) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	if s := oneLine(clean(strings.Join(lines[max(0, len(lines)-3):], " ")), 400); s != "" {
		return s
	}
	return "it said nothing"
}
