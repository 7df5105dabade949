package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"iter"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"weft"
)

const (
	dialMost    = 10 * time.Second       // for a connection, all addresses together
	dialStagger = 250 * time.Millisecond // until the next address is tried as well
	dialsAtOnce = 4
	// A node that is away is looked for all the time at first, so that a network that
	// was cut in two is one again as soon as it can be, and later now and then.
	awayFirst = time.Hour
	tryFirst  = 500 * time.Millisecond
	tryMost   = 5 * time.Second
	tryLater  = 5 * time.Minute
	// probeEvery is how often one of those that are away is looked for though there
	// are links enough, and mixEvery how often a link to some other node is made, so
	// that no group of nodes keeps to itself.
	probeEvery   = time.Second
	refusedFirst = 5 * time.Second
	relayedFor   = 2 * time.Minute // about as long as connections are kept
	mixEvery     = time.Minute
)

// contact is what is known of the way to another node.
type contact struct {
	seen    time.Time // when it was heard of last, zero for never
	away    bool      // the last try failed
	since   time.Time // when it went away
	next    time.Time // not to be tried before
	backoff *backoff.ExponentialBackOff
	err     error
	relayed time.Time // when it was reached through a relay last
	via     weft.KeyID
	busy    bool // being dialed
	// refusals are how often it wanted no link while this node had some.
	refusals int
}

// dialer decides to whom there are links, and makes connections.
type dialer struct {
	n     *network
	woken chan struct{}

	mu       sync.Mutex
	contacts map[weft.KeyID]*contact
	running  int
}

// target is a member that may be dialed.
type target struct {
	id   weft.KeyID
	info *NodeInfo
}

func newDialer(n *network) *dialer {
	return &dialer{n: n, woken: make(chan struct{}, 1), contacts: map[weft.KeyID]*contact{}}
}

// wake has the dialer look again.
func (d *dialer) wake() {
	select {
	case d.woken <- struct{}{}:
	default:
	}
}

// of is called with mu held.
func (d *dialer) of(id weft.KeyID) *contact {
	c := d.contacts[id]
	if c == nil {
		c = &contact{}
		d.contacts[id] = c
	}
	return c
}

// saw notes that a node was there.
func (d *dialer) saw(id weft.KeyID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.of(id)
	c.seen, c.away, c.err, c.backoff, c.next = time.Now(), false, nil, nil, time.Time{}
}

// lost notes that a node cannot be reached, or went away.
func (d *dialer) lost(id weft.KeyID, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	c := d.of(id)
	if !c.away {
		c.away, c.since = true, now
	}
	c.err = err
	if c.backoff == nil {
		c.backoff = &backoff.ExponentialBackOff{InitialInterval: tryFirst, Multiplier: 2, RandomizationFactor: 0.3, MaxInterval: tryMost}
		c.backoff.Reset()
	}
	if now.Sub(c.since) > awayFirst {
		c.backoff.MaxInterval = tryLater
	}
	c.next = now.Add(c.backoff.NextBackOff())
}

// refused notes that a node is there and wants no link now. Who has some links asks
// the same one again after longer and longer.
func (d *dialer) refused(id weft.KeyID) {
	some := len(d.n.all()) >= (d.n.cfg.Links+1)/2
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.of(id)
	c.seen, c.away, c.err, c.backoff = time.Now(), false, nil, nil
	if c.refusals++; !some {
		c.refusals = 0
	}
	c.next = time.Now().Add(jitter(refusedFirst, refusedFirst) << min(c.refusals, 5))
}

func (d *dialer) state(id weft.KeyID, now time.Time) (LinkState, time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.contacts[id]
	if c == nil {
		return LinkNone, time.Time{}
	}
	var seen time.Time
	if !c.seen.IsZero() {
		seen = now.Add(-time.Since(c.seen))
	}
	switch {
	case c.away:
		return LinkAway, seen
	case !c.relayed.IsZero() && time.Since(c.relayed) < relayedFor:
		return LinkRelay, seen
	}
	return LinkNone, seen
}

// via is the node through which another one was reached last, zero for none.
func (d *dialer) via(id weft.KeyID) (via weft.KeyID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.contacts[id]; c != nil {
		via = c.via
	}
	return via
}

