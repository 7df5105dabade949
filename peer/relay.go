package peer

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"weft"
	"weft/run"
)

// A node that cannot be reached keeps links to members that relay. Who wants it calls
// one of these; the relay rings over the link with a ticket, the node answers with a
// connection of its own, and the relay joins the two. Both sides then prove their keys
// to each other through it: the relay carries bytes that it cannot read.
const (
	wantRelays     = 2   // that a node keeps, which cannot be reached
	maxRelayed     = 128 // nodes that can be reached through this one
	maxCalls       = 128 // joined at once
	maxCallsEach   = 16  // of one caller
	ringWait       = 10 * time.Second
	callIdle       = 5 * time.Minute // without a byte
	relayProto     = "weft-relay"
	ticketBytes    = 16
	announceSettle = time.Second
)

// relays is a node's part in relaying: what it relays, and who relays for it.
type relays struct {
	n *network

	mu      sync.Mutex
	clients map[*link]struct{}     // reached through this node
	by      map[*link]struct{}     // through which this node is reached
	waiting map[string]chan answer // calls by ticket
	calls   map[weft.KeyID]int
	all     int
}

// answer is the connection with which a node answers a ring.
type answer struct {
	conn *peerConn
	r    *bufio.Reader
}

func newRelays(n *network) *relays {
	return &relays{
		n: n, clients: map[*link]struct{}{}, by: map[*link]struct{}{},
		waiting: map[string]chan answer{}, calls: map[weft.KeyID]int{},
	}
}

// many is how many relay for this node.
func (r *relays) many() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.by)
}

// grant lets the other side of a link be reached through this node.
func (r *relays) grant(l *link) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.n.cfg.Relay || len(r.clients) >= maxRelayed {
		return false
	}
	r.clients[l] = struct{}{}
	return true
}

// gained notes that this node can be reached through the other side of a link.
func (r *relays) gained(l *link) {
	r.mu.Lock()
	select {
	case <-l.ended:
	default:
		r.by[l] = struct{}{}
	}
	r.mu.Unlock()
	r.announce()
}

// lost forgets a link.
func (r *relays) lost(l *link) {
	r.mu.Lock()
	_, mine := r.by[l]
	delete(r.by, l)
	delete(r.clients, l)
	r.mu.Unlock()
	if mine {
		r.announce()
	}
}

// announce publishes who relays for this node, once that has settled.
func (r *relays) announce() {
	r.n.task(func() {
		if run.Pause(r.n.life, announceSettle) != nil {
			return
		}
		r.mu.Lock()
		var ids []weft.KeyID
		for l := range r.by {
			ids = append(ids, l.peer)
		}
		r.mu.Unlock()
		slices.SortFunc(ids, func(a, b weft.KeyID) int { return slices.Compare(a[:], b[:]) })
		if err := r.n.host.announce(r.n.life, slices.Compact(ids)); err != nil && r.n.life.Err() == nil {
			r.n.log.Warn("how this node is reached could not be published", "error", err)
		}
	})
}

// call makes a connection to a node through a relay.
func (r *relays) call(ctx context.Context, via, node weft.KeyID) (*peerConn, error) {
	self := r.n.host.nodeKey().ID()
	if via == self {
		return r.own(ctx, node)
	}
	if r.n.host.belongs(via) != belongsYes {
		return nil, weft.Errorf(weft.KindDenied, "call through the relay", via.Short(), "it is no member")
	}
	info := r.n.host.info(via)
	if info == nil || len(info.Addresses) == 0 {
		return nil, weft.Errorf(weft.KindUnavailable, "call through the relay", via.Short(), "nobody knows where it is")
	}
	conn, err := r.n.dial.direct(ctx, via, info.Addresses, r.n.secure)
	if err != nil {
		return nil, err
	}
	br, err := upgradeTo(ctx, conn, callPath, url.Values{"node": {node.String()}}.Encode(), relayProto)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	p, err := r.n.secure(ctx, &readConn{Conn: conn, r: br}, node)
	if err != nil {
		_ = conn.Close()
	}
	return p, err
}

// own makes a connection to a node that is reached through this one.
func (r *relays) own(ctx context.Context, node weft.KeyID) (*peerConn, error) {
	a, err := r.ringFor(ctx, node)
	if err != nil {
		return nil, err
	}
	p, err := r.n.secure(ctx, &readConn{Conn: a.conn, r: a.r}, node)
	if err != nil {
		_ = a.conn.Close()
	}
	return p, err
}

