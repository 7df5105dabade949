package meshtest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBytes is how much may be on its way in one direction.
const pipeBytes = 1 << 20

// pipe is one direction of a connection.
type pipe struct {
	net      *Network
	from, to *Host

	mu      sync.Mutex
	chunks  []chunk
	bytes   int
	last    time.Time // when the newest chunk comes
	ended   bool      // by the writer: what is on its way still comes
	broken  bool      // nothing comes any more
	changed chan struct{}
}

type chunk struct {
	at time.Time
	b  []byte
}

func newPipe(from, to *Host) *pipe {
	return &pipe{net: from.net, from: from, to: to, changed: make(chan struct{})}
}

// touch is called with mu held.
func (p *pipe) touch() {
	close(p.changed)
	p.changed = make(chan struct{})
}

var errReset = errors.New("connection reset by peer")

func (p *pipe) write(b []byte, dead *deadline) (int, error) {
	n := 0
	for len(b) > 0 {
		p.mu.Lock()
		switch {
		case p.broken:
			p.mu.Unlock()
			return n, errReset
		case p.ended:
			p.mu.Unlock()
			return n, net.ErrClosed
		}
		room := pipeBytes - p.bytes
		changed := p.changed
		if room > 0 {
			k := min(room, len(b))
			at := time.Now().Add(p.net.late())
			if at.Before(p.last) {
				at = p.last
			}
			p.last = at
			p.chunks = append(p.chunks, chunk{at, append([]byte(nil), b[:k]...)})
			p.bytes += k
			n, b = n+k, b[k:]
			p.touch()
		}
		p.mu.Unlock()
		if room > 0 {
			continue
		}
		select {
		case <-changed:
		case <-dead.wait():
			return n, os.ErrDeadlineExceeded
		}
	}
	return n, nil
}

func (p *pipe) read(b []byte, dead *deadline) (int, error) {
	for {
		if dead.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		open, moved := p.net.open(p.from, p.to)
		p.mu.Lock()
		changed := p.changed
		switch {
		case p.broken:
			p.mu.Unlock()
			return 0, errReset
		case len(p.chunks) == 0 && p.ended && open:
			p.mu.Unlock()
			return 0, io.EOF
		}
		var wait <-chan time.Time
		var timer *time.Timer
		if len(p.chunks) > 0 && open {
			c := &p.chunks[0]
			if d := time.Until(c.at); d > 0 {
				timer = time.NewTimer(d)
				wait = timer.C
			} else {
				n := copy(b, c.b)
				if c.b = c.b[n:]; len(c.b) == 0 {
					p.chunks = p.chunks[1:]
				}
				p.bytes -= n
				p.touch()
				p.mu.Unlock()
				return n, nil
			}
		}
		p.mu.Unlock()
		select {
		case <-wait:
		case <-changed:
		case <-moved:
		case <-dead.wait():
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

func (p *pipe) end(broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.broken = p.broken || broken
	p.touch()
}

// conn is one end of a connection.
type conn struct {
	host, other *Host
	in, out     *pipe
	read, write *deadline
	once        sync.Once
}

func newConns(a, b *Host) (*conn, *conn) {
	ab, ba := newPipe(a, b), newPipe(b, a)
	x := &conn{host: a, other: b, in: ba, out: ab, read: newDeadline(), write: newDeadline()}
	y := &conn{host: b, other: a, in: ab, out: ba, read: newDeadline(), write: newDeadline()}
	for _, c := range []*conn{x, y} {
		c.host.mu.Lock()
		c.host.conns[c] = struct{}{}
		c.host.mu.Unlock()
	}
	return x, y
}

func (c *conn) Read(b []byte) (int, error)  { return c.in.read(b, c.read) }
func (c *conn) Write(b []byte) (int, error) { return c.out.write(b, c.write) }

func (c *conn) Close() error {
	c.once.Do(func() {
		c.host.mu.Lock()
		delete(c.host.conns, c)
		c.host.mu.Unlock()
		c.out.end(false)
		c.in.end(true) // what still comes is read by nobody
		c.read.set(time.Now())
	})
	return nil
}

// reset breaks both ends.
func (c *conn) reset() {
	c.out.end(true)
	c.in.end(true)
	_ = c.Close()
}

func (c *conn) LocalAddr() net.Addr  { return hostAddr(c.host.Addr()) }
func (c *conn) RemoteAddr() net.Addr { return hostAddr(c.other.Addr()) }

func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { c.read.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.write.set(t); return nil }

type hostAddr string

func (a hostAddr) Network() string { return "mesh" }
func (a hostAddr) String() string  { return string(a) }

// deadline is a time after which an end of a connection waits no more.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{}
}

func newDeadline() *deadline { return &deadline{over: make(chan struct{})} }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.over // it passed, or is about to: that is over with
	}
	d.timer = nil
	select {
	case <-d.over:
		d.over = make(chan struct{})
	default:
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(d.over)
	default:
		over := d.over
		d.timer = time.AfterFunc(left, func() { close(over) })
	}
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (d *deadline) passed() bool {
	select {
	case <-d.wait():
		return true
	default:
		return false
	}
}
