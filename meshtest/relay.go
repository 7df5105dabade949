package meshtest

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Line says what a Relay does to what comes from one address.
type Line struct {
	Delay time.Duration
	Loss  float64 // share of what is lost and comes later
	Cut   bool    // nothing passes, in either direction
}

// Relay stands in user space before a process that listens, and delays, drops and cuts
// what others send to it and it answers, by the address that they come from.
type Relay struct {
	listener net.Listener

	mu    sync.Mutex
	to    string
	lines map[string]Line
	all   Line
	moved chan struct{}
	ended chan struct{}
}

// NewRelay starts a relay until the test ends; To says what it stands before.
func NewRelay(t testing.TB) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{listener: l, lines: map[string]Line{}, moved: make(chan struct{}), ended: make(chan struct{})}
	go r.run()
	t.Cleanup(func() {
		close(r.ended)
		_ = l.Close()
	})
	return r
}

// Addr is where the relay listens.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// To has the relay stand before an address.
func (r *Relay) To(addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = addr
}

// Set changes what is done to what comes from an address, "" for all others.
func (r *Relay) Set(from string, l Line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if from == "" {
		r.all = l
	} else {
		r.lines[from] = l
	}
	close(r.moved)
	r.moved = make(chan struct{})
}

func (r *Relay) line(from string) (Line, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.lines[from]; ok {
		return l, r.moved
	}
	return r.all, r.moved
}

func (r *Relay) run() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		go r.carry(c)
	}
}

// carry joins a connection with one to the process, which is made once it may pass.
func (r *Relay) carry(c net.Conn) {
	defer c.Close()
	from, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil || !r.pass(from) {
		return
	}
	r.mu.Lock()
	addr := r.to
	r.mu.Unlock()
	to, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	var wg sync.WaitGroup
	wg.Go(func() { r.copy(to, c, from) })
	wg.Go(func() { r.copy(c, to, from) })
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-r.ended:
	}
}

// pass waits as long as something takes, and until it may pass.
func (r *Relay) pass(from string) bool {
	l, _ := r.line(from)
	d := l.Delay
	for wait := resend; l.Loss > 0 && rand.Float64() < l.Loss && wait < 10*time.Second; wait *= 2 {
		d += wait
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.ended:
		return false
	}
	for {
		l, moved := r.line(from)
		if !l.Cut {
			return true
		}
		select {
		case <-moved:
		case <-r.ended:
			return false
		}
	}
}

func (r *Relay) copy(to io.Writer, from io.Reader, addr string) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if !r.pass(addr) {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	if c, ok := to.(*net.TCPConn); ok {
		_ = c.CloseWrite() // what comes back may go on
	}
}
