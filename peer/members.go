package peer

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"weft"
)

// Member is a node that was admitted to the mesh.
type Member struct {
	ID        weft.KeyID   `json:"id"`
	Name      string       `json:"name,omitempty"`
	Domains   []string     `json:"domains"`
	Addresses []string     `json:"addresses,omitempty"`
	Relays    []weft.KeyID `json:"relays,omitempty"`
	Relay     bool         `json:"relay,omitempty"`
	Version   string       `json:"version,omitempty"`
	Formats   []int        `json:"formats,omitempty"`
	Self      bool         `json:"self,omitempty"`
	Revoked   bool         `json:"revoked,omitempty"` // it belongs to nothing any more
	Reason    string       `json:"reason,omitempty"`
	Rotated   weft.KeyID   `json:"rotated,omitzero"` // the key that it has now
	LastSeen  time.Time    `json:"lastSeen,omitzero"`
	Link      LinkState    `json:"link,omitempty"`
	Via       weft.KeyID   `json:"via,omitzero"` // the node that relays, of LinkRelay
}

// LinkState says how a node is linked to another.
type LinkState string

// The states of a link.
const (
	LinkDirect LinkState = "direct"
	LinkRelay  LinkState = "relay"
	LinkNone   LinkState = "none" // and none is needed
	LinkAway   LinkState = "away" // it could not be reached when it was tried last
)

// Members are all nodes that were ever admitted, by name and then key; those that were
// revoked or have another key by now are among them and say so.
func (m *Mesh) Members() []Member {
	list := m.set.members()
	self := m.Self()
	for i := range list {
		list[i].Self = list[i].ID == self
		list[i].Link, list[i].LastSeen = m.net.state(list[i].ID)
		if list[i].Link == LinkRelay {
			list[i].Via = m.net.dial.via(list[i].ID)
		}
	}
	return list
}

func (s *Set) members() (list []Member) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	nodes := map[weft.KeyID]bool{}
	for n := range s.auth.admissions {
		for k := range s.auth.later(n) {
			nodes[k] = true
		}
	}
	for n := range nodes {
		list = append(list, s.memberOf(n))
	}
	slices.SortFunc(list, func(a, b Member) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return compareKeys(a.ID, b.ID)
	})
	return list
}

func (s *Set) memberOf(n weft.KeyID) Member {
	m := Member{ID: n, Domains: real(s.auth.domainsOf(n))}
	if it := s.tree.get(placeOf(KindNode, n.String(), n.String())); it != nil {
		f := it.fact.(*NodeInfo)
		m.Name, m.Addresses, m.Relays, m.Relay, m.Version, m.Formats = f.Name, f.Addresses, f.Relays, f.Relay, f.Version, f.Formats
	}
	switch to := s.auth.rotations[n]; {
	case len(to) == 1:
		m.Rotated = to[0].fact.(*Rotation).New
		for k := range s.auth.later(n) { // its record went with the key, the next one has the name
			if it := s.tree.get(placeOf(KindNode, k.String(), k.String())); m.Name == "" && it != nil {
				m.Name = it.fact.(*NodeInfo).Name
			}
		}
	case !s.auth.member(n):
		m.Revoked = true
		name := m.Name
		if m.Name, m.Reason = s.auth.epitaph(n); name != "" {
			m.Name = name
		}
	}
	return m
}

// epitaph is what was said of a node that was revoked: its name, and why. What the
// founders said of all goes before what was said of one domain.
func (a *authority) epitaph(node weft.KeyID) (name, reason string) {
	for _, d := range slices.Sorted(maps.Keys(a.revocations[node])) {
		var last *item
		for _, it := range a.revocations[node][d] {
			last = newest(last, it)
		}
		f := last.fact.(*Revocation)
		name, reason = cmp.Or(name, f.Name), cmp.Or(reason, f.Reason)
	}
	return name, reason
}

// nameOfNode is what a node calls itself.
func (s *Set) nameOfNode(node weft.KeyID) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if it := s.tree.get(placeOf(KindNode, node.String(), node.String())); it != nil {
		return it.fact.(*NodeInfo).Name
	}
	return ""
}

// real leaves out the domain of those who have none.
func real(domains []string) []string {
	return slices.DeleteFunc(append([]string{}, domains...), func(d string) bool { return d == "" })
}

// DomainsOf are the domains that a node belongs to: nil where it is unknown, was
// revoked, or has another key by now, and empty where it belongs to the mesh alone.
func (m *Mesh) DomainsOf(node weft.KeyID) []string {
	m.set.mu.RLock()
	defer m.set.mu.RUnlock()
	d := m.set.auth.domainsOf(node)
	if len(d) == 0 {
		return nil
	}
	return real(d)
}

// Domains are the domains that this node may speak for.
func (m *Mesh) Domains() []string { return m.DomainsOf(m.Self()) }

// Resolve returns nil where the name of a product may be followed, and else why it may
// not. See Set.Resolve.
func (m *Mesh) Resolve(n weft.Name) error { return m.set.Resolve(n) }

// Conflicts are all names that resolve to nothing and all keys that were given up
// twice, in order.
func (m *Mesh) Conflicts() []Conflict { return m.set.conflicts() }

func (s *Set) conflicts() (list []Conflict) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for d := range s.auth.certs {
		if keys := s.auth.holders(d); len(keys) > 1 {
			list = append(list, Conflict{Domain: d, Claims: keys})
		}
	}
	for old, to := range s.auth.rotations {
		if len(to) < 2 {
			continue
		}
		c := Conflict{Node: old}
		for _, it := range to {
			c.Claims = append(c.Claims, it.fact.(*Rotation).New)
		}
		slices.SortFunc(c.Claims, compareKeys)
		list = append(list, c)
	}
	for _, n := range s.namesOf(func(*item) bool { return true }) {
		st := s.standingOf(n.key)
		if n.kind != KindCard || len(st.rivals) < 2 {
			continue
		}
		name := nameOf(n.key)
		c := Conflict{Product: &name}
		for _, it := range st.rivals {
			c.Claims = append(c.Claims, it.signer())
		}
		slices.SortFunc(c.Claims, compareKeys)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Conflict) int { return strings.Compare(a.String(), b.String()) })
	return list
}
