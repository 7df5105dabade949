package peer

import (
	"slices"

	"weft"
)

// Admits reports whether this node has the key that admits nodes to a domain; for ""
// whether it has as many founding keys as must sign.
func (m *Mesh) Admits(domain string) bool {
	if !m.Joined() {
		return false
	}
	if domain == "" {
		_, err := m.foundingKeys("")
		return err == nil
	}
	k, err := m.domainKey(domain)
	return err == nil && !k.IsZero()
}

// Domain is a domain of the mesh.
type Domain struct {
	Name  string
	Epoch uint64
	// Keys are whose it is: more than one where founders said different things, and
	// then its names resolve to nothing.
	Keys  []weft.KeyID
	Nodes []weft.KeyID // that may speak for it
	// By are the nodes that each key admits.
	By map[weft.KeyID][]weft.KeyID
}

// AllDomains are the domains of the mesh, by name.
func (m *Mesh) AllDomains() (list []Domain) {
	s := m.set
	s.mu.RLock()
	defer s.mu.RUnlock()
	nodes := map[string][]weft.KeyID{}
	for n := range s.auth.admissions {
		for k := range s.auth.later(n) {
			for _, d := range s.auth.domainsOf(k) {
				if !slices.Contains(nodes[d], k) {
					nodes[d] = append(nodes[d], k)
				}
			}
		}
	}
	for name, certs := range s.auth.certs {
		d := Domain{Name: name, Keys: s.auth.holders(name), Nodes: nodes[name]}
		for _, it := range certs {
			d.Epoch = max(d.Epoch, it.Version)
		}
		slices.SortFunc(d.Nodes, compareKeys)
		d.By = map[weft.KeyID][]weft.KeyID{}
		for _, k := range d.Keys {
			for _, n := range d.Nodes {
				if s.auth.admittedBy(n, name, k) {
					d.By[k] = append(d.By[k], n)
				}
			}
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Domain) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}
