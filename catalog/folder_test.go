package catalog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/catalog/catalogtest"
	"weft/sign"
)

// shown is what a catalogue answers, as text: every product, and what a number of
// questions find.
func shown(t testing.TB, c *Catalog, m *catalogtest.Mesh) string {
	t.Helper()
	c.flush()
	var b strings.Builder
	c.All(func(e *Entry) bool {
		fmt.Fprintf(&b, "%s %s %d inputs %v consumers %v", e.Card.Product, e.Card.Version, e.Version, c.Inputs(e.Card.Product), c.Consumers(e.Card.Product))
		if e.Head != nil {
			fmt.Fprintf(&b, " head %d %s", e.Head.Seq, e.Head.State)
		}
		b.WriteByte('\n')
		return true
	})
	fmt.Fprintln(&b, c.Len(), c.Names("", 1000))
	for i := range 12 {
		q := Query{Text: m.Query(i, 1+i%4, i%3 == 0), Limit: 30}
		if i%5 == 4 {
			q.States, q.Lives = []string{"fresh", "late"}, []string{"active"}
		}
		r, err := c.Search(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, q.Text, r.Total, r.Corrections)
		for _, h := range r.Hits {
			fmt.Fprintln(&b, "  ", h.Score, h.Entry.Card.Product, h.Why)
		}
	}
	return b.String()
}

// world draws records about a few products, and keeps which of them hold.
type world struct {
	m    *catalogtest.Mesh
	s    signer
	recs []*sign.Record
	last map[string]*sign.Record
}

func (w *world) add(r *sign.Record) {
	w.recs = append(w.recs, r)
	if l := w.last[r.Kind+r.Key]; l == nil || stampOf(r).newer(stampOf(l)) {
		w.last[r.Kind+r.Key] = r
	}
}

func newWorld(t testing.TB, r *rand.Rand, products, records int) *world {
	w := &world{m: catalogtest.NewMesh(7), s: newSigner(), last: map[string]*sign.Record{}}
	for range records {
		i, edition := r.IntN(products), 1+r.IntN(5)
		switch r.IntN(5) {
		case 0, 1:
			w.add(w.s.card(t, w.m, i, edition))
		case 2, 3:
			w.add(w.s.head(t, w.m, i, edition))
		case 4:
			w.add(w.s.tombstone(t, w.m, i, uint64(edition)))
		}
	}
	return w
}

// held gives the records that hold.
func (w *world) held(f func(*sign.Record) bool) {
	for _, r := range w.last {
		if !f(r) {
			return
		}
	}
}

// TestOrder holds that the order in which records come decides nothing, nor how
// often, nor what was merged or written and read again between them.
func TestOrder(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, r, 12, 60)
		fresh := open(t, Config{})
		w.held(func(r *sign.Record) bool { fresh.Apply(r); return true })
		want := shown(t, fresh, w.m)
		dir := t.TempDir()
		c := open(t, Config{Dir: dir})
		r.Shuffle(len(w.recs), func(i, j int) { w.recs[i], w.recs[j] = w.recs[j], w.recs[i] })
		for _, rec := range append(w.recs, w.recs[:10]...) {
			c.Apply(rec)
			switch r.IntN(12) {
			case 0:
				c.flush()
			case 1:
				c.flush()
				c.parts.Lock()
				if _, err := c.whole(); err != nil {
					t.Fatal(err)
				}
				c.parts.Unlock()
			}
		}
		if got := shown(t, c, w.m); got != want {
			t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, got, want)
		}
		for kind, err := range map[string]error{"cards": c.saveCards(), "heads": c.saveHeads(), "closing": c.Close()} {
			if err != nil {
				t.Fatal(kind, err)
			}
		}
		again := open(t, Config{Dir: dir})
		if got := shown(t, again, w.m); got != want {
			t.Fatalf("seed %d: after a restart\n%s\nwant\n%s", seed, got, want)
		}
	}
}

