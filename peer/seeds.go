package peer

import (
	"context"
	"reflect"
	"slices"

	"weft"
)

// maxSeeds is how many nodes are kept as a way back.
const maxSeeds = 8

// lost reports whether the node is in a mesh and has no record that says so: its
// database was damaged and moved away. What it lacks it gets from its seeds, whose keys
// it knows from before.
func (m *Mesh) lost() bool {
	self := m.Self()
	return !self.IsZero() && !m.set.everMember(self)
}

// isSeed reports whether a node is one of the seeds.
func (m *Mesh) isSeed(node weft.KeyID) bool {
	return slices.ContainsFunc(m.Seeds(), func(s Seed) bool { return s.Node == node })
}

// keepSeeds notes nodes that can be reached, for the case that the records are lost.
// While those that are noted are, it does not look at all the others: in a mesh of a
// thousand nodes that comes a thousand times while it grows.
func (m *Mesh) keepSeeds() error {
	m.change.Lock()
	defer m.change.Unlock()
	if !m.Joined() || m.lost() || m.goodSeeds() {
		return nil
	}
	var seeds []Seed
	for _, n := range m.Members() {
		if n.Self || n.Revoked || !n.Rotated.IsZero() || len(seeds) == maxSeeds {
			continue
		}
		if info := m.set.nodeInfo(n.ID); info != nil && len(info.Addresses) > 0 {
			seeds = append(seeds, Seed{Node: n.ID, Addresses: info.Addresses})
		}
	}
	if len(seeds) == 0 || reflect.DeepEqual(seeds, m.Seeds()) {
		return nil
	}
	m.mu.RLock()
	st := *m.state
	m.mu.RUnlock()
	st.Seeds = seeds
	if err := m.folder.save(&st); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = &st
	return nil
}

// goodSeeds reports whether as many seeds as are kept are noted, all members that say
// of themselves that they are where it is noted.
func (m *Mesh) goodSeeds() bool {
	seeds := m.Seeds()
	return len(seeds) == maxSeeds && !slices.ContainsFunc(seeds, func(s Seed) bool {
		info := m.set.nodeInfo(s.Node)
		return info == nil || s.Node == m.Self() || !slices.Equal(info.Addresses, s.Addresses)
	})
}

// speaksUp publishes how the node is reached where it has not done so since it started:
// it had lost the records that let it.
func (m *Mesh) speaksUp(ctx context.Context) error {
	self := m.Self()
	id := placeOf(KindNode, self.String(), self.String())
	m.says.mu.Lock()
	_, done := m.says.bodies[id]
	m.says.mu.Unlock()
	if done || !m.set.member(self) {
		return nil
	}
	return m.publishNode(ctx)
}
