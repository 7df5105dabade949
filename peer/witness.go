package peer

import (
	"cmp"
	"io"
	"log/slog"
	"slices"
	"time"

	"weft"
	"weft/sign"
)

// Witness judges keys by signed records alone: it is no node, keeps nothing on a disk
// and asks nobody. What it trusts is the mesh's identity; all else is proved from there.
// It is safe for concurrent use.
type Witness struct{ set *Set }

// NewWitness makes a witness of a mesh, which knows no record yet.
func NewWitness(mesh weft.Hash) *Witness {
	// Nobody's clock decides what was said once: no record is too early.
	late := func() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }
	s := newSet(late, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	s.auth = newAuthority(mesh)
	return &Witness{set: s}
}

// testimony is the order in which records allow each other; what is not among them says
// nothing of who may sign what.
var testimony = []string{KindCharter, KindDomain, KindAdmission, KindRotation, KindRevocation, KindNode}

// Hear takes the records that are of its mesh and in order, and returns how many. What
// is not counts for nothing: it may be of anybody.
func (w *Witness) Hear(raws [][]byte) int {
	byKind := map[string][][]byte{}
	for _, raw := range raws {
		if r, err := sign.Peek(raw); err == nil {
			byKind[r.Kind] = append(byKind[r.Kind], raw)
		}
	}
	before := w.set.Count()
	for _, kind := range testimony {
		rest := byKind[kind]
		for n := -1; len(rest) != n; { // of a chain of keys the later ones may come first
			n = len(rest)
			rest = slices.DeleteFunc(rest, func(raw []byte) bool {
				_, fate, _ := w.set.Add(raw)
				return fate != FateEarly
			})
		}
	}
	return w.set.Count() - before
}

// Standing is what is known of a key, or of a key in a domain.
type Standing struct {
	Was   bool // it was admitted once, or a key was that it took the place of
	Holds bool // and nothing that is known has ended that; a new key of the same node does not
	// Ended says what has, where Was and not Holds; Since is when, by the clock of who
	// said so, zero where that is not known.
	Ended string
	Since time.Time
	Next  weft.KeyID // the node's newest key, where it has another by now
}

// Of says how a key stands in a domain; in the mesh as a whole where domain is "".
func (w *Witness) Of(node weft.KeyID, domain string) (st Standing) {
	s := w.set
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Next = s.auth.newest(node)
	if domain == "" {
		st.Was = s.auth.wasMember(node)
		for _, d := range s.auth.everOf(node) {
			st.Holds = st.Holds || s.auth.stands(node, d)
		}
	} else {
		st.Was, st.Holds = s.auth.was(node, domain), s.auth.stands(node, domain)
	}
	if st.Was && !st.Holds {
		st.Ended, st.Since = s.auth.end(node, domain)
	}
	return st
}

// Charter is the mesh's charter, nil where the witness has not heard it.
func (w *Witness) Charter() *Charter { return w.set.Charter() }

// NameOf is what a node calls itself, by this key or the newest that it has; empty where
// that is not known.
func (w *Witness) NameOf(node weft.KeyID) string {
	w.set.mu.RLock()
	last := w.set.auth.newest(node)
	w.set.mu.RUnlock()
	return cmp.Or(w.set.nameOfNode(node), w.set.nameOfNode(last))
}

// stands reports whether the key belongs to the domain as far as is known, whether or
// not its node has a newer one.
func (a *authority) stands(node weft.KeyID, domain string) bool {
	return len(a.rotations[node]) < 2 && len(a.holders(domain)) < 2 && a.reaches(node, domain, 0)
}

// everOf are the domains that the key, or one that it took the place of, was ever
// admitted to.
func (a *authority) everOf(node weft.KeyID) (domains []string) {
	a.back(node, func(k weft.KeyID) bool {
		for d := range a.admissions[k] {
			domains = append(domains, d)
		}
		return false
	})
	slices.Sort(domains)
	return slices.Compact(domains)
}

