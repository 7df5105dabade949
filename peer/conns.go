package peer

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"weft"
)

// Bounds of connections that come in.
const (
	handshakeWait = 10 * time.Second
	maxHandshakes = 64  // at once
	maxConns      = 512 // in all, of other nodes
	maxConnsEach  = 64  // of one node
	maxStrangers  = 8   // of keys that are to join
	strangerMost  = 30 * time.Second
)

// peerConn is a connection to a node that has proved its key.
type peerConn struct {
	net.Conn
	raw    *gathered // beneath the encryption
	id     weft.KeyID
	member bool // when it came
	all    *conns
	once   sync.Once
}

// Write is of net.Conn.
func (c *peerConn) Write(b []byte) (int, error) { return c.raw.gather(b, c.Conn.Write) }

// Close ends the connection.
func (c *peerConn) Close() error {
	c.all.drop(c)
	return c.Conn.Close()
}

// cut ends it at once, without a word.
func (c *peerConn) cut() {
	c.all.drop(c)
	_ = c.raw.SetDeadline(time.Now())
	_ = c.raw.Close()
}

// conns are all connections of a node to others.
type conns struct {
	mu      sync.Mutex
	all     map[*peerConn]struct{}
	each    map[weft.KeyID]int
	pending map[net.Conn]struct{} // in their handshake
	closed  bool
}

func newConns() *conns {
	return &conns{all: map[*peerConn]struct{}{}, each: map[weft.KeyID]int{}, pending: map[net.Conn]struct{}{}}
}

// begin counts a connection that is in its handshake, false where there is no room.
func (c *conns) begin(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.pending) >= maxHandshakes || len(c.all) >= maxConns {
		return false
	}
	c.pending[conn] = struct{}{}
	return true
}

func (c *conns) settled(conn net.Conn) {
	c.mu.Lock()
	delete(c.pending, conn)
	c.mu.Unlock()
}

// take keeps a connection; most is how many there may be of its node.
func (c *conns) take(conn net.Conn, raw *gathered, id weft.KeyID, member bool, most int) (*peerConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case c.each[id] >= most:
		return nil, weft.Errorf(weft.KindLimit, "take the connection", id.Short(), "it has %d already", most)
	}
	p := &peerConn{Conn: conn, raw: raw, id: id, member: member, all: c}
	c.all[p] = struct{}{}
	c.each[id]++
	return p, nil
}

func (c *conns) drop(p *peerConn) {
	p.once.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.all, p)
		if c.each[p.id]--; c.each[p.id] == 0 {
			delete(c.each, p.id)
		}
	})
}

// cutIf cuts all connections of which f says so.
func (c *conns) cutIf(f func(*peerConn) bool) {
	c.mu.Lock()
	var cut []*peerConn
	for p := range c.all {
		if f(p) {
			cut = append(cut, p)
		}
	}
	c.mu.Unlock()
	for _, p := range cut {
		p.cut()
	}
}

// close cuts all and takes no more.
func (c *conns) close() {
	c.mu.Lock()
	c.closed = true
	for p := range c.pending {
		_ = p.Close()
	}
	c.mu.Unlock()
	c.cutIf(func(*peerConn) bool { return true })
}

// accept takes a connection that comes in: who is neither of the mesh nor about to
// join it gets nothing. It returns when the handshake is over.
func (n *network) accept(conn net.Conn) {
	if n.host.meshID() == (weft.Hash{}) || !n.conns.begin(conn) {
		_ = conn.Close()
		return
	}
	defer n.conns.settled(conn)
	cert, err := n.cert()
	if err != nil {
		n.log.Error("no connection of another node can be taken", "error", err)
		_ = conn.Close()
		return
	}
	raw := &gathered{Conn: counted{conn, &n.traffic}}
	tc := tls.Server(raw, serverTLS(cert, n.admits, n.host.learn))
	ctx, cancel := context.WithTimeout(n.life, handshakeWait)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		n.stats.turnedAway.Add(1)
		n.log.Debug("a connection is turned away", "error", err)
		_ = conn.Close()
		return
	}
	id, err := peerOf(tc.ConnectionState())
	if err != nil {
		_ = conn.Close()
		return
	}
	member, most := n.host.belongs(id) == belongsYes, maxConnsEach
	if !member {
		most = 1
		time.AfterFunc(strangerMost, func() { // unless it has joined meanwhile
			if n.host.belongs(id) != belongsYes {
				_ = conn.Close()
			}
		})
	}
	p, err := n.conns.take(tc, raw, id, member, most)
	if err != nil {
		_ = conn.Close()
		return
	}
	if n.admits(id) != nil { // revoked while it came
		p.cut()
		return
	}
	n.incoming.hand(p)
}

// admits says whether a key may speak with this node at all.
func (n *network) admits(id weft.KeyID) error {
	switch n.host.belongs(id) {
	case belongsYes:
		return nil
	case belongsNot:
		if n.host.admitting() && n.conns.strangers(n.host) < maxStrangers {
			return nil
		}
	}
	return weft.Errorf(weft.KindDenied, "take the connection", id.Short(), "it is not of this mesh")
}

// strangers is how many connections there are of keys that do not belong.
func (c *conns) strangers(h host) (many int) {
	c.mu.Lock()
	ids := make([]weft.KeyID, 0, len(c.each))
	for id := range c.each {
		ids = append(ids, id)
	}
	c.mu.Unlock()
	for _, id := range ids {
		if h.belongs(id) != belongsYes {
			many++
		}
	}
	return many
}

// incoming is the listener of connections that were accepted.
type incoming struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newIncoming() *incoming {
	return &incoming{conns: make(chan net.Conn), ended: make(chan struct{})}
}

func (i *incoming) hand(c net.Conn) {
	select {
	case i.conns <- c:
	case <-i.ended:
		_ = c.Close()
	}
}

// Accept is the next connection.
func (i *incoming) Accept() (net.Conn, error) {
	select {
	case c := <-i.conns:
		return c, nil
	case <-i.ended:
		return nil, net.ErrClosed
	}
}

// Close ends the listener.
func (i *incoming) Close() error {
	i.once.Do(func() { close(i.ended) })
	return nil
}

// Addr is an address that says nothing.
func (i *incoming) Addr() net.Addr { return &net.UnixAddr{Name: "peers", Net: "weft"} }
