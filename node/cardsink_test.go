package node

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/peer"
	"weft/records"
	"weft/serve"
)

// TestCardsOfANode: a node without a mesh has its products in its own catalogue; in a
// mesh it signs what it says of those that are offered, and takes it back.
func TestCardsOfANode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n, name := r.node, mustName(t, "sales.tills")
	known := func(ok func(c *weft.Card, h *weft.CardHead, signed bool) bool) func() bool {
		return func() bool {
			e, found := n.cat.Get(name)
			return found && e.Head != nil && ok(e.Card, e.Head, e.Version > 0)
		}
	}
	signed := func() bool { return n.mesh.Set().Get(peer.KindCard, name.String()) != nil }
	r.tills("active", "finance")
	r.write(shop + sums)
	r.apply("tills", serve.OutcomeCommitted)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	r.eventually("it is in the catalogue", known(func(c *weft.Card, h *weft.CardHead, signed bool) bool {
		return !signed && h.Rows() == 3 && c.Origin.IsZero() && len(c.Tables) == 2
	}))

	if _, err := n.Backend().Mesh.Found(t.Context(), tester, serve.Founding{Name: "test", Domains: []string{"sales"}}); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is signed", known(func(c *weft.Card, h *weft.CardHead, signed bool) bool {
		return signed && c.Origin == n.mesh.Self() && h.Origin == c.Origin && h.Rows() == 3
	}))
	r.eventually("one of a domain that the node does not speak for stays at home", func() bool {
		e, ok := n.cat.Get(mustName(t, "insights.sums"))
		return ok && e.Version == 0 && n.mesh.Set().Get(peer.KindCard, "insights.sums") == nil
	})
	r.eventually("the column that another product gives is known", func() bool {
		e, ok := n.cat.Get(mustName(t, "insights.sums"))
		if !ok {
			return false
		}
		from := e.Card.Tables[0].Columns[1].From
		return len(from) == 1 && from[0].Product != nil && from[0].Product.String() == "sales.shop" && from[0].Table == "shop" && from[0].Column == "price"
	})

	before := n.mesh.Set().Get(peer.KindCard, name.String()).Version
	n.cards.again()
	r.refresh("sales.tills", serve.OutcomeUnchanged)
	r.write("-- tills/data/tills.csv --\nid\n1\n2\n3\n")
	r.refresh("sales.tills", serve.OutcomeCommitted)
	r.eventually("its head goes on", known(func(_ *weft.Card, h *weft.CardHead, _ bool) bool { return h.Rows() == 4 }))
	if now := n.mesh.Set().Get(peer.KindCard, name.String()).Version; now != before {
		t.Errorf("an unchanged card has version %d after %d", now, before)
	}

	r.restart()
	n = r.node
	r.eventually("it is there after a restart", known(func(_ *weft.Card, h *weft.CardHead, signed bool) bool { return signed && h.Rows() == 4 }))
	if now := n.mesh.Set().Get(peer.KindCard, name.String()).Version; now != before {
		t.Errorf("a restart made version %d of %d", now, before)
	}

	r.tills("draft", "finance")
	r.apply("tills", serve.OutcomeApplied)
	r.eventually("a draft is taken back", func() bool { return !signed() })
	r.eventually("and known here", known(func(c *weft.Card, _ *weft.CardHead, signed bool) bool { return !signed && c.Life == weft.LifeDraft }))
	found, err := n.Backend().Catalog.Search(t.Context(), ofDomain("finance"), serve.SearchRequest{Text: "tills"})
	if err != nil || len(found.Hits) != 0 {
		t.Errorf("another domain finds the draft: %+v, %v", found, err)
	}
	_, err = n.Show(t.Context(), ofDomain("finance"), name)
	if weft.KindOf(err) != weft.KindNotFound || strings.Contains(weft.HintOf(err), "tills") {
		t.Errorf("another domain is told of the draft: %v (%s)", err, weft.HintOf(err))
	}

	r.tills("active", "finance")
	r.apply("tills", serve.OutcomeApplied)
	r.eventually("it is offered again", signed)
	if err := n.Delete(t.Context(), tester, name, name.String()); err != nil {
		t.Fatal(err)
	}
	r.eventually("it is gone", func() bool {
		_, found := n.cat.Get(name)
		return !found && !signed()
	})
	_, err = n.Show(t.Context(), tester, name)
	if weft.KindOf(err) != weft.KindGone || !strings.Contains(err.Error(), "its node test took it back on ") {
		t.Errorf("a product that was taken back: %v", err)
	}
}

// TestCardsOfAnEarlierLife: what the node signed of a product that is not here any more
// is taken back at the start.
func TestCardsOfAnEarlierLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := r.node.Backend().Mesh.Found(t.Context(), tester, serve.Founding{Domains: []string{"sales"}}); err != nil {
		t.Fatal(err)
	}
	name := mustName(t, "sales.ghost")
	if _, err := r.node.mesh.Publish(t.Context(), peer.KindCard, name.String(), &weft.Card{ID: "g", Product: name, Origin: r.node.mesh.Self(), Life: weft.LifeActive}); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.eventually("it is taken back", func() bool {
		_, found := r.node.cat.Get(name)
		return !found && r.node.mesh.Set().Get(peer.KindCard, name.String()) == nil
	})
}

// TestAHeadDoesNotGoBack: after a kill the books may have an older head than was
// signed; it is not said again.
func TestAHeadDoesNotGoBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write(shop)
	if _, err := r.node.Backend().Mesh.Found(t.Context(), tester, serve.Founding{Domains: []string{"sales"}}); err != nil {
		t.Fatal(err)
	}
	c := r.apply("shop", serve.OutcomeCommitted).Commit
	name := mustName(t, "sales.shop")
	if _, err := r.node.Pause(t.Context(), tester, name); err != nil {
		t.Fatal(err)
	}
	signed := func() *weft.CardHead { return (&meshSink{mesh: r.node.mesh}).ownHead(name) }
	r.eventually("it is signed", func() bool {
		h := signed()
		return h != nil && h.Seq == c.Seq && h.State == weft.StatePaused && h.Rows() == 3 && h.Tables[0].Nulls != nil
	})
	id, version := r.node.known(name).record().ID, r.node.mesh.Set().Get(peer.KindHead, name.String()).Version
	r.stop()

	old, err := json.Marshal(keptHead{Head: &weft.CardHead{Point: weft.Point{Product: name, ID: id, Incarnation: 1, Seq: 1, Hash: weft.Hash{1}}, State: weft.StateLoading}})
	if err != nil {
		t.Fatal(err)
	}
	books, err := records.Open(t.Context(), filepath.Join(r.dir, ".weft", "books.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(books.PutHead(t.Context(), id, old), books.Close(), os.Remove(filepath.Join(r.dir, ".weft", "books.db.seal"))); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.eventually("it was looked at", func() bool {
		p := r.node.known(name)
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.told.point.Seq == c.Seq && p.told.head != nil
	})
	r.eventually("what is signed is right", func() bool {
		h := signed()
		e, ok := r.node.cat.Get(name)
		return h.Seq == c.Seq && h.State == weft.StatePaused && ok && e.Head != nil && e.Head.Seq == c.Seq
	})
	if h := signed(); h.Rows() != 3 {
		t.Errorf("%+v", h)
	}
	if now := r.node.mesh.Set().Get(peer.KindHead, name.String()).Version; now > version+2 { // without the shares, and with them again
		t.Errorf("version %d after %d", now, version)
	}
}
