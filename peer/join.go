package peer

import (
	"bytes"
	"context"
	"slices"
	"time"

	"weft"
	"weft/sign"
)

// kindJoin is the kind of the record by which a node asks to be let in. It is for the
// one that invited it and never in a set.
const kindJoin = "join"

// joinRequest is its body. The node signs it, and the key of its new domain if it
// brings one.
type joinRequest struct {
	Token     string     `json:"token"`
	Name      string     `json:"name,omitempty"`
	DomainKey weft.KeyID `json:"domainKey,omitzero"` // of a new domain
	Admission []byte     `json:"admission,omitempty"`
}

// replyStart begins a reply; the records follow, each behind its length.
const (
	replyStart   = "weft join 1\n"
	maxReply     = 64 << 20
	maxRequest   = 64 << 10
	tokenRefused = "enter the mesh"
)

// Ask prepares to enter a mesh: it makes the node's key, if it has none, and the
// request, which goes to one of the token's addresses, over a link that proves that its
// other end is the token's issuer. Nothing of this node changes until Enter.
func (m *Mesh) Ask(_ context.Context, word string) (request []byte, to *Token, err error) {
	m.change.Lock()
	defer m.change.Unlock()
	if m.Joined() {
		return nil, nil, inAMesh(tokenRefused)
	}
	t, err := ReadToken(word)
	if err != nil {
		return nil, nil, err
	}
	if late := m.now().Sub(t.Until); late > aheadOfTime { // the issuer's clock decides
		return nil, nil, expiredToken(t)
	}
	if err := m.folder.make(); err != nil {
		return nil, nil, err
	}
	self, err := m.folder.someKey(nodeKey)
	if err != nil {
		return nil, nil, err
	}
	body := joinRequest{Token: word, Name: m.cfg.Name}
	keys := []sign.Key{self}
	if t.New {
		k, err := m.folder.someKey(domainKey(t.Domain))
		if err != nil {
			return nil, nil, err
		}
		admission, err := sign.Seal(sign.Head{Mesh: t.Mesh, Kind: KindAdmission, Key: NodeKey(self.ID(), t.Domain), Version: 1, Time: m.now()},
			Admission{Node: self.ID(), Domain: t.Domain, By: t.Issuer}, k)
		if err != nil {
			return nil, nil, err
		}
		body.DomainKey, body.Admission = k.ID(), admission.Raw()
		keys = append(keys, k)
	}
	r, err := sign.Seal(sign.Head{Mesh: t.Mesh, Kind: kindJoin, Key: self.ID().String(), Version: 1, Time: m.now()}, body, keys...)
	if err != nil {
		return nil, nil, err
	}
	return r.Raw(), t, nil
}

func expiredToken(t *Token) error {
	return weft.Errorf(weft.KindDenied, tokenRefused, "", "the invitation expired at %s", t.Until.Format(time.RFC3339)).WithHint("ask for a new one: weft invite")
}

// Admit answers a request: it uses the token up, admits the node, and returns what the
// node needs to know. A node that asks again with the same token, since it did not
// get the answer, gets it again. from is the key that the link proved, zero where it
// proved none.
func (m *Mesh) Admit(_ context.Context, from weft.KeyID, request []byte) (reply []byte, err error) {
	m.change.Lock()
	defer m.change.Unlock()
	if !m.Joined() {
		return nil, notInAMesh(tokenRefused)
	}
	node, q, t, err := m.readRequest(request)
	if err != nil {
		return nil, err
	}
	if !from.IsZero() && from != node {
		return nil, weft.Errorf(weft.KindDenied, tokenRefused, "", "the request is another node's")
	}
	if m.set.isDead(node) {
		return nil, weft.Errorf(weft.KindDenied, tokenRefused, "", "this node's key was revoked or given up").WithHint("let the node begin with a new key")
	}
	if err := m.stillAdmits(q, t); err != nil {
		return nil, err
	}
	was, err := m.folder.spend(t.nonce, spent{Node: node, Until: t.Until})
	if err != nil {
		return nil, err
	}
	if !was.IsZero() && was != node {
		return nil, weft.Errorf(weft.KindConflict, tokenRefused, "", "the invitation was used already").WithHint("ask for a new one: weft invite")
	}
	if err := m.admit(node, q, t); err != nil {
		return nil, err
	}
	return m.set.welcome(), nil
}

