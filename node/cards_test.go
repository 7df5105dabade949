package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weft"
	"weft/serve"
)

// saidCards keeps what a node says of its products.
type saidCards struct {
	mu      sync.Mutex
	said    []saidCard
	removed []string
	refuse  bool
	move    bool
}

type saidCard struct {
	name    string
	card    *weft.Card
	head    *weft.CardHead
	outside bool
}

func (s *saidCards) Put(_ context.Context, name weft.Name, card *weft.Card, head *weft.CardHead, outside bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return errors.New("nobody listens")
	}
	s.said = append(s.said, saidCard{name.String(), card, head, outside})
	return nil
}

func (s *saidCards) Recall(ctx context.Context, name weft.Name, card *weft.Card, head *weft.CardHead, outside bool) (*weft.CardHead, error) {
	return head, s.Put(ctx, name, card, head, outside)
}

func (s *saidCards) Remove(_ context.Context, name weft.Name, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removed = append(s.removed, name.String()+" "+id)
	return nil
}

func (s *saidCards) Reconcile(_ context.Context, here func(weft.Name, string) bool) error {
	if here(weft.Name{Domain: "sales", Product: "never"}, "never") {
		return errors.New("a product that never was is here")
	}
	return nil
}

func (s *saidCards) moved() (m bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, s.move = s.move, false
	return m
}

// of gives what was said of a product.
func (s *saidCards) of(name string) (out []saidCard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.said {
		if c.name == name {
			out = append(out, c)
		}
	}
	return out
}

// last is the newest card and head of a product, nil for none.
func (s *saidCards) last(name string) (card *weft.Card, head *weft.CardHead, outside bool) {
	for _, c := range s.of(name) {
		if outside = c.outside; c.card != nil {
			card = c.card
		}
		if c.head != nil {
			head = c.head
		}
	}
	return card, head, outside
}

func (s *saidCards) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said, s.removed = nil, nil
}

// newCardRig is a node whose cards go to the test.
func newCardRig(t *testing.T) (*rig, *saidCards) {
	s := &saidCards{}
	return newRigWith(t, func(c *Config) { c.cards = s }), s
}

// says waits until what was said of the product is so.
func (r *rig) says(s *saidCards, name, what string, ok func(*weft.Card, *weft.CardHead) bool) {
	r.t.Helper()
	r.eventually(name+" "+what, func() bool {
		c, h, _ := s.last(name)
		return c != nil && h != nil && ok(c, h)
	})
}

