package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"weft"
	"weft/peer"
	"weft/run"
	"weft/sign"
)

const (
	meshNodes = 100
	// idleFor is how long nodes with nothing to say are listened to.
	idleFor = 30 * time.Second
	// meshMost is how long a card is waited for.
	meshMost = time.Minute
)

// benchMesh measures how long a new card takes to all of 100 nodes, in turn with the
// same bytes over memberlist, and what nodes say that have nothing to say. All nodes
// are in this process and speak over the loopback.
func benchMesh(ctx context.Context, o options, r *report) error {
	dir := filepath.Join(o.dir, "mesh")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	g := run.NewGroup(ctx)
	m := &meshBench{}
	err := m.measure(g, dir, o, r)
	g.Stop()
	for _, n := range m.nodes {
		_ = n.listener.Close()
	}
	if e := g.Wait(); err == nil {
		err = e
	}
	for _, n := range m.nodes {
		if e := n.mesh.Close(); err == nil {
			err = e
		}
	}
	for _, n := range m.others {
		_ = n.list.Shutdown()
	}
	return err
}

type meshBench struct {
	nodes  []*meshNode
	others []*otherNode
	seen   arrivals
	their  arrivals
}

func (m *meshBench) measure(g *run.Group, dir string, o options, r *report) error {
	if err := m.start(g, dir); err != nil {
		return err
	}
	if err := m.settle(); err != nil {
		return err
	}
	if err := m.idle(g.Context(), r); err != nil {
		return err
	}
	if err := m.startOthers(); err != nil {
		return err
	}
	return m.spread(g.Context(), o, r)
}

// arrivals waits until something is at so many nodes.
type arrivals struct {
	mu      sync.Mutex
	waiting map[string]*arrival
}

type arrival struct {
	left  int
	nodes map[int]bool
	done  chan time.Time
}

func (a *arrivals) expect(what string, nodes int) *arrival {
	x := &arrival{left: nodes, nodes: map[int]bool{}, done: make(chan time.Time, 1)}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[string]*arrival{}
	}
	a.waiting[what] = x
	return x
}

func (a *arrivals) at(what string, node int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := a.waiting[what]
	if x == nil || x.nodes[node] {
		return
	}
	x.nodes[node] = true
	if x.left--; x.left == 0 {
		x.done <- time.Now()
		delete(a.waiting, what)
	}
}

func (x *arrival) wait(begin time.Time) (time.Duration, error) {
	select {
	case t := <-x.done:
		return t.Sub(begin), nil
	case <-time.After(meshMost):
		return 0, fmt.Errorf("something is not everywhere after %s", meshMost)
	}
}

// meshNode is one node of the mesh.
type meshNode struct {
	mesh     *peer.Mesh
	listener net.Listener
}

func (m *meshBench) start(g *run.Group, dir string) error {
	for i := range meshNodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		name := fmt.Sprint("n", i)
		x, err := peer.New(peer.Config{
			Dir: filepath.Join(dir, name), Name: name, Version: "bench", Advertise: []string{l.Addr().String()},
			Env: run.Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: run.Wall{}},
		})
		if err != nil {
			return err
		}
		m.nodes = append(m.nodes, &meshNode{x, l})
		x.Set().OnNew(func(r *sign.Record) { m.seen.at(r.Key, i) })
		if err := x.Open(g.Context()); err != nil {
			return err
		}
		g.Go(name, x.Run)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go x.Accept(c)
			}
		}()
	}
	first := m.nodes[0].mesh
	if err := first.Found(g.Context(), peer.Founding{Name: "bench", Domains: []string{"bench"}}); err != nil {
		return err
	}
	for _, n := range m.nodes[1:] {
		token, err := first.Invite(g.Context(), peer.Invitation{Domain: "bench", Expires: time.Hour})
		if err != nil {
			return err
		}
		if err := n.mesh.Join(g.Context(), token); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until all nodes hold the same and those with too many links have let
// go of some.
func (m *meshBench) settle() error {
	for begin := time.Now(); ; time.Sleep(500 * time.Millisecond) {
		most, root := 0, m.nodes[0].mesh.Set().Sums(0, 0)[0]
		same := true
		for _, n := range m.nodes {
			same = same && n.mesh.Set().Sums(0, 0)[0] == root
			most = max(most, n.links())
		}
		if same && most <= 9 {
			return nil
		}
		if time.Since(begin) > 2*meshMost {
			return fmt.Errorf("after %s the nodes hold the same: %v, and one has %d links", 2*meshMost, same, most)
		}
	}
}

// links are how many a node has.
func (n *meshNode) links() (many int) {
	for _, x := range n.mesh.Members() {
		if x.Link == peer.LinkDirect {
			many++
		}
	}
	return many
}

func (m *meshBench) bytes() (all int64) {
	for _, n := range m.nodes {
		all += n.mesh.Traffic().In() + n.mesh.Traffic().Out()
	}
	return all
}

func (m *meshBench) idle(ctx context.Context, r *report) error {
	before, begin := m.bytes(), time.Now()
	select {
	case <-time.After(idleFor):
	case <-ctx.Done():
		return ctx.Err()
	}
	rate := float64(m.bytes()-before) / time.Since(begin).Seconds() / meshNodes
	links := 0
	for _, n := range m.nodes {
		links += n.links()
	}
	r.add(line{
		what: fmt.Sprintf("%d nodes with nothing to say, for %s", meshNodes, idleFor), weft: fmt.Sprintf("%.0f bytes/s a node, in and out, over %.1f links", rate, float64(links)/meshNodes),
		yard: "—", figure: fmt.Sprintf("%.2f KB/s a node", rate/1024), asked: "≤ 1 KB/s", kept: rate <= 1024, measured: true,
	})
	return nil
}

// otherNode is a node of memberlist that passes on what it is told, as serf's do.
type otherNode struct {
	list  *memberlist.Memberlist
	queue *memberlist.TransmitLimitedQueue
	seen  sync.Map
	self  int
	all   *arrivals
}

func (n *otherNode) NodeMeta(int) []byte           { return nil }
func (n *otherNode) LocalState(bool) []byte        { return nil }
func (n *otherNode) MergeRemoteState([]byte, bool) {}
func (n *otherNode) GetBroadcasts(overhead, most int) [][]byte {
	return n.queue.GetBroadcasts(overhead, most)
}
func (n *otherNode) NotifyMsg(b []byte) { n.take(append([]byte(nil), b...)) }

// told is a message that waits to be passed on.
type told []byte

func (told) Invalidates(memberlist.Broadcast) bool { return false }
func (b told) Message() []byte                     { return b }
func (told) Finished()                             {}

func (n *otherNode) take(b []byte) {
	d := sign.Digest(b)
	if _, known := n.seen.LoadOrStore(d, true); known {
		return
	}
	n.all.at(string(d[:]), n.self)
	n.queue.QueueBroadcast(told(b))
}

func (m *meshBench) startOthers() error {
	var many atomic.Int64
	for i := range meshNodes {
		n := &otherNode{self: i, all: &m.their}
		n.queue = &memberlist.TransmitLimitedQueue{NumNodes: func() int { return int(max(many.Load(), 1)) }, RetransmitMult: memberlist.DefaultLANConfig().RetransmitMult}
		c := memberlist.DefaultLANConfig()
		c.Name, c.BindAddr, c.BindPort, c.AdvertisePort, c.Delegate = fmt.Sprint("n", i), "127.0.0.1", 0, 0, n
		c.Logger = log.New(io.Discard, "", 0)
		l, err := memberlist.Create(c)
		if err != nil {
			return err
		}
		n.list = l
		m.others = append(m.others, n)
		if i > 0 {
			if _, err := l.Join([]string{m.others[0].list.LocalNode().Address()}); err != nil {
				return err
			}
		}
		many.Add(1)
	}
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		all := true
		for _, n := range m.others {
			all = all && n.list.NumMembers() == meshNodes
		}
		if all {
			return nil
		}
		if time.Since(begin) > 2*meshMost {
			return fmt.Errorf("memberlist's nodes do not know each other after %s", 2*meshMost)
		}
	}
}

