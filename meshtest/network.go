// Package meshtest runs many nodes of a mesh in one process, over a network of its own
// that delays, loses and cuts, and with clocks that are wrong. It is for tests, inside
// testing/synctest or outside of it.
package meshtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"weft/run"
)

// Network joins hosts by connections that behave as those of TCP do over a bad line:
// bytes come late, in order and whole, or not at all while the line is cut.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*Host
	cuts  map[[2]string]bool // from, to
	delay time.Duration
	vary  time.Duration
	loss  float64
	moved chan struct{} // closed and made anew when lines change
}

// NewNetwork makes a network without hosts and without faults.
func NewNetwork() *Network {
	return &Network{hosts: map[string]*Host{}, cuts: map[[2]string]bool{}, moved: make(chan struct{})}
}

// Host is one machine: a peer.Transport and a listener.
type Host struct {
	Name string
	net  *Network

	mu     sync.Mutex
	accept func(net.Conn) // nil: nothing listens
	conns  map[*conn]struct{}
	paused bool
}

// Host adds a machine. Its address is its name and port 1.
func (n *Network) Host(name string) *Host {
	h := &Host{Name: name, net: n, conns: map[*conn]struct{}{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[name] = h
	return h
}

// Addr is where the host listens.
func (h *Host) Addr() string { return h.Name + ":1" }

// Listen has accept called in a goroutine of its own for each connection that comes.
func (h *Host) Listen(accept func(net.Conn)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.accept = accept
}

// Delay has bytes take d, and up to vary longer.
func (n *Network) Delay(d, vary time.Duration) {
	n.change(func() { n.delay, n.vary = d, vary })
}

// Loss has a share of what is sent lost once or more often; it comes when it is sent
// again, as TCP does.
func (n *Network) Loss(share float64) { n.change(func() { n.loss = share }) }

// CutOneWay stops what goes from one host to another.
func (n *Network) CutOneWay(from, to string) { n.change(func() { n.cuts[[2]string{from, to}] = true }) }

// Cut stops what goes between two hosts.
func (n *Network) Cut(a, b string) {
	n.change(func() { n.cuts[[2]string{a, b}], n.cuts[[2]string{b, a}] = true, true })
}

// Partition cuts every host of one group off from those of the other.
func (n *Network) Partition(one, other []string) {
	n.change(func() { // at once: each change wakes all who wait
		for _, a := range one {
			for _, b := range other {
				n.cuts[[2]string{a, b}], n.cuts[[2]string{b, a}] = true, true
			}
		}
	})
}

// Heal mends all lines.
func (n *Network) Heal() { n.change(func() { clear(n.cuts) }) }

func (n *Network) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.moved)
	n.moved = make(chan struct{})
}

// Pause stops a host: nothing that was sent reaches it or leaves it until it resumes.
func (h *Host) Pause() { h.pause(true) }

// Resume ends a pause.
func (h *Host) Resume() { h.pause(false) }

func (h *Host) pause(yes bool) {
	h.mu.Lock()
	h.paused = yes
	h.mu.Unlock()
	h.net.change(func() {})
}

// Kill breaks all connections of a host, as the end of its process does, and listens
// no more.
func (h *Host) Kill() {
	h.mu.Lock()
	h.accept = nil
	var all []*conn
	for c := range h.conns {
		all = append(all, c)
	}
	h.mu.Unlock()
	for _, c := range all {
		c.reset()
	}
}

func (h *Host) isPaused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.paused
}

// open reports whether bytes go from one host to the other now, and returns what is
// closed when that may have changed.
func (n *Network) open(from, to *Host) (bool, <-chan struct{}) {
	n.mu.Lock()
	cut, moved := len(n.cuts) > 0 && n.cuts[[2]string{from.Name, to.Name}], n.moved
	n.mu.Unlock()
	return !cut && !from.isPaused() && !to.isPaused(), moved
}

// resend is how long it takes until what was lost is sent again the first time.
const resend = 200 * time.Millisecond

// late is how long bytes take.
func (n *Network) late() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.delay
	if n.vary > 0 {
		d += rand.N(n.vary)
	}
	for wait := resend; n.loss > 0 && rand.Float64() < n.loss && wait < 10*time.Second; wait *= 2 {
		d += wait
	}
	return d
}

// Dial connects from the host to another's address.
func (h *Host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	name, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	h.net.mu.Lock()
	to := h.net.hosts[name]
	h.net.mu.Unlock()
	if to == nil {
		return nil, fmt.Errorf("no such host: %s", name)
	}
	// There and back again.
	for _, way := range [][2]*Host{{h, to}, {to, h}} {
		if err := h.net.pass(ctx, way[0], way[1]); err != nil {
			return nil, err
		}
	}
	to.mu.Lock()
	accept := to.accept
	to.mu.Unlock()
	if accept == nil {
		return nil, errors.New("connection refused")
	}
	a, b := newConns(h, to)
	go accept(b)
	return a, nil
}

// pass waits as long as a packet takes from one host to another.
func (n *Network) pass(ctx context.Context, from, to *Host) error {
	if err := run.Pause(ctx, n.late()); err != nil {
		return err
	}
	for {
		open, moved := n.open(from, to)
		if open {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}