// newest is the key that the node has now, zero where it is this one or nobody knows.
func (a *authority) newest(node weft.KeyID) (last weft.KeyID) {
	for range maxRotations {
		to := a.rotations[node]
		if len(to) != 1 {
			break
		}
		node = to[0].fact.(*Rotation).New
		last = node
	}
	return last
}

// end says why a key no longer belongs to a domain that it was admitted to.
func (a *authority) end(node weft.KeyID, domain string) (why string, at time.Time) {
	of := func(it *item, format string) (string, time.Time) {
		if r := it.fact.(*Revocation).Reason; r != "" {
			format += ": " + r
		}
		return format, time.UnixMicro(it.time).UTC()
	}
	keys := []weft.KeyID{node}
	a.back(node, func(k weft.KeyID) bool { keys = append(keys, k); return false })
	for _, k := range keys {
		for _, it := range a.revocations[k][""] {
			return of(it, "it was revoked")
		}
		for _, it := range a.revocations[k][domain] {
			if a.founded(it.signers) || a.speaks(domain, it.signers) {
				return of(it, "it was revoked from the domain")
			}
		}
		if len(a.rotations[k]) > 1 {
			return "its key was given up for two others", at
		}
	}
	if len(a.holders(domain)) > 1 {
		return "the domain is claimed by several keys", at
	}
	return "the domain was given to another key", at
}

// Vouch are the records that prove, to whoever trusts the mesh's identity, that the
// nodes belong to the domains: the charter, the domains' certificates, the admissions,
// changes of keys, and what was revoked of that. A node without domains is proved to be
// of the mesh.
func (s *Set) Vouch(who map[weft.KeyID][]string) (raws [][]byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	need := map[string]bool{"": true} // domains of which the certificates are told
	nodes := map[weft.KeyID][]string{}
	for node, domains := range who {
		all := s.auth.everOf(node)
		if len(domains) > 0 {
			all = domains
		}
		for _, d := range all {
			need[d] = true
		}
		s.auth.back(node, func(k weft.KeyID) bool { nodes[k] = append(nodes[k], all...); return false })
	}
	return s.rawOf(func(it *item) bool {
		switch f := it.fact.(type) {
		case *Charter:
			return it.hash == s.auth.mesh
		case *Certificate:
			return need[f.Domain]
		case *Admission:
			return slices.Contains(nodes[f.Node], f.Domain)
		case *Revocation:
			return nodes[f.Node] != nil && (f.Domain == "" || slices.Contains(nodes[f.Node], f.Domain))
		case *Rotation:
			return nodes[f.New] != nil
		}
		return false
	})
}

// Testimony are all records that say who may sign what, and what the nodes call
// themselves: what a Witness needs.
func (s *Set) Testimony() [][]byte {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rawOf(func(it *item) bool { return !it.opaque && slices.Contains(testimony, it.kind) })
}

// rawOf are the bytes of the records that are asked for, in the order in which they
// allow each other.
func (s *Set) rawOf(asked func(*item) bool) (raws [][]byte) {
	var list []*item
	s.tree.all(func(it *item) bool {
		if !it.opaque && asked(it) {
			list = append(list, it)
		}
		return true
	})
	slices.SortFunc(list, func(a, b *item) int {
		return cmp.Or(cmp.Compare(slices.Index(testimony, a.kind), slices.Index(testimony, b.kind)), cmp.Compare(a.key, b.key), slices.Compare(a.ID[:], b.ID[:]))
	})
	for _, it := range list {
		if r := s.record(it); r != nil {
			raws = append(raws, r.Raw())
		}
	}
	return raws
}

// SigningKey is the key that the node signs with. A node that is in no mesh has one as
// well: it is made when it is first asked for, and is the one with which the node enters
// a mesh later.
func (m *Mesh) SigningKey() (sign.Key, error) {
	m.change.Lock()
	defer m.change.Unlock()
	if k := m.nodeKey(); !k.IsZero() {
		return k, nil
	}
	if err := m.folder.make(); err != nil {
		return sign.Key{}, err
	}
	return m.folder.someKey(nodeKey)
}
