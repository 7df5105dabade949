package node

import (
	"context"
	"log/slog"
	"slices"

	"weft"
	"weft/catalog"
	"weft/peer"
	"weft/sign"
)

// meshSink says what the node's products are to its own catalogue, and, where it is
// in a mesh and speaks for their domain there, to the other nodes in signed records.
// What was signed comes to the catalogue with the other records of the mesh.
type meshSink struct {
	mesh *peer.Mesh // nil: there is none
	cat  *catalog.Catalog
	log  *slog.Logger

	self    weft.KeyID      // as of the last look
	domains []string        // that it spoke for then
	quiet   map[string]bool // domains of which it was said that nobody hears of them
}

// moved reports whether what this node may say, or as whom, has changed since the
// last time that it was asked.
func (s *meshSink) moved() bool {
	if s.mesh == nil || !s.mesh.Joined() {
		return false
	}
	self, domains := s.mesh.Self(), s.mesh.Domains()
	same := self == s.self && slices.Equal(domains, s.domains)
	s.self, s.domains = self, domains
	return !same
}

// Put implements cardSink.
func (s *meshSink) Put(ctx context.Context, name weft.Name, card *weft.Card, head *weft.CardHead, outside bool) error {
	var self weft.KeyID
	joined := s.mesh != nil && s.mesh.Joined()
	if joined {
		self = s.mesh.Self()
	}
	if head != nil {
		h := *head
		h.Origin, head = self, &h
	}
	if card != nil {
		c := *card
		c.Origin, card = self, &c
	}
	if joined && handedAway(s.mesh, name) != nil {
		return nil // another node says what it is
	}
	if joined && outside && s.speaksFor(name) {
		return s.publish(ctx, name, card, head)
	}
	if card == nil {
		e, ok := s.cat.Get(name)
		if !ok {
			return weft.Errorf(weft.KindConflict, "say how the product is", name.String(), "it is not in the catalogue yet")
		}
		card = e.Card
	} else if joined {
		if err := s.mesh.Withdraw(ctx, name, card.ID); err != nil {
			return err
		}
	}
	return s.cat.Put(card, head)
}

// Recall implements cardSink. What was signed last is in the mesh's records, which are
// on the disk before anybody hears of them.
func (s *meshSink) Recall(ctx context.Context, name weft.Name, card *weft.Card, head *weft.CardHead, outside bool) (*weft.CardHead, error) {
	if s.mesh != nil && s.mesh.Joined() && outside && s.speaksFor(name) {
		if said := s.ownHead(name); said != nil {
			return said, s.Put(ctx, name, card, nil, outside)
		}
	}
	return head, s.Put(ctx, name, card, head, outside)
}

// ownHead is the head of a product that this node signed last, nil for none.
func (s *meshSink) ownHead(name weft.Name) *weft.CardHead {
	r := s.mesh.Set().Get(peer.KindHead, name.String())
	var h weft.CardHead
	if r == nil || r.Signers[0] != s.mesh.Self() || r.Decode(&h) != nil {
		return nil
	}
	h.Origin = weft.KeyID{} // as it was before the sink
	return &h
}

func (s *meshSink) publish(ctx context.Context, name weft.Name, card *weft.Card, head *weft.CardHead) error {
	if card != nil {
		if _, err := s.mesh.Publish(ctx, peer.KindCard, name.String(), card); err != nil {
			return err
		}
	}
	if head == nil {
		return nil
	}
	_, err := s.mesh.Publish(ctx, peer.KindHead, name.String(), head)
	return err
}

// speaksFor says whether the mesh lets this node speak for the product's domain, and
// tells once where it does not.
func (s *meshSink) speaksFor(name weft.Name) bool {
	if slices.Contains(s.mesh.Domains(), name.Domain) {
		delete(s.quiet, name.Domain)
		return true
	}
	if !s.quiet[name.Domain] {
		if s.quiet == nil {
			s.quiet = map[string]bool{}
		}
		s.quiet[name.Domain] = true
		s.log.Warn("other nodes hear nothing of this domain's products: the mesh does not let this node speak for it", "domain", name.Domain)
	}
	return false
}

// Remove implements cardSink.
func (s *meshSink) Remove(ctx context.Context, name weft.Name, id string) error {
	if s.mesh != nil && s.mesh.Joined() {
		if err := s.mesh.Withdraw(ctx, name, id); err != nil {
			return err
		}
	}
	if e, ok := s.cat.Get(name); ok && e.Version == 0 {
		s.cat.Drop(name) // what nobody signed: it was this node's
	}
	return nil
}

// Reconcile implements cardSink.
func (s *meshSink) Reconcile(ctx context.Context, here func(weft.Name, string) bool) error {
	if s.mesh == nil || !s.mesh.Joined() {
		return nil
	}
	self, gone := s.mesh.Self(), map[weft.Name]string{}
	s.mesh.Set().All(peer.KindCard, func(r *sign.Record) bool {
		var c weft.Card
		if name, err := weft.ParseName(r.Key); r.Signers[0] == self && err == nil && r.Decode(&c) == nil && !here(name, c.ID) {
			gone[name] = c.ID
		}
		return ctx.Err() == nil
	})
	for name, id := range gone {
		if err := s.mesh.Withdraw(ctx, name, id); err != nil {
			return err
		}
	}
	return nil
}
