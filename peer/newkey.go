package peer

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"weft"
	"weft/sign"
)

// A node that took a new key shows with its certificate how: whoever has missed that,
// since the two could not reach each other or changed keys in the same moment, knows it
// again.

// changesExtension is where a certificate carries changes of keys. Who does not know it
// passes over it.
var changesExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 3, 7070, 1}

// maxChanges is how many changes a certificate carries: who has missed more than that
// has to hear of them from somebody else.
const maxChanges = 8

// withChanges is the extension for changes of keys, none where there are none.
func withChanges(raws [][]byte) ([]pkix.Extension, error) {
	if len(raws) == 0 {
		return nil, nil
	}
	b, err := asn1.Marshal(raws)
	if err != nil {
		return nil, weft.Errorf(weft.KindInternal, "make the certificate", "", "%w", err)
	}
	return []pkix.Extension{{Id: changesExtension, Value: b}}, nil
}

// changesOf are the changes of keys that a certificate carries, the first one first, each
// known by no more than its form.
func changesOf(c *x509.Certificate) [][]byte {
	for _, e := range c.Extensions {
		if !e.Id.Equal(changesExtension) || len(e.Value) > maxChanges*(limits[KindRotation]+16) {
			continue
		}
		var raws [][]byte
		if rest, err := asn1.Unmarshal(e.Value, &raws); err != nil || len(rest) > 0 || len(raws) > maxChanges {
			return nil
		}
		return raws
	}
	return nil
}

// changes are the records by which a node's key took the place of those before it, the
// first one first; of a key that came from two, or that a member's did not lead to, none.
func (s *Set) changes(node weft.KeyID) (raws [][]byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for len(raws) < maxChanges && len(s.auth.before[node]) == 1 {
		old := s.auth.before[node][0]
		if len(s.auth.rotations[old]) != 1 {
			break
		}
		r := s.record(s.auth.rotations[old][0])
		if r == nil {
			break
		}
		raws = append([][]byte{r.Raw()}, raws...)
		node = old
	}
	return raws
}

// learn takes changes of keys that lead from a member to node, as node shows them. A
// stranger who shows them is asked for more than gossip is: the key that the first one
// gives up must be a member's still, so that who has found a spent key can say nothing
// with it, and nothing is kept that leads nowhere.
func (s *Set) learn(node weft.KeyID, raws [][]byte) {
	if len(raws) == 0 || s.belongs(node) != belongsNot {
		return
	}
	var chain [][]byte
	var at weft.KeyID
	for _, raw := range raws {
		it, err := read(raw)
		if err != nil {
			return
		}
		f, ok := it.fact.(*Rotation)
		switch {
		case !ok:
			return
		case len(chain) == 0 && !s.member(f.Old):
			continue // known already, or of nobody
		case len(chain) > 0 && f.Old != at:
			return
		}
		chain, at = append(chain, raw), f.New
	}
	if at != node {
		return
	}
	for _, raw := range chain {
		if _, fate, _ := s.Add(raw); fate != FateNew && fate != FateKnown {
			return
		}
	}
}

// formerly keeps what a node said of itself by its old key, which goes with that key,
// until it says something by the new one. It is for finding the way to the node alone:
// who heard of the new key first does not know it, and what a set says must not depend
// on that.
func (s *Set) formerly(r *Rotation) {
	info := s.former[r.Old]
	if it := s.tree.get(placeOf(KindNode, r.Old.String(), r.Old.String())); it != nil {
		info = it.fact.(*NodeInfo)
	}
	if info != nil {
		s.former[r.New] = info
	}
	delete(s.former, r.Old)
}

// infoOf is what a node says of itself, by this key or by the one before; nil where that
// is not known.
func (s *Set) infoOf(node weft.KeyID) *NodeInfo {
	if it := s.tree.get(placeOf(KindNode, node.String(), node.String())); it != nil {
		return it.fact.(*NodeInfo)
	}
	return s.former[node]
}

// became reports whether a node that had a key has the other one now.
func (s *Set) became(old, now weft.KeyID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.auth.later(old)[now]
}

// changes are those that this node shows.
func (h meshHost) changes(key sign.Key) [][]byte { return h.m.set.changes(key.ID()) }

// learn takes those that another one shows.
func (h meshHost) learn(node weft.KeyID, raws [][]byte) { h.m.set.learn(node, raws) }
