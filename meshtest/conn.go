package meshtest

import (
	"bytes"
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

	mu     sync.Mutex
	chunks []chunk
	bytes  int
	last   time.Time   // when the newest chunk comes
	ended  bool        // by the writer: what is on its way still comes
	broken bool        // nothing comes any more
	due    *time.Timer // until the first chunk comes, where it is not there yet

	// over tells the reader, and emptied the writer, that there is something new; who
	// learns that all has ended passes it on to the next.
	over, emptied chan struct{}
}

// chunk is some of what is on its way.
type chunk struct {
	at   time.Time
	b    []byte
	page *[]byte // the memory of b, where it is from chunkPages
}

// chunkPages has the memory of what is on its way: a large mesh sends hundreds of
// gigabytes. What is short is not worth a page: of such there may be very much, before
// lines that are cut.
var chunkPages = sync.Pool{New: func() any { b := make([]byte, 16<<10); return &b }}

func newPipe(from, to *Host) *pipe {
	p := &pipe{net: from.net, from: from, to: to, due: time.NewTimer(time.Hour), over: make(chan struct{}, 1), emptied: make(chan struct{}, 1)}
	p.due.Stop()
	return p
}

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

var errReset = errors.New("connection reset by peer")

func (p *pipe) write(b []byte, dead *deadline) (int, error) {
	n := 0
	for len(b) > 0 {
		p.mu.Lock()
		switch {
		case p.broken, p.ended:
			err := net.ErrClosed
			if p.broken {
				err = errReset
			}
			p.mu.Unlock()
			tell(p.emptied)
			return n, err
		}
		room := pipeBytes - p.bytes
		if room > 0 {
			k := min(room, len(b))
			p.send(b[:k])
			n, b = n+k, b[k:]
		}
		p.mu.Unlock()
		if room > 0 {
			continue
		}
		select {
		case <-p.emptied:
		case <-dead.wait():
			return n, os.ErrDeadlineExceeded
		}
	}
	return n, nil
}

// send puts b on its way, with mu held.
func (p *pipe) send(b []byte) {
	now := time.Now()
	at := now.Add(p.net.late())
	if at.Before(p.last) {
		at = p.last
	}
	p.last = at
	p.bytes += len(b)
	switch wait := at.Sub(now); {
	case len(p.chunks) > 0:
	case wait > 0:
		p.due.Reset(wait)
	default:
		tell(p.over) // a timer to fire at once is none for the race detector: see run.Pause
	}
	if len(b) < 4<<10 {
		p.chunks = append(p.chunks, chunk{at: at, b: bytes.Clone(b)})
		return
	}
	for len(b) > 0 {
		page := chunkPages.Get().(*[]byte)
		k := copy(*page, b)
		p.chunks = append(p.chunks, chunk{at, (*page)[:k], page})
		b = b[k:]
	}
}

// receive reads what has come by now, with mu held.
func (p *pipe) receive(b []byte) (n int) {
	for now := time.Now(); len(p.chunks) > 0; {
		c := &p.chunks[0]
		left := c.at.Sub(now)
		if left > 0 {
			p.due.Reset(left)
		}
		if left > 0 || n == len(b) {
			return n
		}
		k := copy(b[n:], c.b)
		n, p.bytes = n+k, p.bytes-k
		if c.b = c.b[k:]; len(c.b) == 0 {
			if c.page != nil {
				chunkPages.Put(c.page)
			}
			p.chunks[0] = chunk{}
			p.chunks = p.chunks[1:]
		}
	}
	return n
}

func (p *pipe) read(b []byte, dead *deadline) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if dead.passed() {
			return 0, os.ErrDeadlineExceeded
		}
		open, moved := p.net.open(p.from, p.to)
		p.mu.Lock()
		switch {
		case p.broken:
			p.mu.Unlock()
			tell(p.over)
			return 0, errReset
		case len(p.chunks) == 0 && p.ended && open:
			p.mu.Unlock()
			tell(p.over)
			return 0, io.EOF
		}
		n := 0
		if open {
			n = p.receive(b)
		}
		p.mu.Unlock()
		if n > 0 {
			tell(p.emptied)
			return n, nil
		}
		select {
		case <-p.due.C:
		case <-p.over:
		case <-moved:
		case <-dead.wait():
		}
	}
}

func (p *pipe) end(broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.broken = p.broken || broken
	tell(p.over)
	tell(p.emptied)
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