// TestSync holds that a sync makes the catalogue what the records are, and that it
// touches nothing that is right already.
func TestSync(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	w, other := newWorld(t, r, 30, 200), newWorld(t, r, 40, 100)
	fresh := open(t, Config{})
	fresh.Sync(w.held)
	want := shown(t, fresh, w.m)
	dir := t.TempDir()
	c := open(t, Config{Dir: dir})
	c.Apply(other.recs...) // what no record is of any more, or another edition
	c.Apply(w.recs[:100]...)
	c.Sync(w.held)
	if got := shown(t, c, w.m); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, Config{Dir: dir})
	before := again.view.Load()
	again.Sync(w.held)
	if again.unsaved != (unsaved{}) || again.view.Load() != before {
		t.Errorf("a sync with the same records changed %+v", again.unsaved)
	}
	if got := shown(t, again, w.m); got != want {
		t.Fatalf("after a restart\n%s\nwant\n%s", got, want)
	}
}

// TestStand takes an older record where it stands now, and none.
func TestStand(t *testing.T) {
	c := open(t, Config{})
	m, s := catalogtest.NewMesh(7), newSigner()
	n := m.Name(1)
	two, one := s.card(t, m, 1, 2), s.card(t, m, 1, 1)
	c.Apply(two, s.head(t, m, 1, 2))
	c.Stand(kindCard, n.String(), one)
	c.Stand(kindHead, n.String(), s.head(t, m, 1, 1))
	if e, _ := c.Get(n); e == nil || e.Version != 1 || e.Head.Seq != 1 {
		t.Errorf("got %+v", e)
	}
	c.Stand(kindHead, n.String(), nil)
	if e, _ := c.Get(n); e == nil || e.Head != nil {
		t.Errorf("got %+v", e)
	}
	c.Stand(kindCard, n.String(), nil)
	if _, ok := c.Get(n); ok || c.Len() != 0 || len(c.products) != 0 {
		t.Error("it is still there")
	}
	c.Apply(two)
	if _, ok := c.Get(n); !ok {
		t.Error("it does not come again")
	}
}

// TestDamagedFolder opens folders with every kind of damage: what is lost comes
// again from the records.
func TestDamagedFolder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	w := newWorld(t, r, 20, 100)
	dir := t.TempDir()
	c := open(t, Config{Dir: dir})
	c.Sync(w.held)
	want := shown(t, c, w.m)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{cardsFile, headsFile} {
		whole, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for try := range 32 {
			b := append([]byte{}, whole...)
			switch at := r.IntN(len(b)); try % 4 {
			case 0:
				b[at] ^= 1 << r.IntN(8)
			case 1:
				b = b[:at]
			case 2:
				b = append(b, b[:at]...)[at:]
			case 3:
				b[try%80] ^= 1 << r.IntN(8) // in the head of the file
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Open(context.Background(), Config{Dir: dir, Env: testEnv()})
			if err != nil {
				t.Fatal(err)
			}
			c.Sync(w.held)
			if got := shown(t, c, w.m); got != want {
				t.Fatalf("%s damaged: got\n%s\nwant\n%s", name, got, want)
			}
			c.cfg.Dir = "" // is not written
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPutIsNotKept puts a card that nobody signed: it is found, and gone after a
// restart; a signed one takes its place.
func TestPutIsNotKept(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Config{Dir: dir})
	m, s := catalogtest.NewMesh(7), newSigner()
	if err := c.Put(m.Card(1, 1), m.Head(1, 1)); err != nil {
		t.Fatal(err)
	}
	c.Apply(s.card(t, m, 2, 1))
	for _, i := range []int{1, 2} {
		if _, ok := c.Get(m.Name(i)); !ok {
			t.Errorf("%d is not there", i)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, Config{Dir: dir})
	if _, ok := again.Get(m.Name(1)); ok || again.Len() != 1 {
		t.Error("it is there after a restart")
	}
	if err := again.Put(m.Card(1, 1), nil); err != nil {
		t.Fatal(err)
	}
	again.Apply(s.card(t, m, 1, 2))
	if e, _ := again.Get(m.Name(1)); e == nil || e.Version != 2 {
		t.Errorf("got %+v", e)
	}
	again.Drop(m.Name(1))
	again.Drop(weft.Name{Domain: "no", Product: "where"})
	again.flush()
	if r := search(t, again, ""); r.Total != 1 || again.Len() != 1 {
		t.Errorf("%d left", r.Total)
	}
}
