package http

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// PeerProtocol is the ALPN name by which a connection is known to come from another
// node and not from a client of the API.
const PeerProtocol = "weft/1"

// port is the listener of a door that other nodes come through as well: it looks at
// the first bytes of each connection, gives those of nodes away and hands out the
// rest, with all their bytes.
type port struct {
	net.Listener
	peers  func(net.Conn)
	secure bool          // the API speaks TLS
	wait   time.Duration // for the first bytes
	ready  chan net.Conn
	ended  chan struct{} // closed when the listener is
	err    error         // why, set before ended is closed
	once   sync.Once
}

func newPort(l net.Listener, peers func(net.Conn), secure bool, wait time.Duration) *port {
	p := &port{Listener: l, peers: peers, secure: secure, wait: wait, ready: make(chan net.Conn), ended: make(chan struct{})}
	go p.run()
	return p
}

// run takes connections until the listener ends. How many there are at once is
// bounded by the listener beneath.
func (p *port) run() {
	for {
		c, err := p.Listener.Accept()
		if err == nil {
			go p.sort(c)
			continue
		}
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			continue
		}
		if !errors.Is(err, net.ErrClosed) {
			// Too many open files, for one: it may pass.
			select {
			case <-p.ended:
			case <-time.After(100 * time.Millisecond):
				continue
			}
		}
		p.end(err)
		return
	}
}

func (p *port) end(err error) {
	p.once.Do(func() {
		p.err = err
		close(p.ended)
	})
}

// Accept is the next connection of the API's clients.
func (p *port) Accept() (net.Conn, error) {
	select {
	case c := <-p.ready:
		return c, nil
	case <-p.ended:
		return nil, p.err
	}
}

// Close ends the port; connections that were handed out go on.
func (p *port) Close() error {
	p.end(net.ErrClosed)
	return p.Listener.Close()
}

// handshakeRecord is the first byte of every TLS connection, and of no HTTP request.
const handshakeRecord = 0x16

// sort finds out who a connection is from.
func (p *port) sort(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(p.wait))
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		_ = c.Close()
		return
	}
	seen := &seenConn{Conn: c, head: first}
	fromNode := false
	if first[0] == handshakeRecord {
		protos, head, err := helloOf(seen)
		if err != nil {
			_ = c.Close() // no hello at all, or one that does not come
			return
		}
		seen = &seenConn{Conn: c, head: head}
		fromNode = slices.Contains(protos, PeerProtocol)
	}
	_ = c.SetReadDeadline(time.Time{})
	switch {
	case fromNode:
		p.peers(seen)
	case first[0] == handshakeRecord && !p.secure:
		_ = c.Close() // the API speaks no TLS here
	default:
		select {
		case p.ready <- seen:
		case <-p.ended:
			_ = c.Close()
		}
	}
}

// seenConn is a connection whose first bytes were read already.
type seenConn struct {
	net.Conn
	head []byte
}

func (c *seenConn) Read(b []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(b, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// errSeen ends the handshake that only looks.
var errSeen = errors.New("the hello was seen")

// helloOf reads the first message of a TLS connection and returns the protocols it
// offers, and all bytes that were read. How many they are crypto/tls bounds.
func helloOf(c net.Conn) (protos []string, read []byte, err error) {
	look := &lookConn{Conn: c}
	err = tls.Server(look, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			protos = h.SupportedProtos
			return nil, errSeen
		},
	}).Handshake()
	if errors.Is(err, errSeen) {
		err = nil
	}
	return protos, look.read.Bytes(), err
}

// lookConn keeps what is read and writes nothing.
type lookConn struct {
	net.Conn
	read bytes.Buffer
}

func (c *lookConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Write(b[:n])
	return n, err
}

func (c *lookConn) Write(b []byte) (int, error) { return len(b), nil }
