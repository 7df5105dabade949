package peer

import (
	"slices"
	"strings"

	"weft"
)

// authority is what the records of a set say of who may sign what. It answers two
// questions, which are not the same. "Was it ever said?" decides which records the set
// takes: the answer only ever turns from no to yes, and so the set does not depend on
// the order in which records come. "Does it hold?" decides what records mean: a
// revocation, another epoch of a domain or a new key of a node can turn it around.
//
// Its maps hold the items of the set. It is not safe for concurrent use.
type authority struct {
	mesh        weft.Hash
	founding    *Charter // the first charter: its founders sign for ever
	charter     *item    // the one that holds
	certs       map[string]map[weft.KeyID]*item
	admissions  map[weft.KeyID]map[string][]*item // by node and domain
	revocations map[weft.KeyID]map[string][]*item
	rotations   map[weft.KeyID][]*item // by old key
	before      map[weft.KeyID][]weft.KeyID
	handovers   map[string]map[weft.KeyID]*item // by product and who gives
}

func newAuthority(mesh weft.Hash) *authority {
	return &authority{
		mesh: mesh, certs: map[string]map[weft.KeyID]*item{}, admissions: map[weft.KeyID]map[string][]*item{},
		revocations: map[weft.KeyID]map[string][]*item{}, rotations: map[weft.KeyID][]*item{},
		before: map[weft.KeyID][]weft.KeyID{}, handovers: map[string]map[weft.KeyID]*item{},
	}
}

// put enters an item, in place of old where that is not nil.
func (a *authority) put(it, old *item) {
	switch f := it.fact.(type) {
	case *Charter:
		if it.Version == 1 && it.hash == a.mesh {
			a.founding = f
		}
		if a.charter == nil || it.newer(a.charter.Entry) {
			a.charter = it
		}
	case *Certificate:
		if a.certs[f.Domain] == nil {
			a.certs[f.Domain] = map[weft.KeyID]*item{}
		}
		a.certs[f.Domain][f.Key] = it
	case *Admission:
		putIn(a.admissions, f.Node, f.Domain, it, old)
	case *Revocation:
		putIn(a.revocations, f.Node, f.Domain, it, old)
	case *Rotation:
		a.rotations[f.Old] = replaced(a.rotations[f.Old], it, old)
		if !slices.Contains(a.before[f.New], f.Old) {
			a.before[f.New] = append(a.before[f.New], f.Old)
		}
	case *Handover:
		if a.handovers[it.key] == nil {
			a.handovers[it.key] = map[weft.KeyID]*item{}
		}
		a.handovers[it.key][f.From] = it
	}
}

// drop takes a handover out: the only fact that a set ever lets go of.
func (a *authority) drop(it *item) {
	if f, ok := it.fact.(*Handover); ok {
		delete(a.handovers[it.key], f.From)
	}
}

func putIn(m map[weft.KeyID]map[string][]*item, node weft.KeyID, domain string, it, old *item) {
	if m[node] == nil {
		m[node] = map[string][]*item{}
	}
	m[node][domain] = replaced(m[node][domain], it, old)
}

func replaced(list []*item, it, old *item) []*item {
	if i := slices.Index(list, old); old != nil && i >= 0 {
		list[i] = it
		return list
	}
	return append(list, it)
}

// founded reports whether enough founders signed, and nobody else.
func (a *authority) founded(signers []weft.KeyID) bool {
	if a.founding == nil || len(signers) < a.founding.Threshold {
		return false
	}
	for _, s := range signers {
		if !slices.Contains(a.founding.Founders, s) {
			return false
		}
	}
	return true
}

// certified reports whether the key was ever given the domain.
func (a *authority) certified(domain string, key weft.KeyID) bool {
	return a.certs[domain][key] != nil
}

