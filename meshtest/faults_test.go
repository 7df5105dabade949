package meshtest_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weft"
	"weft/meshtest"
	"weft/peer"
)

// period is how often nodes compare their records: what a mended network may take.
const period = 11 * time.Second

// mesh starts nodes of one mesh over a network and waits until all hold the same.
func mesh(t *testing.T, n *meshtest.Network, many int, o func(i int) meshtest.Options) []*meshtest.Node {
	t.Helper()
	var nodes []*meshtest.Node
	for i := range many {
		nodes = append(nodes, n.Start(t, fmt.Sprintf("n%d", i), o(i)))
	}
	meshtest.Found(t, "sales", nodes...)
	for i, x := range nodes {
		x.Card(t, product(i), "first")
	}
	meshtest.Within(t, 3*period, 100*time.Millisecond, "all nodes hold the same", func() bool { return meshtest.Same(nodes...) })
	return nodes
}

func product(i int) string { return fmt.Sprintf("sales.p%d", i) }

func plain(int) meshtest.Options { return meshtest.Options{} }

// knows fails the test where a node does not know the text of a product.
func knows(t *testing.T, nodes []*meshtest.Node, i int, text string) {
	t.Helper()
	for j, x := range nodes {
		if got := x.Purpose(product(i)); got != text {
			t.Errorf("node %d says of product %d %q, want %q", j, i, got, text)
		}
	}
}

// Of 20 nodes any 10 die: the others know all that there was, and go on.
func TestAnyTenOfTwentyDie(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			nodes := mesh(t, meshtest.NewNetwork(), 20, plain)
			rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
			before := nodes[0].Set().Count()
			for _, x := range nodes[:10] {
				if err := x.Kill(); err != nil {
					t.Error(err)
				}
			}
			left := nodes[10:]
			for _, x := range left {
				if n := x.Set().Count(); n != before {
					t.Errorf("%d records are left of %d", n, before)
				}
			}
			left[0].Card(t, "sales.late", "still here")
			meshtest.Within(t, period, 10*time.Millisecond, "a card of those that are left is everywhere", func() bool { return meshtest.Same(left...) })
			for _, x := range left {
				if x.Purpose("sales.late") != "still here" {
					t.Error("a node does not know the late card")
				}
			}
		})
	}
}

// A network is cut in two, both sides go on and publish, and once it is mended they
// hold the same within one period, with nothing lost.
func TestCutInTwo(t *testing.T) {
	for _, away := range []time.Duration{5 * time.Second, time.Minute, 30 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := meshtest.NewNetwork()
				n.Delay(5*time.Millisecond, 5*time.Millisecond)
				nodes := mesh(t, n, 20, plain)
				var one, other []string
				for i, x := range nodes {
					if i%2 == 0 {
						one = append(one, x.Host.Name)
					} else {
						other = append(other, x.Host.Name)
					}
				}
				n.Partition(one, other)
				time.Sleep(away / 2)
				for i, x := range nodes {
					x.Card(t, product(i), fmt.Sprint("second ", i))
					x.Card(t, fmt.Sprintf("sales.new%d", i), "new")
				}
				time.Sleep(away / 2)
				if meshtest.Same(nodes...) {
					t.Error("the network was not cut")
				}
				n.Heal()
				d := meshtest.Within(t, period, 10*time.Millisecond, "both sides hold the same", func() bool { return meshtest.Same(nodes...) })
				t.Logf("mended within %s", d)
				for i := range nodes {
					knows(t, nodes, i, fmt.Sprint("second ", i))
				}
			})
		})
	}
}

// One line works in one direction only, a fifth of all packets is lost, nodes stop for
// seconds, and clocks are wrong by an hour: cards get through all the same.
func TestBadWeather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		nodes := mesh(t, n, 12, func(i int) meshtest.Options {
			return meshtest.Options{Ahead: []time.Duration{0, time.Hour, -time.Hour}[i%3]}
		})
		n.Delay(20*time.Millisecond, 60*time.Millisecond)
		n.Loss(0.2)
		n.CutOneWay("n1", "n2")
		n.CutOneWay("n3", "n0")
		for round := range 6 {
			for i, x := range nodes {
				x.Card(t, product(i), fmt.Sprint("round ", round))
			}
			p := nodes[rand.IntN(len(nodes))]
			p.Host.Pause()
			time.Sleep(5 * time.Second)
			p.Host.Resume()
			time.Sleep(time.Second)
		}
		d := meshtest.Within(t, 3*period, 100*time.Millisecond, "all nodes hold the same", func() bool { return meshtest.Same(nodes...) })
		t.Logf("the same after %s", d)
		for i := range nodes {
			knows(t, nodes, i, "round 5")
		}
	})
}

