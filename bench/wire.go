package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wire stands in user space before a node: all that other nodes send to it and it
// answers goes through here, is counted, and comes as much later as is said. However
// late it comes, as much of it is on its way as was sent.
type wire struct {
	listener net.Listener
	to       atomic.Pointer[string] // the node
	delay    atomic.Int64           // nanoseconds, one way
	bytes    atomic.Int64           // in both directions
}

func newWire() (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{listener: l}
	go w.run()
	return w, nil
}

func (w *wire) addr() string { return w.listener.Addr().String() }

func (w *wire) close() { _ = w.listener.Close() }

func (w *wire) run() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.carry(c)
	}
}

// carry joins a connection with one to the node. That there is one is known a round trip
// later, as it is with TCP.
func (w *wire) carry(c net.Conn) {
	defer func() { _ = c.Close() }()
	to := w.to.Load()
	if to == nil {
		return // nothing listens there yet
	}
	time.Sleep(2 * time.Duration(w.delay.Load()))
	n, err := net.Dial("tcp", *to)
	if err != nil {
		return
	}
	defer func() { _ = n.Close() }()
	var both sync.WaitGroup
	both.Go(func() { w.copy(n, c) })
	both.Go(func() { w.copy(c, n) })
	both.Wait()
}

// chunk is some bytes on their way, and when they are there.
type chunk struct {
	b   []byte
	due time.Time
}

// On their way are at most so many chunks of so many bytes: more than there are in 10 ms.
const (
	chunkBytes = 64 << 10
	chunksMost = 2048
)

var chunkPool = sync.Pool{New: func() any { return new([chunkBytes]byte) }}

func (w *wire) copy(to, from net.Conn) {
	way := make(chan chunk, chunksMost)
	var there sync.WaitGroup
	there.Go(func() {
		defer func() { _ = to.(*net.TCPConn).CloseWrite() }() // what comes back may go on
		broken := false
		for c := range way {
			time.Sleep(time.Until(c.due))
			if !broken {
				_, err := to.Write(c.b)
				broken = err != nil
			}
			chunkPool.Put((*[chunkBytes]byte)(c.b[:chunkBytes]))
			if broken {
				_ = from.Close()
			}
		}
	})
	for {
		b := chunkPool.Get().(*[chunkBytes]byte)
		n, err := from.Read(b[:])
		if n > 0 {
			w.bytes.Add(int64(n))
			way <- chunk{b[:n], time.Now().Add(time.Duration(w.delay.Load()))}
		}
		if err != nil {
			break
		}
	}
	close(way)
	there.Wait()
}
