package peer

import (
	"context"
	"slices"

	"weft"
	"weft/run"
	"weft/sign"
)

// meshHost is what the network sees of a Mesh.
type meshHost struct{ m *Mesh }

func (h meshHost) nodeKey() sign.Key { return h.m.nodeKey() }
func (h meshHost) meshID() weft.Hash { return h.m.ID() }
func (h meshHost) admitting() bool   { return h.m.admitting() }

func (h meshHost) belongs(node weft.KeyID) belonging {
	b := h.m.set.belongs(node)
	if b == belongsNot && h.m.lost() && h.m.isSeed(node) {
		return belongsYes // the way back to the records
	}
	return b
}

func (s *Set) belongs(node weft.KeyID) belonging {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case s.auth.member(node):
		return belongsYes
	case s.auth.dead(node):
		return belongsNoMore
	}
	return belongsNot
}

func (h meshHost) admit(ctx context.Context, node weft.KeyID, request []byte) ([]byte, error) {
	return h.m.Admit(ctx, node, request)
}

func (h meshHost) info(node weft.KeyID) *NodeInfo {
	if info := h.m.set.nodeInfo(node); info != nil {
		return info
	}
	for _, seed := range h.m.Seeds() {
		if seed.Node == node || h.m.set.became(seed.Node, node) {
			return &NodeInfo{Addresses: seed.Addresses}
		}
	}
	return nil
}

// nodeInfo is what a member says of itself, nil where that is not known.
func (s *Set) nodeInfo(node weft.KeyID) *NodeInfo {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.auth.member(node) {
		return s.infoOf(node)
	}
	return nil
}

func (h meshHost) members() []weft.KeyID {
	s, self := h.m.set, h.m.Self()
	var list []weft.KeyID
	twice := h.m.lost() // whether one may be in the list more than once
	if twice {
		for _, seed := range h.m.Seeds() {
			list = append(list, seed.Node)
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for n := range s.auth.admissions {
		if len(s.auth.rotations[n]) > 0 { // and so it is none any more
			twice = true
			for k := range s.auth.later(n) {
				if k != self && s.auth.member(k) {
					list = append(list, k)
				}
			}
		} else if n != self && s.auth.member(n) {
			list = append(list, n)
		}
	}
	if twice {
		slices.SortFunc(list, compareKeys)
		list = slices.Compact(list)
	}
	return list
}

func (h meshHost) announce(ctx context.Context, relays []weft.KeyID) error {
	h.m.mu.Lock()
	h.m.relays = relays
	h.m.mu.Unlock()
	return h.m.publishNode(ctx)
}

// reachedBy are the nodes through which this one is reached.
func (m *Mesh) reachedBy() []weft.KeyID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.relays
}

// Run speaks with other nodes until ctx ends: it keeps links to some of them, passes
// on what is new and asks for what it lacks. It may begin before the node is in a mesh.
func (m *Mesh) Run(ctx context.Context) error {
	g := run.NewGroup(ctx)
	g.Go("speak with other nodes", m.net.run)
	g.Go("tend the records", m.Tend)
	return g.Wait()
}

// Join enters the mesh that an invitation is to: it asks the node that has invited,
// and takes what it answers. Links to others follow at once.
func (m *Mesh) Join(ctx context.Context, token string) error {
	request, to, err := m.Ask(ctx, token)
	if err != nil {
		return err
	}
	key, err := m.folder.key(nodeKey)
	if err != nil {
		return err
	}
	answer, err := m.net.join(ctx, key, to.Issuer, to.Addresses, request)
	if err != nil {
		return err
	}
	if err := m.Enter(ctx, token, answer); err != nil {
		return err
	}
	m.net.dial.wake()
	return nil
}

// Traffic counts all bytes that went to other nodes and came from them.
func (m *Mesh) Traffic() *Traffic { return &m.net.traffic }
