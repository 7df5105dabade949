package catalog

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"weft"
	"weft/catalog/catalogtest"
)

func put(t testing.TB, c *Catalog, names ...string) {
	t.Helper()
	for _, s := range names {
		n, err := weft.ParseName(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Put(&weft.Card{Product: n, Life: weft.LifeActive, Purpose: "Something"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	c.flush()
}

func TestNames(t *testing.T) {
	c := open(t, Config{})
	put(t, c, "sales.orders", "sales.order_lines", "sales.returns", "sales_eu.orders", "ops.deliveries")
	for prefix, want := range map[string]string{
		"":           "[ops.deliveries sales.order_lines sales.orders sales.returns]",
		"sal":        "[sales.order_lines sales.orders sales.returns sales_eu.orders]",
		"sales.":     "[sales.order_lines sales.orders sales.returns]",
		"Sales.Or":   "[sales.order_lines sales.orders]",
		"x":          "[]",
		"sales.or.x": "[]",
	} {
		if got := fmt.Sprint(c.Names(prefix, 4)); got != want {
			t.Errorf("%q: %s, want %s", prefix, got, want)
		}
	}
	for name, want := range map[string]string{
		"sales.ordres":            "[sales.orders sales_eu.orders]",
		"sale.orders":             "[sales.orders sales_eu.orders]",
		"orders":                  "[sales.orders sales_eu.orders]",
		"ops.delivereis":          "[ops.deliveries]",
		"nothing.alike":           "[]",
		"":                        "[]",
		string(make([]byte, 500)): "[]",
	} {
		if got := fmt.Sprint(c.Near(name, 3)); got != want {
			t.Errorf("near %q: %s, want %s", name, got, want)
		}
	}
}

// TestPages puts pages together: they are the list.
func TestPages(t *testing.T) {
	m := catalogtest.NewMesh(4)
	c := open(t, Config{})
	for i := range 90 {
		if err := c.Put(m.Card(i, 1), m.Head(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	c.flush()
	for _, text := range []string{"", m.Query(1, 1, false), m.Query(2, 3, false)} {
		whole, err := c.Search(context.Background(), Query{Text: text, Limit: 100})
		if err != nil || whole.Total != len(whole.Hits) || whole.Total < 5 {
			t.Fatalf("%q: %d hits of %d, %v", text, len(whole.Hits), whole.Total, err)
		}
		at := 0
		for at < whole.Total {
			page, err := c.Search(context.Background(), Query{Text: text, Limit: 7, Offset: at})
			if err != nil || page.Total != whole.Total || len(page.Hits) == 0 {
				t.Fatalf("%q from %d: %v, %v", text, at, page, err)
			}
			for _, h := range page.Hits {
				if h.Entry.Card.Product != whole.Hits[at].Entry.Card.Product {
					t.Errorf("%q: %s is at %d", text, h.Entry.Card.Product, at)
				}
				at++
			}
		}
		some, err := c.Search(context.Background(), Query{Text: text, Limit: 100, Known: func(n weft.Name) bool { return n.Domain < "k" }})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, h := range whole.Hits {
			if h.Entry.Card.Product.Domain < "k" {
				n++
			}
		}
		if some.Total != n || len(some.Hits) != n {
			t.Errorf("%q: %d are known, %d hits of %d", text, n, len(some.Hits), some.Total)
		}
	}
}

// TestNeverAway searches for a product whose card changes all the time: it is found
// in some edition at every moment.
func TestNeverAway(t *testing.T) {
	c := open(t, Config{})
	m, s := catalogtest.NewMesh(4), newSigner()
	text := m.Name(1).String()
	c.Apply(s.card(t, m, 1, 1))
	c.flush()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		defer close(stop)
		for v := range 150 {
			c.Apply(s.card(t, m, 1, v+2))
			if v%3 == 0 {
				c.flush()
			}
		}
	})
	for n := 0; ; n++ {
		if r := search(t, c, text); r.Total == 0 {
			t.Fatalf("it is not found by search %d", n)
		}
		select {
		case <-stop:
			wg.Wait()
			return
		default:
		}
	}
}
