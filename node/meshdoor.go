package node

import (
	"context"
	"slices"
	"time"

	"weft"
	"weft/peer"
	"weft/serve"
)

// meshDoor is the node's part in a mesh as doors see it.
type meshDoor struct{ n *Node }

// Info tells what the node is part of.
func (d meshDoor) Info(context.Context, weft.Subject) (*serve.MeshInfo, error) {
	n := d.n
	info := &serve.MeshInfo{Name: n.cfg.Name, Cards: n.cat.Len()}
	if !n.joined() {
		return info, nil
	}
	m, c := n.mesh, n.mesh.Charter()
	info.Joined, info.Node, info.ID, info.Mesh = true, m.Self(), m.ID().String(), c.Name
	info.Founder, info.Founders, info.Threshold = m.Admits(""), c.Founders, c.Threshold
	info.Classifications, info.Purposes = c.Classifications, c.Purposes
	n.circleChanged() // who asks for the mesh gets what is now
	info.Peers, info.Reachable = n.countPeers()
	info.Records = m.Set().Count()
	mine := m.Domains()
	for _, x := range m.AllDomains() {
		out := serve.MeshDomain{Domain: x.Name, Epoch: x.Epoch, Nodes: x.Nodes, Mine: slices.Contains(mine, x.Name), Admits: m.Admits(x.Name)}
		if out.Nodes == nil {
			out.Nodes = []weft.KeyID{}
		}
		if len(x.Keys) > 0 {
			out.Key = x.Keys[0]
		}
		if len(x.Keys) > 1 {
			for _, k := range x.Keys {
				out.Claims = append(out.Claims, serve.MeshClaim{Key: k, Nodes: append([]weft.KeyID{}, x.By[k]...)})
			}
		}
		info.Domains = append(info.Domains, out)
	}
	return info, nil
}

// countPeers counts the other members, and those of them that can be reached.
func (n *Node) countPeers() (all, reachable int) {
	list, _ := n.members()
	for _, m := range list {
		if m.Self || m.Revoked || !m.Rotated.IsZero() {
			continue
		}
		all++
		if reached(m) {
			reachable++
		}
	}
	return all, reachable
}

// Peers gives every node of the mesh, this one first and then by name.
func (d meshDoor) Peers(context.Context, weft.Subject) ([]serve.Peer, error) {
	n := d.n
	out := []serve.Peer{}
	if !n.joined() {
		return out, nil
	}
	n.circleChanged()
	cards := n.cat.ByOrigin()
	list, nodes := n.members()
	for _, m := range list {
		p := peerOf(m)
		p.Cards = cards[m.ID]
		if p.Name == "" && p.Rotated != nil {
			p.Name = nodes[*p.Rotated].Name // the record under the old key is gone
		}
		if m.Self {
			out = slices.Insert(out, 0, p)
			continue
		}
		out = append(out, p)
	}
	return out, nil
}

// peerOf is a member as doors show it.
func peerOf(m peer.Member) serve.Peer {
	p := serve.Peer{
		Node: m.ID, Name: m.Name, Domains: m.Domains, Addresses: m.Addresses, Version: m.Version, Link: linkOf(m), Relays: m.Relay,
	}
	if p.Domains == nil {
		p.Domains = []string{}
	}
	if !m.Via.IsZero() {
		via := m.Via
		p.Via = &via
	}
	if !m.LastSeen.IsZero() {
		at := m.LastSeen
		p.LastSeen = &at
	}
	if m.Revoked {
		p.Revoked, p.Link = []serve.Revocation{{Reason: m.Reason}}, ""
	}
	if !m.Rotated.IsZero() {
		to := m.Rotated
		p.Rotated, p.Link = &to, ""
	}
	return p
}

// linkOf says how a member is reached.
func linkOf(m peer.Member) serve.Link {
	switch {
	case m.Self:
		return serve.LinkSelf
	case m.Link == peer.LinkDirect:
		return serve.LinkDirect
	case m.Link == peer.LinkRelay:
		return serve.LinkRelay
	case m.Link == peer.LinkAway:
		return serve.LinkAway
	}
	return serve.LinkMesh
}

// reached reports whether a member can be reached now.
func reached(m peer.Member) bool { return linkOf(m) != serve.LinkAway }