// stillAdmits says whether what the token promises can be kept: the domain that was
// new still is, or this very node brought its key the last time it asked.
func (m *Mesh) stillAdmits(q *joinRequest, t *Token) error {
	if holders := m.set.holders(t.Domain); t.New && len(holders) > 0 {
		if slices.Contains(holders, q.DomainKey) {
			return nil
		}
		return weft.Errorf(weft.KindConflict, tokenRefused, "", "domain %s was new when the invitation was made, and has a key by now", t.Domain).WithHint("ask for a new one: weft invite")
	}
	_, err := m.mayAdmit(tokenRefused, t.Domain)
	return err
}

func (s *Set) isDead(node weft.KeyID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.auth.dead(node)
}

func (s *Set) holders(domain string) []weft.KeyID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.auth.holders(domain)
}

// readRequest reads a request and all that can be said of it without changing
// anything.
func (m *Mesh) readRequest(request []byte) (node weft.KeyID, q *joinRequest, t *Token, err error) {
	bad := func(format string, args ...any) (weft.KeyID, *joinRequest, *Token, error) {
		return weft.KeyID{}, nil, nil, weft.Errorf(weft.KindInvalid, tokenRefused, "", format, args...)
	}
	if len(request) > maxRequest {
		return bad("the request has %d bytes, and %d is the most", len(request), maxRequest)
	}
	r, err := sign.Open(request)
	if err != nil {
		return bad("the request is not one: %w", err)
	}
	q = &joinRequest{}
	if r.Kind != kindJoin || r.Key != r.Signers[0].String() || r.Decode(q) != nil {
		return bad("the request is not one")
	}
	if t, err = ReadToken(q.Token); err != nil {
		return weft.KeyID{}, nil, nil, err
	}
	switch {
	case t.Mesh != m.ID() || r.Mesh != m.ID():
		return weft.KeyID{}, nil, nil, weft.Errorf(weft.KindDenied, tokenRefused, "", "the invitation is to another mesh")
	case !m.set.isSelf(t.Issuer, m.Self()):
		return weft.KeyID{}, nil, nil, weft.Errorf(weft.KindDenied, tokenRefused, "", "another node made the invitation").WithHint("go to one of its addresses")
	case m.now().After(t.Until):
		return weft.KeyID{}, nil, nil, expiredToken(t)
	case !bytes.Equal(t.nonce[:seriesSize], m.series()):
		return weft.KeyID{}, nil, nil, weft.Errorf(weft.KindDenied, tokenRefused, "", "the invitation was made before this node was restored from a backup").WithHint("ask for a new one: weft invite")
	case t.New && (len(r.Signers) != 2 || r.Signers[1] != q.DomainKey || q.DomainKey.IsZero() || q.DomainKey == r.Signers[0]):
		return bad("the key of domain %s does not sign the request", t.Domain)
	case !t.New && len(r.Signers) != 1:
		return bad("somebody else signs the request")
	case t.New && !m.brings(q, r.Signers[0], t.Domain):
		return bad("the request does not bring the domain's admission of the node")
	}
	return r.Signers[0], q, t, nil
}

// brings reports whether the request has an admission of the node that the domain's new
// key signed.
func (m *Mesh) brings(q *joinRequest, node weft.KeyID, domain string) bool {
	it, err := read(q.Admission)
	if err != nil || it.rec.Verify() != nil || it.rec.Mesh != m.ID() || it.signer() != q.DomainKey {
		return false
	}
	a, ok := it.fact.(*Admission)
	return ok && a.Node == node && a.Domain == domain && time.UnixMicro(it.time).Sub(m.now()) <= aheadOfTime
}