// TestCardsFollowTheProduct: whatever changes is said, once; what does not is not.
func TestCardsFollowTheProduct(t *testing.T) {
	t.Parallel()
	r, s := newCardRig(t)
	r.write(shop + sums)
	c := r.apply("shop", serve.OutcomeCommitted).Commit
	r.says(s, "sales.shop", "is published", func(card *weft.Card, h *weft.CardHead) bool {
		return h.Seq == c.Seq && h.Hash == c.Hash && h.ID == card.ID && h.State == weft.StateFresh && h.Rows() == 3 && h.Passed == len(c.Verdict.Checks) && h.Failed == 0 && h.Bytes > 0
	})
	if _, h, outside := s.last("sales.shop"); !outside || h.Checked.IsZero() || h.Tables[0].Name != "shop" {
		t.Errorf("%+v", h)
	}
	r.apply("sums", serve.OutcomeCommitted)
	r.says(s, "insights.sums", "is published", func(card *weft.Card, h *weft.CardHead) bool {
		return h.State == weft.StateFresh && len(card.Ports) == 2 && card.Ports[0].Product.String() == "sales.shop"
	})

	s.forget()
	r.write("-- shop/data/shop.csv --\nid,item,price\n1,pen,1.50\n")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	r.eventually("the new rows are said", func() bool { _, h, _ := s.last("sales.shop"); return h != nil && h.Rows() == 1 })
	if card, _, _ := s.last("sales.shop"); card != nil {
		t.Error("an unchanged folder made another card")
	}
	r.eventually("its dependent too", func() bool { _, h, _ := s.last("insights.sums"); return h != nil && h.Seq == 3 })

	s.forget()
	for range 3 {
		r.refresh("sales.shop", serve.OutcomeUnchanged)
	}
	r.node.lookAtStates()
	if _, err := r.node.Pause(t.Context(), tester, mustName(t, "sales.shop")); err != nil {
		t.Fatal(err)
	}
	r.eventually("a pause is said", func() bool { _, h, _ := s.last("sales.shop"); return h != nil && h.State == weft.StatePaused })
	r.eventually("and what it stops", func() bool {
		_, h, _ := s.last("insights.sums")
		return h != nil && h.State == weft.StateUpstreamStopped
	})
	if n := len(s.of("sales.shop")); n != 1 {
		t.Errorf("what did not change was said %d times", n-1)
	}
	if _, err := r.node.Resume(t.Context(), tester, mustName(t, "sales.shop")); err != nil {
		t.Fatal(err)
	}

	// Other words for the same data are another card.
	r.write(strings.Replace(strings.Split(shop, "-- shop/data")[0], "Invented orders.", "Made up orders.", 1))
	r.apply("shop", serve.OutcomeApplied)
	r.says(s, "sales.shop", "is described anew", func(card *weft.Card, _ *weft.CardHead) bool { return card.Purpose == "Made up orders." })

	if _, err := r.node.Retire(t.Context(), tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	r.says(s, "insights.sums", "is retired", func(card *weft.Card, h *weft.CardHead) bool {
		return card.Life == weft.LifeRetired && h.State == weft.StateRetired
	})
	id := r.node.known(mustName(t, "insights.sums")).record().ID
	if err := r.node.Delete(t.Context(), tester, mustName(t, "insights.sums"), "insights.sums"); err != nil {
		t.Fatal(err)
	}
	r.eventually("a deletion is said", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Contains(s.removed, "insights.sums "+id)
	})
}

// TestCardsAreOnceASecond: commits that follow each other fast are said together.
func TestCardsAreOnceASecond(t *testing.T) {
	t.Parallel()
	r, s := newCardRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	began := time.Now()
	var last *serve.CommitInfo
	for i := range 8 {
		r.write("-- shop/data/shop.csv --\nid,item,price\n1,pen," + strings.Repeat("1", i+1) + "\n")
		last = r.refresh("sales.shop", serve.OutcomeCommitted).Commit
	}
	r.says(s, "sales.shop", "has the last commit", func(_ *weft.Card, h *weft.CardHead) bool { return h.Seq == last.Seq })
	if n, most := len(s.of("sales.shop")), int(time.Since(began)/headEvery)+3; n > most {
		t.Errorf("%d heads in %s", n, time.Since(began))
	}
}

// TestCardsOfDrafts: what is not offered is said to the own node alone.
func TestCardsOfDrafts(t *testing.T) {
	t.Parallel()
	r, s := newCardRig(t)
	for _, life := range []string{"draft", "active", "proposed"} {
		r.tills(life, "finance")
		r.apply("tills", map[bool]serve.Outcome{true: serve.OutcomeCommitted, false: serve.OutcomeApplied}[life == "draft"])
		r.eventually("it is "+life, func() bool {
			c, _, outside := s.last("sales.tills")
			return c != nil && string(c.Life) == life && outside == (life == "active")
		})
	}
}

// TestCardsAfterARestart: what the books have is said again without a product being
// opened, and the end of a process that says nothing loses nothing.
func TestCardsAfterARestart(t *testing.T) {
	t.Parallel()
	r, s := newCardRig(t)
	r.write(shop)
	c := r.apply("shop", serve.OutcomeCommitted).Commit
	name := mustName(t, "sales.shop")
	if _, err := r.node.Pause(t.Context(), tester, name); err != nil {
		t.Fatal(err)
	}
	r.says(s, "sales.shop", "is paused", func(_ *weft.Card, h *weft.CardHead) bool { return h.State == weft.StatePaused })
	before, head, _ := s.last("sales.shop")
	s.forget()
	r.restart()
	r.says(s, "sales.shop", "is said again", func(card *weft.Card, h *weft.CardHead) bool {
		return card.Purpose == before.Purpose && h.Seq == c.Seq && h.Passed == head.Passed && h.State == weft.StatePaused
	})
	p := r.node.known(name)
	p.spot.mu.Lock()
	open := p.store != nil
	p.spot.mu.Unlock()
	if open {
		t.Error("the product was opened to say what it is")
	}
	if n := len(s.of("sales.shop")); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	s.mu.Lock()
	s.move = true
	s.mu.Unlock()
	s.forget()
	r.eventually("everything is said anew in another mesh", func() bool { c, h, _ := s.last("sales.shop"); return c != nil && h != nil })
}

