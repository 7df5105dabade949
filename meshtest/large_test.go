package meshtest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"weft/meshtest"
	"weft/peer"
)

var (
	largeNodes    = flag.Int("nodes", 25, "nodes of the large mesh")
	largeProducts = flag.Int("products", 5, "products of each of them")
)

// TestLargeMesh founds a mesh of many nodes in ten domains, has each publish its
// products, kills some nodes, cuts the network in two and mends it: all hold the same.
// Bodies and what was verified are shared by the nodes of the process.
func TestLargeMesh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const domains = 10
		n := meshtest.NewNetwork()
		n.Delay(time.Millisecond, 9*time.Millisecond)
		v := peer.NewVerified()
		var nodes []*meshtest.Node
		for i := range *largeNodes {
			x := n.Start(t, fmt.Sprint("n", i), meshtest.Options{Verified: v})
			domain := fmt.Sprint("d", i%domains)
			switch {
			case i == 0:
				if err := x.Found(t.Context(), peer.Founding{Name: "large", Domains: []string{domain}}); err != nil {
					t.Fatal(err)
				}
			case i < domains: // it brings its domain
				meshtest.Join(t, nodes[0], x, domain)
			default:
				meshtest.Join(t, nodes[i%domains], x, domain)
			}
			nodes = append(nodes, x)
		}
		begin := time.Now()
		for i, x := range nodes { // each as it does when it starts
			for p := range *largeProducts {
				x.Card(t, fmt.Sprintf("d%d.n%dp%d", i%domains, i, p), "made up")
			}
			time.Sleep(100 * time.Millisecond)
		}
		want := 0
		same := func(what string) {
			t.Helper()
			d := meshtest.Within(t, 6*period, 100*time.Millisecond, what, func() bool { return meshtest.Same(nodes...) })
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			t.Logf("%s within %s: %d nodes, %d records, %d MB for each node, %s since the first card",
				what, d, len(nodes), nodes[0].Set().Count(), m.HeapInuse>>20/uint64(len(nodes)), time.Since(begin))
			if c := nodes[0].Set().Count(); c < want {
				t.Errorf("%d records, want %d", c, want)
			}
		}
		want = 1 + domains + len(nodes)*(2+*largeProducts)
		same("all hold the same")

		rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
		for _, x := range nodes[:len(nodes)/10] {
			if err := x.Kill(); err != nil {
				t.Error(err)
			}
		}
		nodes = nodes[len(nodes)/10:]
		var one, other []string
		for i, x := range nodes {
			if i%2 == 0 {
				one = append(one, x.Host.Name)
			} else {
				other = append(other, x.Host.Name)
			}
		}
		n.Partition(one, other)
		for _, x := range nodes {
			own := x.Domains()[0]
			x.Card(t, fmt.Sprintf("%s.%slate", own, x.Host.Name), "while it was cut")
		}
		want += len(nodes)
		time.Sleep(time.Minute)
		if meshtest.Same(nodes...) {
			t.Error("the network was not cut")
		}
		n.Heal()
		same("both sides hold the same")
	})
}