// readConn is a connection of which some bytes were read already.
type readConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *readConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// ringFor rings for a node over its link and waits for its connection.
func (r *relays) ringFor(ctx context.Context, node weft.KeyID) (answer, error) {
	l := r.n.linkTo(node)
	r.mu.Lock()
	_, mine := r.clients[l]
	var t [ticketBytes]byte
	_, _ = rand.Read(t[:]) // never fails
	ticket, c := hex.EncodeToString(t[:]), make(chan answer, 1)
	if mine {
		r.waiting[ticket] = c
	}
	r.mu.Unlock()
	if !mine {
		return answer{}, weft.Errorf(weft.KindUnavailable, "call the node", node.Short(), "it is not reached through this one now")
	}
	err := l.out.urgent(frame{frameRing, t[:]})
	if err == nil {
		wait := time.NewTimer(ringWait)
		defer wait.Stop()
		select {
		case a := <-c:
			return a, nil
		case <-wait.C:
		case <-l.ended:
		case <-ctx.Done():
		}
	}
	r.mu.Lock()
	delete(r.waiting, ticket)
	r.mu.Unlock()
	select {
	case a := <-c: // it came at the last moment
		_ = a.conn.Close()
	default:
	}
	return answer{}, weft.Errorf(weft.KindUnavailable, "call the node", node.Short(), "it does not answer")
}

// serveCall is a call of another node: it is joined with the node that it asks for.
func (r *relays) serveCall(w http.ResponseWriter, req *http.Request) {
	caller := FromPeer(req.Context())
	var node weft.KeyID
	if err := node.UnmarshalText([]byte(req.URL.Query().Get("node"))); err != nil {
		writeError(w, err)
		return
	}
	if !r.enter(caller) {
		writeError(w, weft.Errorf(weft.KindLimit, "relay", caller.Short(), "as many calls are being relayed as may be"))
		return
	}
	defer r.leave(caller)
	a, err := r.ringFor(req.Context(), node)
	if err != nil {
		writeError(w, err)
		return
	}
	conn, br, err := upgraded(w, req, relayProto)
	if err != nil {
		_ = a.conn.Close()
		return
	}
	splice(conn, br, a.conn, a.r)
}

func (r *relays) enter(caller weft.KeyID) bool {
	r.mu.Lock()
	if !r.n.cfg.Relay || r.all >= maxCalls || r.calls[caller] >= maxCallsEach {
		r.mu.Unlock()
		return false
	}
	r.all++
	r.calls[caller]++
	r.mu.Unlock()
	if !r.n.enter() {
		r.release(caller)
		return false
	}
	return true
}

func (r *relays) leave(caller weft.KeyID) {
	r.release(caller)
	r.n.tasks.Done()
}

func (r *relays) release(caller weft.KeyID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all--
	if r.calls[caller]--; r.calls[caller] == 0 {
		delete(r.calls, caller)
	}
}

// serveAnswer is the connection with which a node answers a ring.
func (r *relays) serveAnswer(w http.ResponseWriter, req *http.Request) {
	ticket := req.URL.Query().Get("ticket")
	r.mu.Lock()
	c := r.waiting[ticket]
	delete(r.waiting, ticket)
	r.mu.Unlock()
	if c == nil {
		writeError(w, weft.Errorf(weft.KindGone, "answer the call", "", "nobody waits for it"))
		return
	}
	conn, br, err := upgraded(w, req, relayProto)
	if err != nil {
		return // who called sees that nothing comes
	}
	c <- answer{conn, br} // it has room for one
}

// ring answers a call that a relay tells of.
func (n *network) ring(l *link, body []byte) error {
	if len(body) != ticketBytes || !l.relay {
		return faultf("it rings where nobody asked for that")
	}
	ticket := hex.EncodeToString(body)
	n.task(func() {
		ctx, cancel := context.WithTimeout(n.life, ringWait)
		defer cancel()
		conn, err := n.dial.connect(ctx, l.peer)
		if err != nil {
			n.log.Debug("a call could not be answered", "relay", l.peer.Short(), "error", err)
			return
		}
		br, err := upgradeTo(ctx, conn, answerPath, url.Values{"ticket": {ticket}}.Encode(), relayProto)
		if err != nil {
			_ = conn.Close()
			return
		}
		n.accept(&readConn{Conn: conn, r: br})
	})
	return nil
}

// splice carries bytes between two connections until one of them ends.
func splice(a *peerConn, ar io.Reader, b *peerConn, br io.Reader) {
	done := make(chan struct{}, 2)
	carry := func(to *peerConn, from *peerConn, r io.Reader) {
		buf := make([]byte, 32<<10)
		for {
			_ = from.SetReadDeadline(time.Now().Add(callIdle))
			k, err := r.Read(buf)
			if k > 0 {
				_ = to.SetWriteDeadline(time.Now().Add(writeWait))
				if _, err := to.Write(buf[:k]); err != nil {
					break
				}
			}
			if err != nil {
				break
			}
		}
		done <- struct{}{}
	}
	go carry(a, b, br)
	go carry(b, a, ar)
	<-done
	_ = a.Close()
	_ = b.Close()
	<-done
}
