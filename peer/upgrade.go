package peer

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"weft"
)

// upgradeTo asks the other side of a connection to speak something else from now on.
// What it has said already is in the returned reader.
func upgradeTo(ctx context.Context, conn net.Conn, path, query, proto string) (*bufio.Reader, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	_ = conn.SetDeadline(time.Now().Add(helloWait))
	u := "http://peer" + path
	if query != "" {
		u += "?" + query
	}
	r, err := http.NewRequest(http.MethodPost, u, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", proto)
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	br := bufio.NewReaderSize(conn, 16<<10)
	res, err := http.ReadResponse(br, r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != proto {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 8<<10)) // what it says, if anything
		return nil, readError("speak with the node", b)
	}
	if !stop() {
		return nil, ctx.Err()
	}
	return br, conn.SetDeadline(time.Time{})
}

// upgraded takes over a request's connection to speak something else. What the other
// side has said already is in the reader.
func upgraded(w http.ResponseWriter, r *http.Request, proto string) (*peerConn, *bufio.Reader, error) {
	if !strings.EqualFold(r.Header.Get("Connection"), "upgrade") || r.Header.Get("Upgrade") != proto {
		return nil, nil, weft.Errorf(weft.KindInvalid, "speak with the node", "", "the request does not ask for %s", proto)
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	p, ok := conn.(*peerConn)
	if !ok {
		_ = conn.Close()
		return nil, nil, weft.Errorf(weft.KindInternal, "speak with the node", "", "its connection is not known")
	}
	_ = p.SetDeadline(time.Now().Add(helloWait))
	_, err = io.WriteString(p, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+proto+"\r\n\r\n")
	if err != nil {
		_ = p.Close()
		return nil, nil, err
	}
	return p, rw.Reader, p.SetDeadline(time.Time{})
}

// linkProto is what a link is asked for by.
const linkProto = "weft-link"

// serveLink takes a link that another node has dialed.
func (n *network) serveLink(w http.ResponseWriter, r *http.Request) {
	id := FromPeer(r.Context())
	if n.bans.banned(id) || !n.enter() {
		panic(http.ErrAbortHandler)
	}
	defer n.tasks.Done()
	conn, br, err := upgraded(w, r, linkProto)
	if err != nil {
		n.log.Debug("a link did not begin", "node", id.Short(), "error", err)
		panic(http.ErrAbortHandler)
	}
	l := newLink(n, id, conn, br, false)
	if err := l.welcome(n.hello(), func() byeReason { return n.take(l) }); err != nil {
		n.log.Debug("a link did not begin", "node", id.Short(), "error", err)
		l.end(err)
		n.unregister(l)
		n.relays.lost(l)
		return
	}
	n.hold(l)
}

// take decides whether a link that another node has dialed is wanted: while there is
// room for it, and always by who has few; then another one is let go.
func (n *network) take(l *link) byeReason {
	many, again := len(n.all()), n.linkTo(l.peer) != nil
	switch {
	case l.theirs.Relay && n.relays.grant(l): // also of one that has started anew
		l.relay = true
	case again:
	case many >= n.cfg.most() && !l.theirs.Needy:
		return byeBusy
	}
	if no := n.register(l); no != "" {
		return no
	}
	if many >= n.cfg.most() {
		n.shed(l, many >= 3*n.cfg.most())
	}
	return ""
}

// shed lets go of one link other than keep, whose other side finds another; of one that
// has hardly begun only if young says so.
func (n *network) shed(keep *link, young bool) {
	var list []*link
	for _, l := range n.all() {
		if l != keep && !l.relay && (young || time.Since(l.since) > shedAfter) && !l.leaving.Load() {
			list = append(list, l)
		}
	}
	if len(list) > 0 {
		l := list[rand.IntN(len(list))]
		l.leaving.Store(true)
		_ = l.out.urgent(byeFrame(byeBusy)) // where it has no room the end says enough
		time.AfterFunc(time.Second, func() { l.end(byeError{byeBusy}) })
	}
}

// shedAfter is how long a link stands at least.
const shedAfter = 30 * time.Second

// dialLink makes a link to a node and returns it once it stands; it is then held
// beside. relay asks to be reached through the node, and needy that it is taken in any
// case.
func (n *network) dialLink(ctx context.Context, id weft.KeyID, relay, needy bool) (*link, error) {
	if n.bans.banned(id) {
		return nil, byeError{byeBanned}
	}
	conn, err := n.dial.connect(ctx, id)
	if err != nil {
		return nil, err
	}
	br, err := upgradeTo(ctx, conn, linkPath, "", linkProto)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	l := newLink(n, id, conn, br, true)
	h := n.hello()
	h.Relay, h.Needy = relay, h.Needy || needy
	if err := l.greet(h); err != nil {
		l.end(err)
		return nil, err
	}
	if no := n.register(l); no != "" {
		l.end(byeError{no})
		return nil, byeError{no}
	}
	n.task(func() { n.hold(l) })
	return l, nil
}