// spread publishes cards one after the other, each tenth over memberlist as well.
func (m *meshBench) spread(ctx context.Context, o options, r *report) error {
	var ours, theirs sample
	size := 0
	for i := range 40 * o.rounds {
		d, raw, err := m.publish(ctx, i)
		if err != nil {
			return err
		}
		ours, size = append(ours, d.Seconds()), len(raw)
		if i%10 != 0 {
			continue
		}
		if d, err = m.tell(raw); err != nil {
			return err
		}
		theirs = append(theirs, d.Seconds())
	}
	p99, x := ours.quantile(0.99), theirs.median()/ours.median()
	r.add(line{
		what: fmt.Sprintf("a new card of %d bytes on all of %d nodes, %d times", size, meshNodes, len(ours)),
		weft: fmt.Sprintf("p50 %s, p99 %s", short(ours.median()), short(p99)), yard: "—",
		figure: short(p99), asked: "p99 ≤ 100 ms", kept: p99 <= 0.1, measured: true,
	})
	r.add(line{
		what: "the same bytes over memberlist with its LAN defaults", weft: short(ours.median()),
		yard:   fmt.Sprintf("memberlist, %d times: p50 %s, most %s", len(theirs), short(theirs.median()), short(theirs.quantile(1))),
		figure: fmt.Sprintf("%.1f × faster", x), asked: "≥ 5 ×", kept: x >= 5, measured: true,
	})
	return nil
}

func (m *meshBench) publish(ctx context.Context, i int) (time.Duration, []byte, error) {
	key := fmt.Sprint("bench.p", i)
	name, err := weft.ParseName(key)
	if err != nil {
		return 0, nil, err
	}
	n := m.nodes[rand.IntN(len(m.nodes))].mesh
	card := weft.Card{
		ID: "id-" + key, Product: name, Origin: n.Self(), Life: weft.LifeActive, Purpose: "A product that the benchmark makes up.", Owner: "bench",
		Tables: []weft.CardTable{{Name: name.Product, Port: "out", Key: []string{"id"}, Columns: []weft.CardColumn{
			{Name: "id", Type: "BIGINT", Required: true}, {Name: "amount", Type: "DECIMAL(18,2)"}, {Name: "day", Type: "DATE"},
		}}},
	}
	x := m.seen.expect(key, meshNodes)
	begin := time.Now()
	rec, err := n.Publish(ctx, peer.KindCard, key, card)
	if err != nil {
		return 0, nil, err
	}
	d, err := x.wait(begin)
	return d, rec.Raw(), err
}

func (m *meshBench) tell(raw []byte) (time.Duration, error) {
	h := sign.Digest(raw)
	x := m.their.expect(string(h[:]), meshNodes)
	begin := time.Now()
	m.others[rand.IntN(len(m.others))].take(raw)
	return x.wait(begin)
}
