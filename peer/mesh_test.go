package peer

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/run"
)

// clock is a clock that stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// node makes a node of a test; dir may be empty.
func node(t testing.TB, c *clock, name, dir string) *Mesh {
	t.Helper()
	env := run.Quiet()
	env.Clock = c
	m, err := New(Config{Dir: dir, Name: name, Version: "test", Advertise: []string{name + ":8400"}, Env: env})
	if err == nil {
		err = m.Open(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// founded is a node that founded a mesh and speaks for the domains.
func founded(t testing.TB, c *clock, domains ...string) *Mesh {
	t.Helper()
	m := node(t, c, "first", "")
	ok(t, m.Found(t.Context(), Founding{Name: "acme", Domains: domains}))
	return m
}

// enters lets a node into the mesh of another.
func enters(t testing.TB, at, m *Mesh, domain string) {
	t.Helper()
	token, err := at.Invite(t.Context(), Invitation{Domain: domain})
	ok(t, err)
	ok(t, join(t.Context(), at, m, token))
}

func join(ctx context.Context, at, m *Mesh, token string) error {
	request, _, err := m.Ask(ctx, token)
	if err != nil {
		return err
	}
	reply, err := at.Admit(ctx, m.Self(), request)
	if err != nil {
		return err
	}
	return m.Enter(ctx, token, reply)
}

// meet gives each node what the other one has, until nothing is new.
func meet(t testing.TB, nodes ...*Mesh) {
	t.Helper()
	for again := true; again; {
		again = false
		for _, a := range nodes {
			for _, b := range nodes {
				if a == b {
					continue
				}
				for leaf := range uint16(leaves) {
					_, give := a.Set().Compare(leaf, b.Set().Entries(leaf))
					for _, id := range give {
						_, fate, _ := b.Set().Add(a.Set().ByID(id))
						again = again || fate == FateNew
					}
				}
			}
		}
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err error, kind weft.Kind, text string) {
	t.Helper()
	if weft.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("the error is %q of kind %s, want one of kind %s that says %q", err, weft.KindOf(err), kind, text)
	}
}

func cardOf(m *Mesh, name, id string) weft.Card {
	return weft.Card{ID: id, Product: nameOf(name), Origin: m.Self(), Life: weft.LifeActive}
}

func publishes(t testing.TB, m *Mesh, name, id, purpose string) {
	t.Helper()
	c := cardOf(m, name, id)
	c.Purpose = purpose
	_, err := m.Publish(t.Context(), KindCard, name, c)
	ok(t, err)
}

// says is the purpose of the card that stands for a name, "-" for none.
func says(t testing.TB, m *Mesh, name string) string {
	t.Helper()
	r := m.Set().Get(KindCard, name)
	if r == nil {
		return "-"
	}
	var c weft.Card
	ok(t, r.Decode(&c))
	return c.Purpose
}

// TestNodesFoundAndEnterAMesh goes the way of a mesh of three nodes, on disks: they
// know each other, see each other's cards, and are the same after a restart.
func TestNodesFoundAndEnterAMesh(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a := node(t, c, "a", filepath.Join(dir, "a"))
	b := node(t, c, "b", filepath.Join(dir, "b"))
	d := node(t, c, "d", filepath.Join(dir, "d"))
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
	enters(t, a, b, "stock")
	enters(t, a, d, "sales")
	publishes(t, b, "stock.parts", "p1", "parts")
	meet(t, a, b, d)
	for _, m := range []*Mesh{a, b, d} {
		if got := says(t, m, "stock.parts"); got != "parts" {
			t.Errorf("%s says %q of the product", m.cfg.Name, got)
		}
		var names []string
		for _, x := range m.Members() {
			names = append(names, x.Name+" of "+strings.Join(x.Domains, " "))
		}
		if want := []string{"a of sales", "b of stock", "d of sales"}; !slices.Equal(names, want) {
			t.Errorf("%s knows %q", m.cfg.Name, names)
		}
	}
	count, id, self := d.Set().Count(), d.ID(), d.Self()
	ok(t, d.Close())
	again := node(t, c, "d", filepath.Join(dir, "d"))
	if !again.Joined() || again.ID() != id || again.Self() != self || again.Set().Count() != count || says(t, again, "stock.parts") != "parts" {
		t.Errorf("after a restart the node is another: %d records, had %d", again.Set().Count(), count)
	}
}
