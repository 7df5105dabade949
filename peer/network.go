package peer

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"weft"
	"weft/run"
	"weft/sign"
)

// belonging is whether a key is of the mesh.
type belonging int

const (
	belongsNot    belonging = iota // nobody knows it
	belongsYes                     // it is a member's
	belongsNoMore                  // it was revoked, or given up for another
)

// host is what the network asks of the rest of a Mesh. All may be called from many
// goroutines.
type host interface {
	nodeKey() sign.Key // zero before there is one
	meshID() weft.Hash // zero while in no mesh
	belongs(node weft.KeyID) belonging
	// admitting says whether an invitation of this node is open: only then may
	// unknown keys speak, and then they may join and nothing else.
	admitting() bool
	admit(ctx context.Context, node weft.KeyID, request []byte) (answer []byte, err error)
	// members are the keys of all other members, and info is what one says of
	// itself, nil where that is not known.
	members() []weft.KeyID
	info(node weft.KeyID) *NodeInfo
	// changes are the records by which the node took its key, to be shown; learn takes
	// those that another node shows.
	changes(key sign.Key) [][]byte
	learn(node weft.KeyID, changes [][]byte)
	// announce publishes through whom this node is reached, if that has changed.
	announce(ctx context.Context, relays []weft.KeyID) error
}

// netConfig is what the network is told once.
type netConfig struct {
	Set       *Set
	Env       run.Env
	Transport Transport
	Program   string   // its version
	Advertise []string // where this node can be reached; none where it cannot
	Relay     bool     // let others be reached through this node
	Links     int      // to keep: 6
}

// most is how many links are kept when others have dialed, too.
func (c netConfig) most() int { return c.Links + c.Links/3 }

// network is the half of a Mesh that speaks with other nodes.
type network struct {
	host      host
	set       *Set
	transport Transport
	log       *slog.Logger
	cfg       netConfig
	born      time.Time
	session   string
	traffic   Traffic
	stats     stats

	life context.Context // of connections, until close
	kill context.CancelFunc

	conns    *conns
	incoming *incoming
	mux      *http.ServeMux
	client   *http.Transport
	dial     *dialer
	relays   *relays
	bans     bans
	quotas   quotas
	seen     *recent // digests of records that were given to the set
	vain     *recent // of records that are of no use to ask for

	catching sync.Mutex // one large pull at a time

	mu     sync.Mutex
	byPeer map[weft.KeyID]*link
	list   atomic.Pointer[[]*link] // those of byPeer
	key    weft.KeyID              // of shown
	shown  tls.Certificate
	closed bool // no task begins any more
	tasks  sync.WaitGroup
}

// stats are counted for metrics and tests.
type stats struct {
	sent, came, repeated, dropped, throttled, refused, pulled, behind, turnedAway atomic.Int64
}

func newNetwork(h host, cfg netConfig) *network {
	if cfg.Transport == nil {
		cfg.Transport = TCP{}
	}
	if cfg.Links <= 0 {
		cfg.Links = 6
	}
	var session [8]byte
	_, _ = rand.Read(session[:]) // never fails
	n := &network{
		host: h, set: cfg.Set, transport: cfg.Transport, cfg: cfg, log: cfg.Env.Log, born: time.Now(),
		session: hex.EncodeToString(session[:]), conns: newConns(), incoming: newIncoming(), mux: http.NewServeMux(),
		seen: newRecent(nodeRecent), vain: newRecent(nodeRecent), byPeer: map[weft.KeyID]*link{},
	}
	n.life, n.kill = context.WithCancel(context.Background())
	n.list.Store(&[]*link{})
	n.dial = newDialer(n)
	n.relays = newRelays(n)
	n.client = n.newTransport()
	n.set.spread = n.spread
	n.measure(cfg.Env.Metrics)
	n.mux.HandleFunc("POST "+linkPath, n.serveLink)
	n.mux.HandleFunc("POST "+joinPath, n.serveJoin)
	n.mux.HandleFunc("POST "+callPath, n.relays.serveCall)
	n.mux.HandleFunc("POST "+answerPath, n.relays.serveAnswer)
	return n
}

