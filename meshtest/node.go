package meshtest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/peer"
	"weft/run"
)

// Node is a node of a mesh in the test's process.
type Node struct {
	*peer.Mesh
	Host *Host // nil over the machine's own network
	Log  *Log

	addr string
	stop context.CancelFunc
	done chan error
}

// Options say how a node is.
type Options struct {
	Dir      string        // of its mesh folder; empty keeps everything in memory
	Ahead    time.Duration // of its clock
	Hidden   bool          // it cannot be reached from outside
	Relay    bool          // it lets others be reached through it
	Links    int
	Verified *peer.Verified
}

// clock is one that is wrong by as much as ahead says.
type clock struct{ ahead time.Duration }

func (c clock) Now() time.Time { return time.Now().UTC().Add(c.ahead) }

// Start runs a node on a host of the network until the test ends. It is in no mesh.
func (n *Network) Start(t testing.TB, name string, o Options) *Node {
	t.Helper()
	h := n.Host(name)
	node := start(t, name, h, h.Addr(), o)
	node.Host = h
	if !o.Hidden {
		h.Listen(node.Accept)
	}
	return node
}

// StartTCP runs a node on a port of the machine until the test ends.
func StartTCP(t testing.TB, name string, o Options) *Node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	node := start(t, name, nil, l.Addr().String(), o)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go node.Accept(c)
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return node
}

func start(t testing.TB, name string, transport peer.Transport, addr string, o Options) *Node {
	t.Helper()
	log := &Log{}
	cfg := peer.Config{
		Dir: o.Dir, Name: name, Version: "test", Relay: o.Relay, Transport: transport, Links: o.Links, Verified: o.Verified,
		Env: run.Env{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", name), Clock: clock{o.Ahead}},
	}
	if !o.Hidden {
		cfg.Advertise = []string{addr}
	}
	m, err := peer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	node := &Node{Mesh: m, Log: log, addr: addr, stop: cancel, done: make(chan error, 1)}
	go func() { node.done <- m.Run(ctx) }()
	t.Cleanup(func() {
		if err := node.End(); err != nil {
			t.Errorf("node %s: %v", name, err)
		}
	})
	return node
}

// End ends the node and closes it. It may be called more than once.
func (n *Node) End() error {
	if n.stop == nil {
		return nil
	}
	n.stop()
	n.stop = nil
	err := <-n.done
	if e := n.Close(); err == nil {
		err = e
	}
	return err
}

// Kill ends the node as the end of its machine does: nobody hears of it.
func (n *Node) Kill() error {
	if n.Host != nil {
		n.Host.Kill()
	}
	return n.End()
}

// Found has the first node found a mesh with a domain, and the others enter it by
// invitations of the first, into the same domain.
func Found(t testing.TB, domain string, nodes ...*Node) {
	t.Helper()
	if err := nodes[0].Found(t.Context(), peer.Founding{Name: "test", Domains: []string{domain}}); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		Join(t, nodes[0], n, domain)
	}
}

// Join has a node enter the mesh by an invitation of another.
func Join(t testing.TB, inviter, n *Node, domain string) {
	t.Helper()
	token, err := inviter.Invite(t.Context(), peer.Invitation{Domain: domain, Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Join(t.Context(), token); err != nil {
		t.Fatal(err)
	}
}

// Card publishes a card of a product by the node; text makes two of them different.
func (n *Node) Card(t testing.TB, product, text string) {
	t.Helper()
	name, err := weft.ParseName(product)
	if err != nil {
		t.Fatal(err)
	}
	c := weft.Card{
		ID: "id-" + product, Product: name, Origin: n.Self(), Life: weft.LifeActive, Purpose: text,
		Tables: []weft.CardTable{{Name: name.Product, Port: "out", Columns: []weft.CardColumn{{Name: "id", Type: "BIGINT"}}}},
	}
	if _, err := n.Publish(t.Context(), peer.KindCard, product, c); err != nil {
		t.Fatal(err)
	}
}

// Purpose is what the node knows of a product, empty where it knows none.
func (n *Node) Purpose(product string) string {
	r := n.Set().Get(peer.KindCard, product)
	if r == nil {
		return ""
	}
	var c weft.Card
	if err := r.Decode(&c); err != nil {
		return err.Error()
	}
	return c.Purpose
}

// Root is the sum of all that the node holds.
func (n *Node) Root() peer.Sum { return n.Set().Sums(0, 0)[0] }

// Same reports whether all nodes hold the same.
func Same(nodes ...*Node) bool {
	for _, n := range nodes[1:] {
		if n.Root() != nodes[0].Root() {
			return false
		}
	}
	return true
}

// Within waits until yes says so and returns how long it took; it fails the test where
// that does not come to pass within most. It looks every step.
func Within(t testing.TB, most, step time.Duration, what string, yes func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !yes() {
		if time.Since(begin) > most {
			t.Fatalf("%s: not within %s", what, most)
		}
		time.Sleep(step)
	}
	return time.Since(begin)
}

// Log is what a node logs.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write is of io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String is all that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Count is how many lines have the text.
func (l *Log) Count(format string, args ...any) int {
	text := []byte(fmt.Sprintf(format, args...))
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range bytes.Lines(l.b.Bytes()) {
		if bytes.Contains(line, text) {
			n++
		}
	}
	return n
}

// Says reports whether one line has all the texts.
func (l *Log) Says(texts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.b.Bytes()) {
		if !slices.ContainsFunc(texts, func(s string) bool { return !bytes.Contains(line, []byte(s)) }) {
			return true
		}
	}
	return false
}