// holders are the keys that speak for a domain: one, none where nobody has it, and
// several where founders gave it to several at once.
func (a *authority) holders(domain string) (keys []weft.KeyID) {
	var top uint64
	for k, it := range a.certs[domain] {
		if it.Version > top {
			top, keys = it.Version, nil
		}
		if it.Version == top {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// was reports whether the node, or a key that it had before, was ever admitted to the
// domain.
func (a *authority) was(node weft.KeyID, domain string) bool {
	return a.back(node, func(k weft.KeyID) bool { return len(a.admissions[k][domain]) > 0 })
}

// wasMember reports whether it was ever admitted to any domain, or without one.
func (a *authority) wasMember(node weft.KeyID) bool {
	return a.back(node, func(k weft.KeyID) bool { return len(a.admissions[k]) > 0 })
}

const maxRotations = 1000 // keys of one node that are followed

// back asks the key and all that it had before until one says yes.
func (a *authority) back(node weft.KeyID, yes func(weft.KeyID) bool) bool {
	if yes(node) {
		return true
	}
	if len(a.before[node]) == 0 {
		return false
	}
	seen := map[weft.KeyID]bool{node: true}
	for queue := a.before[node]; len(queue) > 0 && len(seen) < maxRotations; queue = queue[1:] {
		k := queue[0]
		if seen[k] {
			continue
		}
		seen[k] = true
		if yes(k) {
			return true
		}
		queue = append(slices.Clip(queue), a.before[k]...)
	}
	return false
}

// later are the key and all that it was given up for.
func (a *authority) later(node weft.KeyID) map[weft.KeyID]bool {
	keys := map[weft.KeyID]bool{}
	for queue := []weft.KeyID{node}; len(queue) > 0 && len(keys) < maxRotations; queue = queue[1:] {
		k := queue[0]
		if keys[k] {
			continue
		}
		keys[k] = true
		for _, r := range a.rotations[k] {
			queue = append(queue, r.fact.(*Rotation).New)
		}
	}
	return keys
}

// allows are the keys of which something may be allowed by the fact that was not before;
// all is set where that may be anybody.
func (a *authority) allows(fact any) (keys map[weft.KeyID]bool, all bool) {
	switch f := fact.(type) {
	case *Charter:
		return nil, true
	case *Certificate:
		return map[weft.KeyID]bool{f.Key: true}, false
	case *Admission:
		return a.later(f.Node), false
	case *Rotation:
		return a.later(f.New), false
	}
	return nil, false
}

// dead reports whether nothing that the key signs is taken any more: the founders
// revoked it, or it was given up for another. It never turns back.
func (a *authority) dead(node weft.KeyID) bool {
	return len(a.revocations[node][""]) > 0 || len(a.rotations[node]) > 0
}

// speaks reports whether one of the signers has the domain now.
func (a *authority) speaks(domain string, signers []weft.KeyID) bool {
	if len(signers) != 1 || !a.certified(domain, signers[0]) {
		return false
	}
	mine := a.certs[domain][signers[0]].Version
	for _, it := range a.certs[domain] {
		if it.Version > mine {
			return false
		}
	}
	return true
}

// revoked reports whether the key may not speak for the domain (any more), whatever
// admits it.
func (a *authority) revoked(node weft.KeyID, domain string) bool {
	if len(a.revocations[node]) == 0 {
		return false
	}
	if len(a.revocations[node][""]) > 0 {
		return true
	}
	for _, it := range a.revocations[node][domain] {
		if a.founded(it.signers) || a.speaks(domain, it.signers) {
			return true
		}
	}
	return false
}

// admittedBy reports whether the key ever admitted the node, or a key that it had before.
func (a *authority) admittedBy(node weft.KeyID, domain string, key weft.KeyID) bool {
	return a.back(node, func(k weft.KeyID) bool {
		return slices.ContainsFunc(a.admissions[k][domain], func(it *item) bool { return slices.Contains(it.signers, key) })
	})
}

// admitted reports whether the node belongs to the domain.
func (a *authority) admitted(node weft.KeyID, domain string) bool {
	return len(a.rotations[node]) == 0 && a.reaches(node, domain, 0)
}

// reaches follows the node's keys back to one that was admitted. A key that was
// revoked passes nothing on, and one that was given up for two does not either:
// nobody knows which of them is the node.
func (a *authority) reaches(node weft.KeyID, domain string, depth int) bool {
	if depth > maxRotations || a.revoked(node, domain) {
		return false
	}
	if a.direct(node, domain) {
		return true
	}
	for _, old := range a.before[node] {
		if len(a.rotations[old]) == 1 && a.reaches(old, domain, depth+1) {
			return true
		}
	}
	return false
}

// direct reports whether the key itself was admitted, by who has the domain now.
func (a *authority) direct(node weft.KeyID, domain string) bool {
	for _, it := range a.admissions[node][domain] {
		if domain == "" || a.speaks(domain, it.signers) {
			return true
		}
	}
	return false
}

// domainsOf are the domains that the node belongs to, in order; "" is among them where
// it was admitted without one.
func (a *authority) domainsOf(node weft.KeyID) (domains []string) {
	a.back(node, func(k weft.KeyID) bool {
		for d := range a.admissions[k] {
			if !slices.Contains(domains, d) && a.admitted(node, d) {
				domains = append(domains, d)
			}
		}
		return false
	})
	slices.Sort(domains)
	return domains
}

// member reports whether the node belongs to the mesh.
func (a *authority) member(node weft.KeyID) bool {
	return a.back(node, func(k weft.KeyID) bool {
		for d := range a.admissions[k] {
			if a.admitted(node, d) {
				return true
			}
		}
		return false
	})
}

// judge says whether the set takes the item: FateNew where it does, FateEarly where
// something that would allow it may still come.
func (a *authority) judge(it *item) (Fate, error) {
	if it.rec.Mesh != a.mesh && it.hash != a.mesh {
		return FateRefused, refused(it, weft.KindDenied, "it is of another mesh")
	}
	if it.opaque {
		return a.judgeOpaque(it)
	}
	switch f := it.fact.(type) {
	case *Charter:
		return a.judgeCharter(it, f)
	case *Certificate:
		return a.byFounders(it, "give a domain away")
	case *Admission:
		if f.Domain == "" {
			return a.byFounders(it, "admit a node without a domain")
		}
		if !a.certified(f.Domain, it.signer()) {
			return early(it, "its signer does not have domain %s", f.Domain)
		}
	case *Revocation:
		if f.Domain != "" && len(it.signers) == 1 && a.certified(f.Domain, it.signer()) {
			return FateNew, nil
		}
		return a.byFounders(it, "revoke a node")
	case *Rotation:
		if !a.wasMember(f.Old) {
			return early(it, "node %s is not known", f.Old.Short())
		}
	case *NodeInfo:
		return a.byNode(it, a.wasMember(it.signer()), "of this mesh")
	case *Handover:
		if fate, err := a.byNode(it, a.was(f.From, it.domain()), "of domain "+it.domain()); fate != FateNew {
			return fate, err
		}
		if !a.was(f.To, it.domain()) {
			return early(it, "node %s is none of domain %s", f.To.Short(), it.domain())
		}
	default: // cards and heads
		return a.byNode(it, a.was(it.signer(), it.domain()), "of domain "+it.domain())
	}
	return FateNew, nil
}

func (a *authority) judgeCharter(it *item, c *Charter) (Fate, error) {
	if it.hash == a.mesh {
		for _, s := range it.signers {
			if !slices.Contains(c.Founders, s) {
				return FateRefused, refused(it, weft.KindDenied, "somebody signs it who does not found the mesh")
			}
		}
		if len(it.signers) < c.Threshold {
			return FateRefused, refused(it, weft.KindDenied, "%d of its %d founders sign it, and %d must", len(it.signers), len(c.Founders), c.Threshold)
		}
		return FateNew, nil
	}
	if fate, err := a.byFounders(it, "change the charter"); fate != FateNew {
		return fate, err
	}
	if !slices.Equal(c.Founders, a.founding.Founders) || c.Threshold != a.founding.Threshold {
		return FateRefused, refused(it, weft.KindDenied, "the founding keys of a mesh never change")
	}
	return FateNew, nil
}

// byFounders takes what enough founders sign.
func (a *authority) byFounders(it *item, what string) (Fate, error) {
	switch {
	case a.founded(it.signers):
		return FateNew, nil
	case a.founding == nil:
		return early(it, "the charter is not known")
	case it.fact != nil && isRevocation(it.fact) != "" && len(it.signers) == 1:
		return early(it, "its signer does not have domain %s", isRevocation(it.fact))
	}
	return FateRefused, refused(it, weft.KindDenied, "%d of %d founding keys must sign to %s, and nobody else", a.founding.Threshold, len(a.founding.Founders), what)
}

// isRevocation is the domain of a revocation, empty of anything else.
func isRevocation(fact any) string {
	if v, ok := fact.(*Revocation); ok {
		return v.Domain
	}
	return ""
}

// byNode takes what a node signs that was admitted.
func (a *authority) byNode(it *item, was bool, of string) (Fate, error) {
	switch n := it.signer(); {
	case a.dead(n) && len(a.rotations[n]) > 0:
		return FateRefused, refused(it, weft.KindDenied, "node %s gave this key up for another", n.Short())
	case a.dead(n):
		return FateRefused, refused(it, weft.KindDenied, "node %s was revoked", n.Short())
	case !was:
		return early(it, "node %s is none %s", n.Short(), of)
	}
	return FateNew, nil
}

// judgeOpaque takes what this program cannot read from whoever belongs to the mesh.
func (a *authority) judgeOpaque(it *item) (Fate, error) {
	for _, s := range it.signers {
		if a.dead(s) {
			return FateRefused, refused(it, weft.KindDenied, "key %s is no longer of this mesh", s.Short())
		}
	}
	for _, s := range it.signers {
		if a.wasMember(s) || a.founding != nil && slices.Contains(a.founding.Founders, s) || a.anyDomain(s) {
			return FateNew, nil
		}
	}
	return early(it, "its signer is not known")
}

func (a *authority) anyDomain(key weft.KeyID) bool {
	for d := range a.certs {
		if a.certified(d, key) {
			return true
		}
	}
	return false
}

func early(it *item, format string, args ...any) (Fate, error) {
	return FateEarly, refused(it, weft.KindDenied, format, args...)
}

func refused(it *item, kind weft.Kind, format string, args ...any) error {
	return weft.Errorf(kind, "take the record", strings.TrimSpace(it.kind+" "+it.key), format, args...)
}
