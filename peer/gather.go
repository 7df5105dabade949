package peer

import (
	"net"
	"sync"
)

// Beneath TLS each record of 16 KB is a write of its own, and each is read by itself:
// with large answers half of the time goes into the calls. gathered puts the records of
// one write together, and reads as much as there is.
type gathered struct {
	net.Conn

	out  sync.Mutex
	hold bool   // a large write is under way
	held []byte // of it, and not written yet
	err  error  // what ended the writes

	in   []byte // read, and not given yet; of room
	room *[]byte
	busy bool // the last read had all that was asked for
}

const (
	gatherMost  = 256 << 10 // bytes that are held
	gatherLeast = 16 << 10  // writes that are larger have several records
	gatherRoom  = 128 << 10 // bytes of one read
)

// rooms has the memory of reads, which idle connections need none of.
var rooms = sync.Pool{New: func() any { b := make([]byte, gatherRoom); return &b }}

// Write is of net.Conn.
func (g *gathered) Write(b []byte) (int, error) {
	g.out.Lock()
	defer g.out.Unlock()
	if g.err != nil {
		return 0, g.err
	}
	if !g.hold {
		return g.Conn.Write(b)
	}
	g.held = append(g.held, b...)
	if len(g.held) >= gatherMost {
		g.flush()
	}
	return len(b), g.err
}

// flush writes what is held; the lock must be held. After an error nothing is written
// any more: a part of it may be out.
func (g *gathered) flush() {
	if len(g.held) > 0 && g.err == nil {
		_, g.err = g.Conn.Write(g.held)
	}
	g.held = g.held[:0]
}

// gather has write's records written together.
func (g *gathered) gather(b []byte, write func([]byte) (int, error)) (int, error) {
	if len(b) <= gatherLeast {
		return write(b)
	}
	g.out.Lock()
	g.hold = true
	g.out.Unlock()
	n, err := write(b)
	g.out.Lock()
	defer g.out.Unlock()
	g.flush()
	g.hold, g.held = false, nil
	if err == nil {
		err = g.err
	}
	return n, err
}

// Read is of net.Conn. One goroutine reads at a time, as TLS sees to.
func (g *gathered) Read(b []byte) (int, error) {
	if len(g.in) == 0 {
		if !g.busy {
			n, err := g.Conn.Read(b)
			g.busy = n == len(b) && n >= 1<<10
			return n, err
		}
		if g.room == nil {
			g.room = rooms.Get().(*[]byte)
		}
		n, err := g.Conn.Read(*g.room)
		g.in = (*g.room)[:n]
		g.busy = n > len(b)
		if n == 0 {
			g.giveBack()
			return 0, err
		}
	}
	n := copy(b, g.in)
	if g.in = g.in[n:]; len(g.in) == 0 && !g.busy {
		g.giveBack()
	}
	return n, nil
}

func (g *gathered) giveBack() {
	if g.room != nil {
		rooms.Put(g.room)
		g.room = nil
	}
	g.in = nil
}