var errClosed = errors.New("the node ends")

// faultf is a fault of another node, for which it is cut off.
func faultf(format string, args ...any) error {
	return weft.Errorf(weft.KindInvalid, "read the link", "", format, args...)
}

// cert is the certificate of the node's key of now.
func (n *network) cert() (tls.Certificate, error) {
	key := n.host.nodeKey()
	if key.IsZero() {
		return tls.Certificate{}, weft.Errorf(weft.KindConflict, "speak with another node", "", "this node is in no mesh")
	}
	n.mu.Lock()
	fresh := n.key == key.ID()
	n.mu.Unlock()
	var changes [][]byte
	if !fresh {
		changes = n.host.changes(key)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.key != key.ID() {
		c, err := certificate(key, changes)
		if err != nil {
			return tls.Certificate{}, err
		}
		n.key, n.shown = key.ID(), c
	}
	return n.shown, nil
}

// run speaks with other nodes until ctx ends.
func (n *network) run(ctx context.Context) error {
	srv := &http.Server{
		Handler: http.HandlerFunc(n.serve), ReadHeaderTimeout: handshakeWait, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return n.life },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			p, _ := c.(*peerConn)
			return context.WithValue(ctx, connKey{}, p)
		},
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	g := run.NewGroup(ctx)
	g.Go("serve nodes", func(context.Context) error {
		if err := srv.Serve(n.incoming); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	g.Go("dial", n.dial.run)
	g.Go("watch links", n.watch)
	g.Go("compare", n.compare)
	<-g.Context().Done()
	n.close()
	_ = srv.Close()
	return g.Wait()
}

// close cuts all links and connections.
func (n *network) close() {
	for _, l := range n.all() {
		l.end(errClosed)
	}
	n.kill()
	_ = n.incoming.Close()
	n.conns.close()
	n.client.CloseIdleConnections()
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.tasks.Wait()
}

// all are the links that stand. The slice must not be changed.
func (n *network) all() []*link { return *n.list.Load() }

// relist is called with mu held after byPeer has changed.
func (n *network) relist() {
	list := make([]*link, 0, len(n.byPeer))
	for _, l := range n.byPeer {
		list = append(list, l)
	}
	n.list.Store(&list)
}

func (n *network) linkTo(id weft.KeyID) *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.byPeer[id]
}

// register makes l the link to its node, or says why not. Of two that were dialed at
// once from both sides the one stays whose dialer has the smaller key, so that both
// sides keep the same.
func (n *network) register(l *link) byeReason {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.life.Done():
		return byeClosing
	default:
	}
	if old := n.byPeer[l.peer]; old != nil {
		if old.theirs.Session == l.theirs.Session && !n.prefers(l, old) {
			return byeLinked
		}
		go old.end(byeError{byeLinked})
	}
	n.byPeer[l.peer] = l
	n.relist()
	return ""
}

func (n *network) prefers(l, old *link) bool {
	select {
	case <-old.ended:
		return true
	default:
	}
	self := n.host.nodeKey().ID()
	smaller := string(self[:]) < string(l.peer[:])
	return l.dialed != old.dialed && l.dialed == smaller
}

func (n *network) unregister(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byPeer[l.peer] == l {
		delete(n.byPeer, l.peer)
		n.relist()
	}
}

// hello is what this node says first on a link.
func (n *network) hello() hello {
	return hello{
		Oldest: oldestLink, Newest: newestLink, Mesh: n.host.meshID(), Session: n.session, Program: n.cfg.Program,
		Needy: len(n.all()) < (n.cfg.Links+1)/2,
	}
}

