package peer

import (
	"bytes"
	"context"
	"sync"

	"weft"
	"weft/sign"
)

// saying is what the node says in its own name since it started.
type saying struct {
	one sync.Mutex // one publication at a time: versions follow each other

	mu     sync.Mutex // guards what follows
	bodies map[RecordID]said
	due    map[RecordID]bool // what somebody else said otherwise with the node's key
	waking chan struct{}
	others int // times another process spoke as this node after this one had
	// confirm is set where a node took a new key and its domain may be held here.
	confirm bool
}

type said struct {
	kind, key string
	body      []byte
}

func (s *saying) wake() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channel()
}

func (s *saying) channel() chan struct{} {
	if s.waking == nil {
		s.waking = make(chan struct{}, 1)
	}
	return s.waking
}

// ring wakes Tend; s.mu is held.
func (s *saying) ring() {
	select {
	case s.channel() <- struct{}{}:
	default:
	}
}

// Publish signs a record as this node, of KindCard, KindHead, KindNode or a kind that
// nobody knows yet, and takes it into the set, from where it spreads. Its version is
// above all that is known of its place. Where the same is said already the record that
// says it is returned.
func (m *Mesh) Publish(_ context.Context, kind, key string, body any) (*sign.Record, error) {
	const op = "publish the record"
	switch kind {
	case KindCharter, KindDomain, KindAdmission, KindRevocation, KindRotation, KindHandover:
		return nil, weft.Errorf(weft.KindInvalid, op, kind+" "+key, "a node does not say this in its own name")
	}
	m.says.one.Lock()
	defer m.says.one.Unlock()
	self := m.nodeKey()
	if self.IsZero() {
		return nil, notInAMesh(op)
	}
	text, err := sign.Canonical(body)
	if err != nil {
		return nil, err
	}
	by := self.ID().String()
	if bodies[kind] == nil {
		by = opaqueBy(sign.RecordFormat, self.ID())
	}
	id := placeOf(kind, key, by)
	m.says.mu.Lock()
	m.says.bodies[id] = said{kind, key, text}
	m.says.mu.Unlock()
	if r := m.set.mine(id, text); r != nil {
		return r, nil
	}
	h := sign.Head{Mesh: m.ID(), Kind: kind, Key: key, Version: m.set.nextVersion(id, kind, key, self.ID()), Time: m.now()}
	return m.sealAndAdd(h, body, self)
}

func notInAMesh(op string) error {
	return weft.Errorf(weft.KindConflict, op, "", "this node is in no mesh").WithHint("weft mesh init founds one, weft join enters one")
}

// sealAndAdd signs a record and takes it into the node's own set, which must take it.
func (m *Mesh) sealAndAdd(h sign.Head, body any, keys ...sign.Key) (*sign.Record, error) {
	r, err := sign.Seal(h, body, keys...)
	if err != nil {
		return nil, err
	}
	return m.addOwn(r.Raw())
}

func (m *Mesh) addOwn(raw []byte) (*sign.Record, error) {
	r, fate, err := m.set.Add(raw)
	switch {
	case err != nil:
		return nil, err
	case fate == FateOlder:
		return nil, weft.Errorf(weft.KindConflict, "take the record", r.Kind+" "+r.Key, "a newer one came at the same time").WithHint("try again")
	}
	return r, nil
}

// mine is the record at a place if its body is text and it was not withdrawn.
func (s *Set) mine(id RecordID, text []byte) *sign.Record {
	s.mu.RLock()
	defer s.mu.RUnlock()
	it := s.tree.get(id)
	if it == nil {
		return nil
	}
	if r := s.record(it); r != nil && bytes.Equal(r.Body(), text) {
		return r
	}
	return nil
}

// nextVersion is the version of the next record of a place. For a product that was
// handed to the node it is above all that the giver said as well.
func (s *Set) nextVersion(id RecordID, kind, key string, self weft.KeyID) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, _ := s.entry(id)
	top := e.Version
	if kind == KindCard || kind == KindHead {
		for from, h := range s.auth.handovers[key] {
			if f := h.fact.(*Handover); f.To != self && f.From != self {
				continue
			}
			top = max(top, h.Version)
			if it := s.tree.get(placeOf(kind, key, from.String())); it != nil && it.Version < h.Version {
				top = max(top, it.Version)
			}
		}
	}
	return top + 1
}