// isSelf reports whether the key is the node's, or was.
func (s *Set) isSelf(key, self weft.KeyID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.auth.back(self, func(k weft.KeyID) bool { return k == key })
}

// admit signs what makes the node belong to the token's domain.
func (m *Mesh) admit(node weft.KeyID, q *joinRequest, t *Token) error {
	if slices.Contains(m.DomainsOf(node), t.Domain) || t.Domain == "" && m.set.member(node) {
		return nil // it asks again
	}
	if t.New {
		if len(m.set.holders(t.Domain)) == 0 {
			keys, err := m.foundingKeys(tokenRefused)
			if err != nil {
				return err
			}
			h := sign.Head{Mesh: m.ID(), Kind: KindDomain, Key: t.Domain, Version: 1, Time: m.now()}
			if _, err := m.sealAndAdd(h, Certificate{Domain: t.Domain, Key: q.DomainKey, Epoch: 1}, keys...); err != nil {
				return err
			}
		}
		_, err := m.addOwn(q.Admission)
		return err
	}
	key, by := NodeKey(node, t.Domain), ""
	keys, err := m.foundingKeys(tokenRefused)
	if t.Domain != "" {
		var k sign.Key
		k, err = m.domainKey(t.Domain)
		keys, by = []sign.Key{k}, k.String()
		if err == nil {
			by = k.ID().String()
		}
	}
	if err != nil {
		return err
	}
	_, err = m.sealAndAdd(m.head(KindAdmission, key, by), Admission{Node: node, Domain: t.Domain, By: m.Self()}, keys...)
	return err
}

// welcome are all records that say who may sign what, each after what it needs.
func (s *Set) welcome() []byte { return s.appendFacts([]byte(replyStart)) }

func (s *Set) appendFacts(out []byte) []byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	byKind := map[string][]*item{}
	s.tree.all(func(it *item) bool {
		if it.fact != nil {
			byKind[it.kind] = append(byKind[it.kind], it)
		}
		return true
	})
	for _, kind := range []string{KindCharter, KindDomain, KindAdmission, KindRotation, KindRevocation, KindNode, KindHandover} {
		for _, it := range byKind[kind] {
			if r := s.record(it); r != nil {
				out = appendRaw(out, r.Raw())
			}
		}
	}
	return out
}

// Enter takes the answer to the request that Ask made: from then on the node is in the
// mesh. What is in the reply is verified as if anybody had sent it.
func (m *Mesh) Enter(ctx context.Context, word string, reply []byte) error {
	m.change.Lock()
	defer m.change.Unlock()
	if m.Joined() {
		return inAMesh(tokenRefused)
	}
	t, err := ReadToken(word)
	if err != nil {
		return err
	}
	records, err := readReply(reply)
	if err != nil {
		return err
	}
	self, err := m.folder.key(nodeKey)
	if err != nil || self.IsZero() {
		return weft.Errorf(weft.KindConflict, tokenRefused, "", "this node did not ask").WithHint("weft join TOKEN asks")
	}
	for _, r := range records {
		if r.Kind == KindCharter && r.Hash() == t.Mesh {
			st := &state{Mesh: t.Mesh, Charter: r.Raw(), Series: newSeries(), Seeds: []Seed{{Node: t.Issuer, Addresses: t.Addresses}}}
			return m.begin(ctx, st, self, records)
		}
	}
	return weft.Errorf(weft.KindInvalid, tokenRefused, "", "the answer does not bring the charter of the mesh that the invitation names")
}

// readReply splits a reply into its records. They have not been verified.
func readReply(b []byte) ([]*sign.Record, error) {
	records, ok := splitRecords(b, replyStart, maxReply)
	if !ok {
		return nil, weft.Errorf(weft.KindInvalid, tokenRefused, "", "the answer is not one that weft gives")
	}
	return records, nil
}

func joined(keys []sign.Key) string {
	ids := make([]weft.KeyID, len(keys))
	for i, k := range keys {
		ids[i] = k.ID()
	}
	return signersBy(ids)
}
