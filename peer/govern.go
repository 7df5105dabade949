package peer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"weft"
	"weft/sign"
)

func founderName(i int) string {
	if i == 0 {
		return charterKey + keySuffix
	}
	return fmt.Sprintf("%s-%d%s", charterKey, i+1, keySuffix)
}

// foundingKeys are so many founding keys as must sign; it is an error where they are
// not here.
func (m *Mesh) foundingKeys(op string) ([]sign.Key, error) {
	c := m.Charter()
	if c == nil {
		return nil, notInAMesh(op)
	}
	all, err := m.folder.founders()
	if err != nil {
		return nil, err
	}
	var keys []sign.Key
	for _, k := range all {
		if slices.Contains(c.Founders, k.ID()) && len(keys) < c.Threshold {
			keys = append(keys, k)
		}
	}
	if len(keys) < c.Threshold {
		return nil, weft.Errorf(weft.KindDenied, op, "", "%d of the mesh's %d founding keys must sign, and %d are here", c.Threshold, len(c.Founders), len(keys)).
			WithHint("do it at the node that founded the mesh, or put the founding keys into %s", m.cfg.Dir)
	}
	return keys, nil
}

// head is the head of the next record of a place that is not the node's own.
func (m *Mesh) head(kind, key string, by string) sign.Head {
	m.set.mu.RLock()
	defer m.set.mu.RUnlock()
	e, _ := m.set.entry(placeOf(kind, key, by))
	return sign.Head{Mesh: m.set.auth.mesh, Kind: kind, Key: key, Version: e.Version + 1, Time: m.now()}
}

// domainKey is the key of a domain if it is here and holds.
func (m *Mesh) domainKey(domain string) (sign.Key, error) {
	k, err := m.folder.key(domainKey(domain))
	if err != nil || k.IsZero() {
		return sign.Key{}, err
	}
	m.set.mu.RLock()
	defer m.set.mu.RUnlock()
	if !slices.Contains(m.set.auth.holders(domain), k.ID()) {
		return sign.Key{}, nil
	}
	return k, nil
}

// Revoke ends a node's belonging to a domain, or to the whole mesh where domain is
// empty. It is final. The domain's key signs the former if it is here, and founding keys
// the latter.
func (m *Mesh) Revoke(_ context.Context, node weft.KeyID, domain, reason string) error {
	const op = "revoke the node"
	m.change.Lock()
	defer m.change.Unlock()
	if !m.Joined() {
		return notInAMesh(op)
	}
	if !m.set.everMember(node) {
		return weft.Errorf(weft.KindNotFound, op, node.Short(), "no such node was ever admitted").WithHint("weft peers lists them")
	}
	body := Revocation{Node: node, Domain: domain, Reason: reason, Name: m.set.nameOfNode(node)}
	key := NodeKey(node, domain)
	if domain != "" {
		k, err := m.domainKey(domain)
		if err != nil {
			return err
		}
		if !k.IsZero() {
			_, err := m.sealAndAdd(m.head(KindRevocation, key, k.ID().String()), body, k)
			return err
		}
	}
	keys, err := m.foundingKeys(op)
	if err != nil {
		return err
	}
	by := ""
	if domain != "" {
		by = joined(keys)
	}
	_, err = m.sealAndAdd(m.head(KindRevocation, key, by), body, keys...)
	return err
}

func (s *Set) everMember(node weft.KeyID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.auth.wasMember(node)
}

// Decide gives a domain to a key, above all that was said of it before: it ends a
// conflict, or takes the domain from a key that was lost. Nodes that another key
// admitted are no longer of the domain.
func (m *Mesh) Decide(_ context.Context, domain string, key weft.KeyID) error {
	const op = "decide the domain"
	m.change.Lock()
	defer m.change.Unlock()
	if err := weft.CheckName(domain); err != nil {
		return err
	}
	if key.IsZero() {
		return weft.Errorf(weft.KindInvalid, op, domain, "no key is named")
	}
	keys, err := m.foundingKeys(op)
	if err != nil {
		return err
	}
	h := sign.Head{Mesh: m.ID(), Kind: KindDomain, Key: domain, Version: m.set.topEpoch(domain) + 1, Time: m.now()}
	_, err = m.sealAndAdd(h, Certificate{Domain: domain, Key: key, Epoch: h.Version}, keys...)
	return err
}

func (s *Set) topEpoch(domain string) (top uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, it := range s.auth.certs[domain] {
		top = max(top, it.Version)
	}
	return top
}

// Rotate gives the node a new key. The old one and the new one sign that; what the old
// one was admitted to the new one is; and all that the node says it says anew.
func (m *Mesh) Rotate(ctx context.Context) error {
	m.change.Lock()
	defer m.change.Unlock()
	m.says.one.Lock()
	old := m.nodeKey()
	own := m.set.ownRecords(m.Self())
	err := func() error {
		if old.IsZero() {
			return notInAMesh("rotate the key")
		}
		next := sign.NewKey()
		if err := m.folder.saveKey(nextKey, next); err != nil {
			return err
		}
		body := Rotation{Old: old.ID(), New: next.ID()}
		h := m.head(KindRotation, old.ID().String(), next.ID().String())
		if _, err := m.sealAndAdd(h, body, old, next); err != nil {
			return err
		}
		return m.useNext(next)
	}()
	m.says.one.Unlock()
	if err != nil {
		return err
	}
	return m.sayAs(ctx, own)
}

// useNext makes the next key the node's.
func (m *Mesh) useNext(next sign.Key) error {
	if err := m.folder.renameKey(nextKey, nodeKey); err != nil {
		return err
	}
	m.mu.Lock()
	m.key = next
	m.mu.Unlock()
	m.says.mu.Lock()
	m.says.bodies = map[RecordID]said{} // of the old key
	m.says.mu.Unlock()
	return nil
}