// Found makes a mesh whose only node is this one. It speaks for the domains that are
// named, or else for those that it has.
func (d meshDoor) Found(ctx context.Context, s weft.Subject, f serve.Founding) (*serve.MeshInfo, error) {
	n := d.n
	if len(f.Domains) == 0 {
		f.Domains = n.domains()
	}
	for _, x := range f.Domains {
		if err := n.conf().holds(x); err != nil {
			return nil, err
		}
	}
	err := n.mesh.Found(ctx, peer.Founding{Name: or(f.Name, n.cfg.Name), Domains: f.Domains})
	if err != nil {
		return nil, err
	}
	n.env.Log.InfoContext(ctx, "a mesh is founded", "mesh", n.mesh.ID().String(), "domains", f.Domains)
	return d.entered(ctx, s)
}

// Join enters a mesh by an invitation.
func (d meshDoor) Join(ctx context.Context, s weft.Subject, r serve.JoinRequest) (*serve.MeshInfo, error) {
	n := d.n
	if err := n.mesh.Join(ctx, r.Token); err != nil {
		return nil, err
	}
	n.env.Log.InfoContext(ctx, "the mesh is joined", "mesh", n.mesh.ID().String(), "domains", n.mesh.Domains())
	return d.entered(ctx, s)
}

// entered is what follows when the node is in a mesh from now on.
func (d meshDoor) entered(ctx context.Context, s weft.Subject) (*serve.MeshInfo, error) {
	d.n.circleChanged()
	d.n.cards.again()
	return d.Info(ctx, s)
}

// memberDoor changes who is in the mesh.
type memberDoor struct{ n *Node }

// inviteFor is how long an invitation can be used where nothing is said.
const inviteFor = time.Hour

// Invite makes an invitation.
func (d memberDoor) Invite(ctx context.Context, _ weft.Subject, r serve.InviteRequest) (*serve.Invitation, error) {
	m := d.n.mesh
	in := peer.Invitation{Domain: r.Domain, Expires: time.Duration(r.For) * time.Second}
	if in.Expires == 0 {
		in.Expires = inviteFor
	}
	word, err := m.Invite(ctx, in)
	if err != nil {
		return nil, err
	}
	return &serve.Invitation{Token: word, Mesh: m.Charter().Name, Domain: r.Domain, Expires: d.n.env.Clock.Now().Add(in.Expires).UTC().Truncate(time.Second)}, nil
}

// Revoke ends a node's membership, or its part in one domain.
func (d memberDoor) Revoke(ctx context.Context, _ weft.Subject, node weft.KeyID, r serve.RevokeRequest) error {
	n := d.n
	if n.joined() && node == n.mesh.Self() && r.Domain == "" {
		return weft.Errorf(weft.KindInvalid, "revoke the node", node.Short(), "it is this node itself").
			WithHint("revoke it from another one that holds the founding key")
	}
	if err := n.mesh.Revoke(ctx, node, r.Domain, r.Reason); err != nil {
		return err
	}
	n.env.Log.InfoContext(ctx, "a node is revoked", "node", node.Short(), "domain", r.Domain, "reason", r.Reason)
	n.circleChanged()
	return nil
}

// Rotate gives this node a new key.
func (d memberDoor) Rotate(ctx context.Context, s weft.Subject) (*serve.MeshInfo, error) {
	n := d.n
	for _, p := range n.all() {
		// The handover goes with the key that signed it: under the new one the product
		// would be claimed anew.
		if handedAway(n.mesh, p.name()) != nil {
			return nil, weft.Errorf(weft.KindConflict, "rotate the key", "", "%s was handed to another node and is still here", p.name()).
				WithHint("weft delete %s, and then rotate", p.name())
		}
	}
	old := n.mesh.Self()
	if err := n.mesh.Rotate(ctx); err != nil {
		return nil, err
	}
	n.env.Log.InfoContext(ctx, "the node has a new key", "before", old.Short(), "now", n.mesh.Self().Short())
	return meshDoor(d).entered(ctx, s)
}

// Decide says with the founding keys whose a domain is.
func (d memberDoor) Decide(ctx context.Context, s weft.Subject, domain string, r serve.DecideRequest) (*serve.MeshInfo, error) {
	if err := d.n.mesh.Decide(ctx, domain, r.Key); err != nil {
		return nil, err
	}
	d.n.env.Log.InfoContext(ctx, "a domain is decided", "domain", domain, "key", r.Key.Short())
	return meshDoor(d).entered(ctx, s)
}
