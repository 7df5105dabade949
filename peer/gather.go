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

	large sync.Mutex // one large write at a time

	out  sync.Mutex
	hold *[]byte // what is not written yet of a large write that is under way, nil for none
	err  error   // what ended the writes

	in   []byte  // read, and not given yet; of room
	room *[]byte // nil while it is idle
	busy bool    // the last read had much: there is more, and it is worth a room to wait for
}

const (
	gatherRoom  = 256 << 10 // bytes of one call
	gatherLeast = 16 << 10  // writes that are larger have several records
)

// rooms has the memory of calls, which idle connections need none of.
var rooms = sync.Pool{New: func() any { b := make([]byte, gatherRoom); return &b }}

// Write is of net.Conn.
func (g *gathered) Write(b []byte) (int, error) {
	g.out.Lock()
	defer g.out.Unlock()
	if g.err != nil {
		return 0, g.err
	}
	if g.hold == nil {
		return g.Conn.Write(b)
	}
	if len(*g.hold)+len(b) > gatherRoom {
		g.flush()
	}
	*g.hold = append(*g.hold, b...) // a record is far smaller than the room
	return len(b), g.err
}

// flush writes what is held; the lock must be held. After an error nothing is written
// any more: a part of it may be out.
func (g *gathered) flush() {
	if len(*g.hold) > 0 && g.err == nil {
		_, g.err = g.Conn.Write(*g.hold)
	}
	*g.hold = (*g.hold)[:0]
}

// gather has the records of one write written together, which must be no handshake.
func (g *gathered) gather(b []byte, write func([]byte) (int, error)) (int, error) {
	if len(b) <= gatherLeast {
		return write(b)
	}
	g.large.Lock()
	defer g.large.Unlock()
	room := rooms.Get().(*[]byte)
	*room = (*room)[:0]
	g.out.Lock()
	g.hold = room
	g.out.Unlock()
	n, err := write(b)
	g.out.Lock()
	g.flush()
	g.hold = nil
	if err == nil {
		err = g.err
	}
	g.out.Unlock()
	*room = (*room)[:gatherRoom]
	rooms.Put(room)
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
		g.busy = n >= gatherRoom/2 // after less, who waits does it without a room
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