// Who comes late takes all from whoever is there, in an order that can be judged.
func TestLateJoiner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		n.Delay(10*time.Millisecond, 0)
		nodes := mesh(t, n, 3, plain)
		for i := range 3000 {
			nodes[i%3].Card(t, fmt.Sprintf("sales.many%d", i), "one of many")
		}
		late := n.Start(t, "late", meshtest.Options{})
		meshtest.Join(t, nodes[0], late, "sales")
		d := meshtest.Within(t, period, 10*time.Millisecond, "the late one has all", func() bool { return meshtest.Same(append(nodes, late)...) })
		t.Logf("%d records in %s", late.Set().Count(), d)
	})
}

// A node that was away while it was revoked is cut off by all, and stays so; one that
// is linked is cut off at once.
func TestRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		nodes := mesh(t, n, 6, plain)
		bad := nodes[5]
		if err := nodes[0].Revoke(t.Context(), bad.Self(), "", "left us"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for i, x := range nodes[:5] {
			for _, m := range x.Members() {
				if m.ID == bad.Self() && (m.Link == peer.LinkDirect || !m.Revoked) {
					t.Errorf("node %d: the revoked one is %s, revoked %v", i, m.Link, m.Revoked)
				}
			}
		}
		root := bad.Root()
		nodes[0].Card(t, product(0), "secret")
		time.Sleep(2 * time.Minute)
		if bad.Root() != root || bad.Purpose(product(0)) == "secret" {
			t.Error("a revoked node learns what is new")
		}
		if !meshtest.Same(nodes[:5]...) {
			t.Error("the others are not the same")
		}
	})
}

// Two nodes that know nobody else take new keys in the same moment, and again and again
// while neither can reach the other: each knows the other again.
func TestBothRotate(t *testing.T) {
	for _, c := range []struct {
		name   string
		cut    bool // while they change their keys
		times  int
		hidden bool // the one can be reached from nowhere
	}{
		{"linked", false, 1, false},
		{"linked, and hidden", false, 1, true},
		{"cut off", true, 1, false},
		{"cut off, and hidden", true, 1, true},
		{"cut off, many times", true, 8, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := meshtest.NewNetwork()
				net.Delay(5*time.Millisecond, 5*time.Millisecond)
				nodes := mesh(t, net, 2, func(i int) meshtest.Options { return meshtest.Options{Hidden: c.hidden && i == 1} })
				if c.cut {
					net.Cut(nodes[0].Host.Name, nodes[1].Host.Name)
					time.Sleep(time.Minute) // until each has seen that the other is away
				}
				before := [2]weft.KeyID{nodes[0].Self(), nodes[1].Self()}
				for range c.times {
					var both sync.WaitGroup
					for _, n := range nodes {
						both.Go(func() {
							if err := n.Rotate(t.Context()); err != nil {
								t.Error(err)
							}
						})
					}
					both.Wait()
				}
				net.Heal()
				meshtest.Within(t, time.Minute, 10*time.Millisecond, "both hold the same", func() bool { return meshtest.Same(nodes...) })
				for i, n := range nodes {
					n.Card(t, product(i), "by the new key")
				}
				time.Sleep(2 * period)
				for i := range nodes {
					knows(t, nodes, i, "by the new key")
					if nodes[i].Self() == before[i] || nodes[1-i].DomainsOf(nodes[i].Self()) == nil {
						t.Errorf("node %d is not known by its new key", i)
					}
				}
			})
		})
	}
}

// A node takes a new key without leaving the mesh: what it says is heard, and it hears.
func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := mesh(t, meshtest.NewNetwork(), 5, plain)
		old := nodes[3].Self()
		if err := nodes[3].Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * period)
		if nodes[3].Self() == old {
			t.Fatal("the key is the old one")
		}
		nodes[3].Card(t, product(3), "by the new key")
		nodes[0].Card(t, product(0), "for the new key")
		meshtest.Within(t, time.Second, time.Millisecond, "all hold the same", func() bool { return meshtest.Same(nodes...) })
		knows(t, nodes, 0, "for the new key")
		knows(t, nodes, 3, "by the new key")
		for i, x := range nodes {
			for _, m := range x.Members() {
				if m.ID == old && m.Link == peer.LinkDirect {
					t.Errorf("node %d has a link to the old key", i)
				}
			}
		}
	})
}
