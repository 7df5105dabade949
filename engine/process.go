package engine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one worker as its node sees it.
type process struct {
	cmd    *exec.Cmd
	wire   *wire
	stderr *tail
	gone   chan struct{} // closed when the process has ended
	leave  *leave        // nil where it opens its files itself
	over   atomic.Bool   // it was killed for what it had spilled
	limit  int64         // of its memory; the pool's to count
	oom    int64         // the kernel's count of processes killed for memory, at the start

	mu    sync.Mutex
	temp  string // the folder it spills to, its own
	spill int64  // and the most that may lie there
}

// startProcess starts this program again as a worker that knows nothing yet.
// It must be called on a thread that outlives the worker: the kernel kills the
// worker with the thread that started it.
func startProcess() (*process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "node")
	defer theirs.Close()
	c, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	p := &process{wire: newWire(c.(*net.UnixConn)), stderr: &tail{}, gone: make(chan struct{}), oom: oomKills()}
	p.cmd = &exec.Cmd{
		Path:        "/proc/self/exe", // the same program even when its file was replaced
		Args:        []string{"weft worker"},
		Env:         workerEnviron,
		Dir:         "/",
		Stderr:      p.stderr,
		ExtraFiles:  []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
		WaitDelay:   time.Second,
	}
	if err := p.cmd.Start(); err != nil {
		c.Close()
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		p.clean()
		close(p.gone)
	}()
	return p, nil
}

// workerEnviron is all that a worker sees of its environment.
var workerEnviron = []string{workerEnv + "=1", "TZ=UTC", "LANG=C.UTF-8"}

// kill ends the process at once. Idempotent.
func (p *process) kill() {
	if p.cmd.Process != nil {
		_ = p.cmd.Process.Kill()
	}
	_ = p.wire.conn.Close()
}

// end waits for the process to be gone and says how it went, and whether it was
// for memory.
func (p *process) end() (why string, memory bool) {
	p.kill()
	<-p.gone
	text := p.stderr.String()
	for _, w := range []string{"bad_alloc", "out of memory", "cannot allocate memory", "Cannot allocate memory", "pthread_create failed"} {
		if strings.Contains(text, w) {
			return "it ran out of memory", true
		}
	}
	if oomKills() > p.oom {
		return "the machine ran out of memory", true
	}
	first, _, _ := strings.Cut(text, "\n")
	if first == "" {
		first = p.cmd.ProcessState.String()
	}
	return first, false
}

// oomKills is how many processes the kernel has killed for memory since it
// started; 0 where it does not say.
func oomKills() int64 {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	var n int64
	if _, rest, ok := strings.Cut(string(b), "\noom_kill "); ok {
		_, _ = fmt.Sscan(rest, &n)
	}
	return n
}

// tail keeps the first bytes that a worker writes to its standard error.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const maxTail = 8 << 10

// Write keeps what there is room for and takes the rest.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p[:min(len(p), maxTail-len(t.b))]...)
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
