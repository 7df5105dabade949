package peer

import (
	"fmt"
	"strings"
	"time"

	"weft"
)

// standing is which of the claims to a product's name counts.
type standing struct {
	card *item // of the one that counts, nil where the name stands for nothing
	// rivals are the claims where there is more than one that nobody gave up: the name
	// resolves to nothing until one of them goes.
	rivals []*item
}

// standingOf looks at all cards of a name. A card counts while its signer belongs to
// the domain and did not hand the product over since. Where all who may speak handed
// it over and the new origin has said nothing yet, the newest card goes on.
func (s *Set) standingOf(name string) (st standing) {
	domain, _, _ := strings.Cut(name, ".")
	var given *item
	for _, it := range s.claims(KindCard, name) {
		if it.opaque || it.gone || !s.auth.admitted(it.signer(), domain) {
			continue
		}
		if h := s.auth.handovers[name][it.signer()]; h != nil && h.product == it.product && h.Version >= it.Version {
			given = newest(given, it)
			continue
		}
		st.rivals = append(st.rivals, it)
		st.card = newest(st.card, it)
	}
	if st.card == nil {
		st.card = given
	}
	if len(st.rivals) < 2 {
		st.rivals = nil
	}
	return st
}

func newest(a, b *item) *item {
	if a == nil || b.newer(a.Entry) {
		return b
	}
	return a
}

// holds is the item that stands for kind and key now.
func (s *Set) holds(kind, key string) *item {
	switch kind {
	case KindCard:
		return s.standingOf(key).card
	case KindHead:
		st := s.standingOf(key)
		if st.card == nil {
			return nil
		}
		if it := s.at(placeOf(kind, key, st.card.signer().String())); it != nil && !it.gone && it.product == st.card.product {
			return it
		}
		return nil
	}
	var best *item
	for _, it := range s.claims(kind, key) {
		if it.opaque && limits[kind] > 0 || kind == KindNode && !s.auth.member(it.signer()) {
			continue // of a newer format, or of nobody
		}
		if best == nil || it.newer(best.Entry) {
			best = it
		}
	}
	return best
}

// Withdrawn says when a product that was here was taken back by its origin, and by
// which node; ok is false where the name stands for something, or was never heard of,
// or so long ago that it is forgotten.
func (m *Mesh) Withdrawn(n weft.Name) (at time.Time, by weft.KeyID, ok bool) {
	s := m.set
	s.mu.RLock()
	defer s.mu.RUnlock()
	name := n.String()
	if s.standingOf(name).card != nil {
		return at, by, false
	}
	var last *item
	for _, it := range s.claims(KindCard, name) {
		if !it.opaque && it.gone && s.auth.admitted(it.signer(), n.Domain) {
			last = newest(last, it)
		}
	}
	if last == nil {
		return at, by, false
	}
	return time.UnixMicro(last.time).UTC(), last.signer(), true
}

// Resolve returns nil where the name of a product may be followed, and else why it may
// not: two keys have the domain, or two nodes claim the product. A name that nobody
// claims is no fault.
func (s *Set) Resolve(n weft.Name) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	const op = "resolve the name"
	if keys := s.auth.holders(n.Domain); len(keys) > 1 {
		return weft.Errorf(weft.KindConflict, op, n.String(), "two keys have domain %s: %s", n.Domain, shorts(keys)).
			WithHint("the mesh's founders decide: weft mesh decide %s KEY", n.Domain)
	}
	st := s.standingOf(n.String())
	if len(st.rivals) > 1 {
		var who []weft.KeyID
		for _, it := range st.rivals {
			who = append(who, it.signer())
		}
		return weft.Errorf(weft.KindConflict, op, n.String(), "%d nodes of the domain claim it: %s", len(who), shorts(who)).
			WithHint("one of them must give its product another name, or hand it over")
	}
	return nil
}

func shorts(keys []weft.KeyID) string {
	var b strings.Builder
	for i, k := range keys {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(k.Short())
	}
	return b.String()
}

// Conflict is a domain or a product whose name resolves to nothing, or a node's key
// that was given up for two.
type Conflict struct {
	Domain  string       `json:"domain,omitempty"`
	Product *weft.Name   `json:"product,omitempty"`
	Node    weft.KeyID   `json:"node,omitzero"`
	Claims  []weft.KeyID `json:"claims"` // keys of domains, or nodes
}

// String says it in one line.
func (c Conflict) String() string {
	switch {
	case c.Product != nil:
		return fmt.Sprintf("product %s is claimed by the nodes %s", c.Product, shorts(c.Claims))
	case c.Domain != "":
		return fmt.Sprintf("domain %s is given to the keys %s", c.Domain, shorts(c.Claims))
	}
	return fmt.Sprintf("node %s gave its key up for %s", c.Node.Short(), shorts(c.Claims))
}