// TestCardsAreSaidAgain: a card that was not taken is tried again with its head.
func TestCardsAreSaidAgain(t *testing.T) {
	t.Parallel()
	r, s := newCardRig(t)
	s.refuse = true
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	p := r.node.known(mustName(t, "sales.shop"))
	r.eventually("it was tried", func() bool {
		r.node.cards.mu.Lock()
		defer r.node.cards.mu.Unlock()
		at, ok := r.node.cards.due[p]
		return ok && !at.IsZero()
	})
	s.mu.Lock()
	s.refuse = false
	s.mu.Unlock()
	r.node.cards.touch(p)
	r.says(s, "sales.shop", "is said", func(_ *weft.Card, h *weft.CardHead) bool { return h.Rows() == 3 })
}

// TestNullSharesAreCounted: some time after a commit the head says how much is missing,
// by the rows of that commit, and of no column that is always there.
func TestNullSharesAreCounted(t *testing.T) {
	t.Parallel()
	r, s := newCardRig(t)
	r.write(shop + "-- shop/data/shop.csv --\nid,item,price\n1,pen,\n2,ink,2\n3,pad,\n")
	r.apply("shop", serve.OutcomeCommitted)
	r.says(s, "sales.shop", "has null shares", func(_ *weft.Card, h *weft.CardHead) bool {
		return len(h.Tables) == 1 && len(h.Tables[0].Nulls) == 1 && h.Tables[0].Nulls["price"] == 0.67
	})
	p := r.node.known(mustName(t, "sales.shop"))
	r.write("-- shop/data/shop.csv --\nid,item,price\n1,pen,1\n")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	if now := r.node.env.Clock.Now(); p.wantsCount(now) || !p.wantsCount(now.Add(time.Hour)) {
		t.Error("it is counted again at once, or never")
	}
	p.countNulls(t.Context())
	r.says(s, "sales.shop", "has no nulls, and says so", func(_ *weft.Card, h *weft.CardHead) bool {
		return h.Rows() == 1 && h.Tables[0].Nulls != nil && len(h.Tables[0].Nulls) == 0
	})
}

// setClock is a clock that the test can set ahead.
type setClock struct{ ahead atomic.Int64 }

func (c *setClock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// TestLatenessIsSaid: a state that changes by nothing but time is said, and once.
func TestLatenessIsSaid(t *testing.T) {
	t.Parallel()
	s, clock := &saidCards{}, &setClock{}
	r := newRigWith(t, func(c *Config) { c.cards, c.RunEnv.Clock = s, clock })
	r.write(strings.Replace(shop, "id: sales.shop/shop\n", "id: sales.shop/shop\nslaProperties: [{property: latency, value: 2, unit: h}]\n", 1))
	r.apply("shop", serve.OutcomeCommitted)
	fresh := func(_ *weft.Card, h *weft.CardHead) bool {
		return h.State == weft.StateFresh && h.Rows() == 3 && h.Tables[0].Nulls != nil
	}
	r.says(s, "sales.shop", "is fresh and counted", fresh)
	s.forget()
	r.node.lookAtStates()
	clock.ahead.Store(int64(7 * 24 * time.Hour))
	r.node.lookAtStates()
	r.eventually("it is late", func() bool {
		_, h, _ := s.last("sales.shop")
		return h != nil && h.State == weft.StateLate && h.Seq > 0 && len(h.Tables) == 1
	})
	r.node.lookAtStates()
	if n := len(s.of("sales.shop")); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}
