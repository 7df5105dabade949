package node

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"weft"
	"weft/catalog"
	"weft/peer"
	"weft/serve"
	"weft/sign"
)

// circle is the node's part in a mesh, and the catalogue of what the mesh has.
type circle struct {
	mu    sync.Mutex // guards what follows
	at    time.Time  // when it was looked at
	nodes map[weft.KeyID]peer.Member
	list  []peer.Member
	names map[weft.KeyID]string // how each called itself, those too that are gone
}

// circleFor is how long a look at the members holds: searches ask for every product.
const circleFor = 250 * time.Millisecond

// openMesh opens the catalogue and the node's part in a mesh. A node that is in none
// has a catalogue of its own products.
func (n *Node) openMesh(ctx context.Context) (err error) {
	n.opens("the mesh is opened")
	m, err := peer.New(peer.Config{
		Dir: n.cfg.path("mesh"), Name: n.cfg.Name, Version: n.cfg.Version, Advertise: n.advertise(), Relay: n.cfg.Relay, Env: n.cfg.RunEnv,
	})
	if err != nil {
		return err
	}
	n.mesh = m
	var both errgroup.Group // with a large mesh either takes half a second
	both.Go(func() (err error) {
		n.cat, err = catalog.Open(ctx, catalog.Config{Dir: n.cfg.path("mesh", "catalog"), Env: n.cfg.RunEnv, Reach: n})
		return err
	})
	both.Go(func() error { return m.Open(ctx) })
	if err := both.Wait(); err != nil {
		return err
	}
	m.Set().OnStand(n.cat.Stand)
	m.Set().OnStand(n.stands)
	n.cat.SyncSet(m.Set())
	n.far = faraway{n}
	n.peerRoutes(m.Handle, peer.FromPeer)
	n.feedRoutes(m.Handle, peer.FromPeer)
	n.partRoutes(m.Handle, peer.FromPeer)
	n.cutRoutes(m.Handle, peer.FromPeer)
	n.peers.Store(m)
	if n.cards.sink == nil {
		n.cards.sink = &meshSink{mesh: n.mesh, cat: n.cat, log: n.env.Log}
	}
	return nil
}

// closeMesh gives both back.
func (n *Node) closeMesh() (errs []error) {
	if n.mesh != nil {
		errs = append(errs, n.mesh.Close())
	}
	if n.cat != nil {
		if err := n.cat.Close(); err != nil { // it is made again at the next start
			n.env.Log.Warn("write the catalogue; the next start makes it again", "error", err)
		}
	}
	return errs
}

// stands notes that what a product's name stands for is another from now on; the
// catalogue knows already.
func (n *Node) stands(kind, key string, _ *sign.Record) {
	name, err := weft.ParseName(key)
	if err != nil {
		return
	}
	n.moved.add(name)
	if kind == peer.KindCard {
		n.derivedAnew(name)
	}
}

// acceptPeer takes another node's connection from the port of the API.
func (n *Node) acceptPeer(c net.Conn) {
	m := n.peers.Load()
	if m == nil { // the node is still opening
		_ = c.Close()
		return
	}
	m.Accept(c)
}

// advertise is where other nodes are told to reach this one: as configured, or where
// it listens.
func (n *Node) advertise() []string {
	switch {
	case n.cfg.hidden():
		return nil
	case len(n.cfg.Advertise) > 0:
		return n.cfg.Advertise
	}
	host, port, err := net.SplitHostPort(n.server.Addr())
	if err != nil {
		return nil
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
		return []string{n.server.Addr()}
	}
	var out []string
	for _, h := range n.cfg.Hosts {
		out = append(out, net.JoinHostPort(h, port))
	}
	if len(out) > 0 {
		return out
	}
	addrs, _ := net.InterfaceAddrs() // none known: none said
	for _, a := range addrs {
		if p, ok := a.(*net.IPNet); ok && p.IP.IsGlobalUnicast() && len(out) < 8 {
			out = append(out, net.JoinHostPort(p.IP.String(), port))
		}
	}
	return out
}

// joined reports whether the node is in a mesh.
func (n *Node) joined() bool { return n.mesh != nil && n.mesh.Joined() }

// isSelf reports whether a key is this node's; that of a node without a mesh is none.
func (n *Node) isSelf(k weft.KeyID) bool { return k.IsZero() || k == n.mesh.Self() }

// resolve says why a name resolves to nothing.
func (n *Node) resolve(name weft.Name) error {
	if !n.joined() {
		return nil
	}
	return n.mesh.Resolve(name)
}

// members are the nodes of the mesh, as of a moment ago.
func (n *Node) members() ([]peer.Member, map[weft.KeyID]peer.Member) {
	n.circle.mu.Lock()
	defer n.circle.mu.Unlock()
	now := n.env.Clock.Now()
	if n.circle.nodes == nil || now.Sub(n.circle.at) > circleFor || now.Before(n.circle.at) {
		n.circle.at, n.circle.list, n.circle.nodes = now, n.mesh.Members(), map[weft.KeyID]peer.Member{}
		if n.circle.names == nil {
			n.circle.names = map[weft.KeyID]string{}
		}
		for i := range n.circle.list {
			m := &n.circle.list[i]
			if m.Name == "" {
				m.Name = n.circle.names[m.ID] // what a revoked node said is not kept
			}
			n.circle.names[m.ID] = m.Name
			n.circle.nodes[m.ID] = *m
		}
	}
	return n.circle.list, n.circle.nodes
}

// circleChanged forgets the last look at the members.
func (n *Node) circleChanged() {
	n.circle.mu.Lock()
	defer n.circle.mu.Unlock()
	n.circle.nodes = nil
}

// Reached reports whether a node can be reached, as far as is known, and when it was
// heard last.
func (n *Node) Reached(k weft.KeyID) (ok bool, last time.Time) {
	link, last := n.linkTo(k)
	return link != serve.LinkAway && link != "", last
}

// linkTo says how a node is reached, and when it was heard last; empty for one that
// is no member.
func (n *Node) linkTo(k weft.KeyID) (serve.Link, time.Time) {
	if !n.joined() || n.isSelf(k) {
		return serve.LinkSelf, n.env.Clock.Now()
	}
	_, nodes := n.members()
	m, ok := nodes[k]
	if !ok || m.Revoked || !m.Rotated.IsZero() {
		return "", m.LastSeen
	}
	return linkOf(m), m.LastSeen
}

// nameOf is how a node calls itself, empty where that is not known.
func (n *Node) nameOf(k weft.KeyID) string {
	if !n.joined() {
		return ""
	}
	_, nodes := n.members()
	return nodes[k].Name
}

// addressOf is the first address at which a node says that it is reached.
func (n *Node) addressOf(k weft.KeyID) string {
	if !n.joined() {
		return ""
	}
	_, nodes := n.members()
	if as := nodes[k].Addresses; len(as) > 0 {
		return as[0]
	}
	return ""
}

// mayHold says whether the node may hold products of a domain: the configuration must
// let it, and in a mesh it must be admitted to the domain.
func (n *Node) mayHold(domain string) error {
	if err := n.conf().holds(domain); err != nil || !n.joined() {
		return err
	}
	if mine := n.mesh.Domains(); !slices.Contains(mine, domain) {
		return weft.Errorf(weft.KindDenied, "take the product", domain, "this node is not admitted to the domain in its mesh").
			WithHint("a node that has the domain's key lets another in with weft invite --domain %s; weft mesh says which", domain)
	}
	return nil
}
