package engine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
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
	limit  int64         // of its memory; the pool's to count
	oom    int64         // the kernel's count of processes killed for memory, at the start

	mu    sync.Mutex
	temp  string // the folder it spills to, its own
	spill int64  // and the most that may lie there
	why   Ending // the first reason that it was killed for
}

// startProcess starts this program again as a worker that knows nothing yet.
// It must be called on a thread that outlives the worker: the kernel kills the
// worker with the thread that started it.
// ended is told how the worker went, before gone is closed.
func startProcess(ended func(Ending)) (*process, error) {
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
		ended(p.ending())
		close(p.gone)
	}()
	return p, nil
}

// background is the niceness of a worker whose work can wait: it gets a quarter of
// a core for which another thread competes.
const background = 5

// stepBack lowers the priority of all threads of the process, for good. Threads
// that it starts later have it from those that start them; one that started in
// between is found by looking until there is nothing left to do.
func (p *process) stepBack() {
	dir := fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid)
	for left := true; left; {
		left = false
		tasks, err := os.ReadDir(dir)
		if err != nil {
			return // it has ended
		}
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			// The system call gives 20 less the niceness; a thread may have ended.
			if now, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil && 20-now < background {
				left = unix.Setpriority(unix.PRIO_PROCESS, id, background) == nil || left
			}
		}
	}
}

// workerEnviron is all that a worker sees of its environment.
var workerEnviron = []string{workerEnv + "=1", "TZ=UTC", "LANG=C.UTF-8"}

// kill ends the process at once. Idempotent: the first reason counts.
func (p *process) kill(why Ending) {
	p.mu.Lock()
	if p.why == "" {
		p.why = why
	}
	p.mu.Unlock()
	if p.cmd.Process != nil {
		_ = p.cmd.Process.Kill()
	}
	_ = p.wire.conn.Close()
}

// killedFor is the reason that the worker was killed for, EndCrashed where it went
// by itself.
func (p *process) killedFor() Ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why == "" {
		return EndCrashed
	}
	return p.why
}

// ending says, once the process has ended, why.
func (p *process) ending() Ending {
	e := p.killedFor()
	if e == EndCrashed {
		if _, memory := p.lastWords(); memory {
			return EndMemory
		}
	}
	return e
}

// end waits for the process to be gone and says how it went, and whether it was
// for memory. One that nobody has killed before has gone by itself.
func (p *process) end() (why string, memory bool) {
	p.kill(EndCrashed)
	<-p.gone
	return p.lastWords()
}

// lastWords says what a process that has ended died of, and whether that was memory.
func (p *process) lastWords() (why string, memory bool) {
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