// finishRotation goes on with a rotation that broke off: once it is said it holds.
func (m *Mesh) finishRotation(context.Context) error {
	next, err := m.folder.key(nextKey)
	if err != nil || next.IsZero() {
		return err
	}
	if m.set.rotatedTo(m.Self(), next.ID()) {
		return m.useNext(next)
	}
	return m.folder.removeKey(nextKey)
}

func (s *Set) rotatedTo(old, next weft.KeyID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, it := range s.auth.rotations[old] {
		if it.fact.(*Rotation).New == next {
			return true
		}
	}
	return false
}

// ownRecords are the cards and heads, and what is not interpreted, that a node says.
func (s *Set) ownRecords(node weft.KeyID) (list []*sign.Record) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.tree.all(func(it *item) bool {
		if it.signer() == node && (it.kind == KindCard || it.kind == KindHead || it.opaque) {
			if r := s.record(it); r != nil {
				list = append(list, r)
			}
		}
		return true
	})
	return list
}

// sayAs says with the node's key now what it said with the one before.
func (m *Mesh) sayAs(ctx context.Context, own []*sign.Record) error {
	if err := m.publishNode(ctx); err != nil {
		return err
	}
	self := m.nodeKey()
	m.says.one.Lock()
	defer m.says.one.Unlock()
	for _, r := range own {
		body, err := withOrigin(r, self.ID())
		if err != nil {
			return err
		}
		h := sign.Head{Mesh: r.Mesh, Kind: r.Kind, Key: r.Key, Version: r.Version + 1, Time: m.now()}
		if _, err := m.sealAndAdd(h, rawBody(body), self); err != nil {
			return err
		}
		m.says.mu.Lock()
		m.says.bodies[placeOf(r.Kind, r.Key, self.ID().String())] = said{r.Kind, r.Key, body}
		m.says.mu.Unlock()
	}
	return nil
}

// withOrigin is the record's body with another origin, where it has one.
func withOrigin(r *sign.Record, origin weft.KeyID) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := r.Decode(&fields); err != nil || fields["origin"] == nil {
		return r.Body(), nil
	}
	b, err := json.Marshal(origin)
	if err != nil {
		return nil, err
	}
	fields["origin"] = b
	return sign.Canonical(fields)
}

// handoverStart begins the word that a handover is offered with.
const handoverStart = "weft-handover-"

// OfferHandover signs that a product of this node goes to another node of its domain.
// The word that it returns is for that node's TakeHandover; until then nothing changes.
// It is void once this node publishes the product's card anew.
func (m *Mesh) OfferHandover(_ context.Context, product weft.Name, to weft.KeyID) (string, error) {
	const op = "hand the product over"
	self := m.nodeKey()
	if self.IsZero() {
		return "", notInAMesh(op)
	}
	card := m.set.cardOf(product, self.ID())
	if card == nil {
		return "", weft.Errorf(weft.KindNotFound, op, product.String(), "this node has published no card of it")
	}
	if !slices.Contains(m.DomainsOf(to), product.Domain) {
		return "", weft.Errorf(weft.KindDenied, op, product.String(), "node %s is none of domain %s", to.Short(), product.Domain).
			WithHint("invite it to the domain first: weft invite --domain %s", product.Domain)
	}
	h := m.head(KindHandover, product.String(), self.ID().String())
	h.Version = max(h.Version, card.Version)
	body := Handover{Product: product, ID: card.product, From: self.ID(), To: to}
	draft, err := sign.Draft(h, body, self.ID(), to)
	if err != nil {
		return "", err
	}
	return handoverStart + base64.RawURLEncoding.EncodeToString(append(draft, sign.SignDraft(draft, self)...)), nil
}

// cardOf is the card that a node has published, nil for none.
func (s *Set) cardOf(product weft.Name, node weft.KeyID) *item {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if it := s.tree.get(placeOf(KindCard, product.String(), node.String())); it != nil && !it.gone {
		return it
	}
	return nil
}

// TakeHandover signs what another node offered: from then on this node is the product's
// origin. It returns what was handed over; the node's own card comes with Publish.
func (m *Mesh) TakeHandover(_ context.Context, offer string) (*Handover, error) {
	const op = "take the product over"
	self := m.nodeKey()
	if self.IsZero() {
		return nil, notInAMesh(op)
	}
	bad := weft.Errorf(weft.KindInvalid, op, "", "the word is not one that weft handover printed").WithHint("copy it whole")
	text, ok := strings.CutPrefix(strings.TrimSpace(offer), handoverStart)
	if !ok || len(text) > 16<<10 {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 64 {
		return nil, bad
	}
	draft := b[: len(b)-64 : len(b)-64]
	raw := append(bytes.Clone(b), sign.SignDraft(draft, self)...)
	r, err := sign.Peek(raw)
	if err != nil {
		return nil, bad
	}
	var h Handover
	if r.Kind != KindHandover || r.Decode(&h) != nil {
		return nil, bad
	}
	if h.To != self.ID() {
		return nil, weft.Errorf(weft.KindDenied, op, h.Product.String(), "it is offered to node %s, and this is %s", h.To.Short(), self.ID().Short())
	}
	if card := m.set.cardOf(h.Product, h.From); card != nil && card.Version > r.Version {
		return nil, weft.Errorf(weft.KindConflict, op, h.Product.String(), "its origin has published it anew since").WithHint("ask for a new offer")
	}
	if _, err := m.addOwn(raw); err != nil {
		return nil, err
	}
	return &h, nil
}