// run keeps links to as many nodes as are wanted, chosen at random.
func (d *dialer) run(ctx context.Context) error {
	probe, mix := time.Now(), time.Now().Add(jitter(mixEvery/2, mixEvery))
	for {
		now := time.Now()
		d.fill(now)
		if now.After(probe) {
			probe = now.Add(jitter(probeEvery/2, probeEvery))
			d.probe(now)
		}
		if now.After(mix) {
			mix = now.Add(jitter(mixEvery/2, mixEvery))
			d.mix(now)
		}
		t := time.NewTimer(probeEvery / 2)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-d.woken:
			t.Stop()
		case <-t.C:
		}
	}
}

// targets are the members that could be dialed now, in random order. Those that are
// away are among them only if asked for, and of these also who is reached through
// others alone: that one is back is for nobody else to notice.
func (d *dialer) targets(now time.Time, away bool) iter.Seq[target] {
	if d.n.host.meshID() == (weft.Hash{}) {
		return func(func(target) bool) {}
	}
	return d.among(d.n.host.members(), now, away)
}

// among are those of ids that are targets. Of a large mesh few are looked at: where who
// asks has enough.
func (d *dialer) among(ids []weft.KeyID, now time.Time, away bool) iter.Seq[target] {
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return func(yield func(target) bool) {
		for _, id := range ids {
			if d.n.linkTo(id) != nil || !d.due(id, now, away) {
				continue
			}
			info := d.n.host.info(id)
			if info == nil || len(info.Addresses) == 0 && !(away && len(info.Relays) > 0 && d.isAway(id)) {
				continue
			}
			if !yield(target{id, info}) {
				return
			}
		}
	}
}

func (d *dialer) isAway(id weft.KeyID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.contacts[id]
	return c != nil && c.away
}

// moved notes that a node says anew how it is reached: if it is away it is looked for at
// once.
func (d *dialer) moved(id weft.KeyID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.contacts[id]; c != nil && c.away {
		c.next, c.backoff = time.Time{}, nil
	}
}

func (d *dialer) due(id weft.KeyID, now time.Time, away bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.contacts[id]
	return c == nil || !c.busy && !c.next.After(now) && (away || !c.away)
}

// fill dials where links are missing: first those that are thought to be there, and
// of a node that cannot be reached from outside first those that relay.
func (d *dialer) fill(now time.Time) {
	hidden := len(d.n.cfg.Advertise) == 0
	need := d.n.cfg.Links - len(d.n.all())
	if hidden {
		need = max(need, wantRelays-d.n.relays.many())
	}
	d.mu.Lock()
	need -= d.running
	d.mu.Unlock()
	if need <= 0 {
		return
	}
	for _, want := range []struct{ relay, away bool }{{true, false}, {true, true}, {false, false}, {false, true}} {
		if !hidden && want.relay {
			continue // whether it relays is nothing to this node
		}
		for t := range d.targets(now, want.away) {
			if len(t.info.Addresses) == 0 || hidden && t.info.Relay != want.relay || d.isAway(t.id) != want.away {
				continue
			}
			if need--; need < 0 || !d.start(t) {
				return
			}
		}
	}
}

// probe looks for one of those that are away. There are few, and this comes every
// second: the members are not looked through for them.
func (d *dialer) probe(now time.Time) {
	for t := range d.among(d.allAway(), now, true) {
		d.start(t)
		return
	}
}

// allAway are the members that are away.
func (d *dialer) allAway() (ids []weft.KeyID) {
	d.mu.Lock()
	for id, c := range d.contacts {
		if c.away {
			ids = append(ids, id)
		}
	}
	d.mu.Unlock()
	return slices.DeleteFunc(ids, func(id weft.KeyID) bool { return d.n.host.belongs(id) != belongsYes })
}

// mix makes a link to another node than those that there are.
func (d *dialer) mix(now time.Time) {
	for t := range d.targets(now, false) {
		d.start(t)
		return
	}
}

// start dials a node beside, false where as many are dialed as may be.
func (d *dialer) start(t target) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.of(t.id)
	if d.running >= dialsAtOnce {
		return false
	}
	if c.busy {
		return true
	}
	c.busy = true
	lost := c.away
	d.running++
	go func() {
		defer func() {
			d.mu.Lock()
			c.busy = false
			d.running--
			d.mu.Unlock()
			d.wake()
		}()
		ctx, cancel := context.WithTimeout(d.n.life, dialMost)
		defer cancel()
		if len(t.info.Addresses) == 0 {
			d.look(ctx, t.id)
			return
		}
		// What the other one says of relaying need not be known here yet: who does not
		// relay does not grant it.
		ask := len(d.n.cfg.Advertise) == 0
		l, err := d.n.dialLink(ctx, t.id, ask, lost)
		var b byeError
		switch {
		case err == nil:
			if l.relay {
				d.n.relays.gained(l)
			}
		case errors.As(err, &b):
			d.refused(t.id)
		case d.n.life.Err() == nil:
			d.lost(t.id, err)
		}
	}()
	return true
}