// hold runs a link that stands until it ends.
func (n *network) hold(l *link) {
	n.dial.saw(l.peer)
	if l.dialed {
		n.pullSoon(l)
	}
	err := l.run()
	n.unregister(l)
	n.relays.lost(l)
	var b byeError
	switch {
	case errors.As(err, &b) && b.reason == byeBusy, l.leaving.Load():
		n.dial.refused(l.peer)
	case errors.As(err, &b), errors.Is(err, errClosed), n.linkTo(l.peer) != nil:
	case weft.KindOf(err) == weft.KindInvalid: // it was punished
	default:
		n.log.Debug("a link ended", "node", l.peer.Short(), "error", err)
		n.dial.lost(l.peer, err)
	}
	n.dial.wake()
}

// punish cuts a node off for a while, and says so once for each reason.
func (n *network) punish(id weft.KeyID, err error) {
	if n.bans.ban(id, err.Error()) {
		n.log.Warn("a node of the mesh misbehaves and is cut off for a while", "node", id.Short(), "error", err)
	}
	n.conns.cutIf(func(p *peerConn) bool { return p.id == id })
}

// recheck cuts whoever was a member and is none any more.
func (n *network) recheck() {
	n.conns.cutIf(func(p *peerConn) bool { return p.member && n.host.belongs(p.id) != belongsYes })
}

// enter counts a task that close waits for, false where it is too late.
func (n *network) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.tasks.Add(1)
	return true
}

// task runs f beside; close waits for it.
func (n *network) task(f func()) {
	if n.enter() {
		go func() {
			defer n.tasks.Done()
			f()
		}()
	}
}

// pullSoon pulls from l beside.
func (n *network) pullSoon(l *link) { n.task(func() { n.pull(l) }) }

func (n *network) pull(l *link) {
	err := n.sync(n.life, l)
	if err == nil {
		return
	}
	if weft.KindOf(err) == weft.KindInvalid {
		l.end(err)
	}
	n.log.Debug("a comparison did not end", "node", l.peer.Short(), "error", err)
}

// behind is called when the other side says that it has what is missing here. Who
// says so all the time is believed once a second.
func (n *network) behind(l *link) {
	if !l.waits.CompareAndSwap(false, true) {
		return
	}
	n.task(func() {
		err := run.Pause(n.life, time.Until(l.pulled().Add(time.Second)))
		l.waits.Store(false)
		if err == nil {
			n.pull(l)
		}
	})
}

// comparePeriod is how often a node compares its records with those of another.
const comparePeriod = 10 * time.Second

// compare holds the records against those of one random link after the other.
func (n *network) compare(ctx context.Context) error {
	for {
		if err := run.Pause(ctx, jitter(comparePeriod*9/10, comparePeriod/5)); err != nil {
			return err
		}
		if links := n.all(); len(links) > 0 {
			n.pullSoon(links[mathrand.IntN(len(links))])
		}
	}
}

// watch asks silent links whether they are there, cuts those that are not, and lets go
// of one after the other where there are too many.
func (n *network) watch(ctx context.Context) error {
	for {
		if err := run.Pause(ctx, time.Second); err != nil {
			return err
		}
		links := n.all()
		if len(links) > n.cfg.most() {
			n.shed(nil, false)
		}
		for _, l := range links {
			switch s := l.silence(); {
			case s > silentMost:
				l.end(weft.Errorf(weft.KindUnavailable, "speak with the node", l.peer.Short(), "nothing came for %s", s.Round(time.Second)))
			case s > pingAfter && int(s/time.Second)%5 == 0:
				_ = l.out.urgent(frame{framePing, nil}) // full only where nothing goes out either
			}
		}
	}
}

func jitter(least, more time.Duration) time.Duration {
	return least + time.Duration(mathrand.Int64N(int64(more)))
}

// state is how there is a link to a node, and when it was heard of last.
func (n *network) state(id weft.KeyID) (LinkState, time.Time) {
	now := n.cfg.Env.Clock.Now()
	if l := n.linkTo(id); l != nil {
		return LinkDirect, now.Add(-l.silence())
	}
	return n.dial.state(id, now)
}