// Withdraw says that a product is gone, with its identity. Other nodes forget its card
// and its head; what is older than this never comes back.
func (m *Mesh) Withdraw(ctx context.Context, product weft.Name, id string) error {
	for _, kind := range []string{KindHead, KindCard} {
		if !m.set.has(placeOf(kind, product.String(), m.Self().String())) {
			continue
		}
		if _, err := m.Publish(ctx, kind, product.String(), Tombstone{Gone: true, ID: id}); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether there is a record at a place that is not withdrawn.
func (s *Set) has(id RecordID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	it := s.tree.get(id)
	return it != nil && !it.gone
}

// publishNode says how this node is reached.
func (m *Mesh) publishNode(ctx context.Context) error {
	self := m.Self()
	_, err := m.Publish(ctx, KindNode, self.String(), m.describe(self))
	return err
}

func (m *Mesh) describe(self weft.KeyID) NodeInfo {
	return NodeInfo{
		Name: m.cfg.Name, Addresses: m.cfg.Advertise, Relays: m.reachedBy(), Relay: m.cfg.Relay, Version: m.cfg.Version,
		Formats: []int{sign.RecordFormat}, Domains: m.Domains(), Instance: m.instance,
	}
}

// heard looks at each record that comes in: one that is signed with this node's key
// and that it does not say was said by an earlier life of it, whose end it has lost
// (after a restore, or a power cut), or by somebody who has its key.
func (m *Mesh) heard(r *sign.Record) {
	self := m.nodeKey()
	if r.Kind == KindRotation || r.Kind == KindAdmission {
		m.says.mu.Lock()
		m.says.confirm = true
		m.says.ring()
		m.says.mu.Unlock()
	}
	if self.IsZero() || r.Signers[0] != self.ID() {
		if r.Kind == KindNode {
			m.net.dial.moved(r.Signers[0])
		}
		return
	}
	id := placeOf(r.Kind, r.Key, self.ID().String())
	m.says.mu.Lock()
	defer m.says.mu.Unlock()
	mine, ok := m.says.bodies[id]
	if !ok || bytes.Equal(mine.body, r.Body()) {
		return
	}
	if r.Kind == KindNode {
		m.says.others++
		if m.says.others == 2 {
			m.cfg.Env.Log.Error("another process runs with this node's key: stop one of them, or rotate the key", "node", self.ID().Short())
		}
	}
	if m.says.others > 2 {
		return // two that say everything anew after each other would never end; by now both know
	}
	if m.says.due == nil {
		m.says.due = map[RecordID]bool{}
	}
	m.says.due[id] = true
	m.says.ring()
}

// Twin reports whether another process was heard that runs with this node's key.
func (m *Mesh) Twin() bool {
	m.says.mu.Lock()
	defer m.says.mu.Unlock()
	return m.says.others >= 2
}

// sayAgain says above what was heard what this node says.
func (m *Mesh) sayAgain(ctx context.Context) {
	m.says.mu.Lock()
	due, confirm := m.says.due, m.says.confirm
	m.says.due, m.says.confirm = nil, false
	var list []said
	for id := range due {
		list = append(list, m.says.bodies[id])
	}
	m.says.mu.Unlock()
	if confirm {
		if err := m.confirmRotations(); err != nil {
			m.cfg.Env.Log.Warn("a node's new key cannot be admitted in the place of its old one", "error", err)
		}
		if err := m.keepSeeds(); err != nil {
			m.cfg.Env.Log.Error("it cannot be noted where other nodes are", "error", err)
		}
	}
	if err := m.speaksUp(ctx); err != nil {
		m.cfg.Env.Log.Warn("it cannot be said how this node is reached", "error", err)
	}
	for _, s := range list {
		if _, err := m.Publish(ctx, s.kind, s.key, rawBody(s.body)); err != nil {
			m.cfg.Env.Log.Warn("a record of this node cannot be said again", "kind", s.kind, "key", s.key, "error", err)
		}
	}
}

// confirmRotations admits, to the domains of which the keys are here, nodes under the
// keys that they have now, where only older ones were admitted. It changes nothing of
// who belongs where: but whoever finds an old key cannot undo it any more by giving
// that key up for another.
func (m *Mesh) confirmRotations() error {
	m.change.Lock()
	defer m.change.Unlock()
	for _, a := range m.set.unconfirmed() {
		k, err := m.domainKey(a.Domain)
		if err != nil {
			return err
		}
		if k.IsZero() {
			continue
		}
		a.By = m.Self()
		if _, err := m.sealAndAdd(m.head(KindAdmission, NodeKey(a.Node, a.Domain), k.ID().String()), a, k); err != nil {
			return err
		}
	}
	return nil
}

// unconfirmed are the admissions to domains that nodes have by an older key alone.
func (s *Set) unconfirmed() (list []Admission) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for node := range s.auth.before {
		for _, d := range real(s.auth.domainsOf(node)) {
			if !s.auth.direct(node, d) {
				list = append(list, Admission{Node: node, Domain: d})
			}
		}
	}
	return list
}

// rawBody is a body that is JSON already.
type rawBody []byte

// MarshalJSON returns it as it is.
func (b rawBody) MarshalJSON() ([]byte, error) { return b, nil }