// look finds out whether a node can be reached that others relay to. There is no link to
// one: it has its own.
func (d *dialer) look(ctx context.Context, id weft.KeyID) {
	c, err := d.connect(ctx, id)
	switch {
	case err == nil:
		_ = c.Close()
		d.saw(id)
	case d.n.life.Err() == nil:
		d.lost(id, err)
	}
}

// connect makes a connection to a member, directly or through a relay.
func (d *dialer) connect(ctx context.Context, id weft.KeyID) (*peerConn, error) {
	info := d.n.host.info(id)
	if info == nil {
		return nil, weft.Errorf(weft.KindUnavailable, "reach the node", id.Short(), "nobody has said yet where it is")
	}
	conn, err := d.direct(ctx, id, info.Addresses, d.n.secure)
	if err == nil {
		return conn, nil
	}
	for _, via := range info.Relays[:min(len(info.Relays), maxRelaysTried)] {
		var e error
		if conn, e = d.n.relays.call(ctx, via, id); e == nil {
			d.mu.Lock()
			c := d.of(id)
			c.relayed, c.via = time.Now(), via
			d.mu.Unlock()
			return conn, nil
		}
		err = errors.Join(err, e)
	}
	return nil, weft.Errorf(weft.KindUnavailable, "reach the node", id.Short(), "%w", err)
}

// addressesTried is how many of a node's addresses are tried, and maxRelaysTried how
// many relays.
const (
	addressesTried = 8
	maxRelaysTried = 3
)

// securing makes sure that a connection is one to the node; it closes what is not.
type securing func(ctx context.Context, conn net.Conn, id weft.KeyID) (*peerConn, error)

// direct makes a connection to a node at the first of its addresses that answers.
func (d *dialer) direct(ctx context.Context, id weft.KeyID, addresses []string, secure securing) (*peerConn, error) {
	if len(addresses) == 0 {
		return nil, errors.New("it gives no address")
	}
	ctx, cancel := context.WithTimeout(ctx, dialMost)
	defer cancel()
	addresses = addresses[:min(len(addresses), addressesTried)]
	type result struct {
		c   *peerConn
		err error
	}
	results := make(chan result, len(addresses))
	started, ended := 0, 0
	next := time.NewTimer(dialStagger)
	defer next.Stop()
	try := func() {
		if started == len(addresses) {
			return
		}
		addr := addresses[started]
		started++
		go func() {
			c, err := d.at(ctx, id, addr, secure)
			results <- result{c, err}
		}()
		next.Reset(dialStagger)
	}
	var errs []error
	for try(); ended < len(addresses); {
		select {
		case <-next.C:
			try()
		case r := <-results:
			ended++
			if r.err == nil {
				cancel()
				go func(left int) { // those that come too late are closed
					for range left {
						if r := <-results; r.c != nil {
							_ = r.c.Close()
						}
					}
				}(started - ended)
				return r.c, nil
			}
			errs = append(errs, r.err)
			try()
		}
	}
	return nil, errors.Join(errs...)
}

// at makes a connection to a node at one address.
func (d *dialer) at(ctx context.Context, id weft.KeyID, addr string, secure securing) (*peerConn, error) {
	conn, err := d.n.transport.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return secure(ctx, conn, id)
}

// secure makes sure that a connection is one to the node.
func (n *network) secure(ctx context.Context, conn net.Conn, id weft.KeyID) (*peerConn, error) {
	cert, err := n.cert()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return n.secureAs(ctx, conn, id, cert)
}

// secureAs is secure with the certificate to show.
func (n *network) secureAs(ctx context.Context, conn net.Conn, id weft.KeyID, cert tls.Certificate) (*peerConn, error) {
	raw := &gathered{Conn: counted{conn, &n.traffic}}
	tc := tls.Client(raw, clientTLS(cert, id, n.host.learn))
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	p, err := n.conns.take(tc, raw, id, n.host.belongs(id) == belongsYes, maxConns)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	if n.host.belongs(id) == belongsNoMore {
		p.cut()
		return nil, weft.Errorf(weft.KindDenied, "reach the node", id.Short(), "it is no member of this mesh any more")
	}
	return p, nil
}
