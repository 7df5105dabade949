package serve

import (
	"context"
	"time"

	"weft"
)

// Mesh is the node's part in a mesh. Whoever may read may look; the door calls
// Found and Join for administrators only.
type Mesh interface {
	// Info tells what the node is part of. A node without a mesh is no error.
	Info(ctx context.Context, s weft.Subject) (*MeshInfo, error)
	// Peers gives every node of the mesh, this one first and then by name. It is
	// empty without a mesh.
	Peers(ctx context.Context, s weft.Subject) ([]Peer, error)
	// Found makes a mesh whose only node is this one; KindConflict where it is in one.
	Found(ctx context.Context, s weft.Subject, f Founding) (*MeshInfo, error)
	// Join enters a mesh by an invitation. KindConflict where the node is in a mesh or
	// the invitation was used, KindDenied where it has expired, KindInvalid where it was
	// altered, and KindUnavailable where whoever invited cannot be reached.
	Join(ctx context.Context, s weft.Subject, r JoinRequest) (*MeshInfo, error)
}

// Members changes who is in the mesh, and under which key. The door calls it for
// administrators only; each call is KindConflict where the node is in no mesh, and
// KindDenied where it does not hold the key that the change must be signed by.
type Members interface {
	// Invite makes an invitation; its text is in the result and nowhere else.
	Invite(ctx context.Context, s weft.Subject, r InviteRequest) (*Invitation, error)
	// Revoke ends a node's membership, or its part in one domain, for good.
	Revoke(ctx context.Context, s weft.Subject, node weft.KeyID, r RevokeRequest) error
	// Rotate gives this node a new key; it stays in the mesh and in its domains.
	Rotate(ctx context.Context, s weft.Subject) (*MeshInfo, error)
	// Decide says with the charter's keys whose a domain is.
	Decide(ctx context.Context, s weft.Subject, domain string, r DecideRequest) (*MeshInfo, error)
}

// Handovers moves a product to another node, which both have to sign. The door calls
// it for administrators only.
type Handovers interface {
	// Offer hands the product to another node of its domain; it stays here until that
	// node takes it.
	Offer(ctx context.Context, s weft.Subject, p weft.Name, r OfferRequest) (*HandoverOffer, error)
	// Take takes a product that was offered to this node.
	Take(ctx context.Context, s weft.Subject, r TakeRequest) (*Handover, error)
}

// MeshInfo is what a node is part of.
type MeshInfo struct {
	Joined  bool       `json:"joined" doc:"the node is in a mesh; where it is not, no other field but node and name is set"`
	Node    weft.KeyID `json:"node" doc:"this node's key, zero before it has one"`
	Name    string     `json:"name" doc:"this node's name"`
	ID      string     `json:"id,omitempty" doc:"the mesh: the digest of its first charter"`
	Mesh    string     `json:"mesh,omitempty" doc:"the mesh's name"`
	Founder bool       `json:"founder" doc:"this node holds a founding key"`

	Founders        []weft.KeyID `json:"founders,omitempty" doc:"the founding keys"`
	Threshold       int          `json:"threshold,omitempty" doc:"how many founding keys a decision wants"`
	Classifications []string     `json:"classifications,omitempty" doc:"from the least to the most sensitive"`
	Purposes        []string     `json:"purposes,omitempty" doc:"what data may be asked for"`

	Domains   []MeshDomain `json:"domains,omitempty"`
	Peers     int          `json:"peers" doc:"other nodes, without those that were revoked"`
	Reachable int          `json:"reachable" doc:"those of them that can be reached now"`
	Records   int          `json:"records" doc:"signed records that this node holds"`
	Cards     int          `json:"cards" doc:"products that are known, those of this node too"`
}

// MeshDomain is a domain of the mesh.
type MeshDomain struct {
	Domain string       `json:"domain"`
	Key    weft.KeyID   `json:"key" doc:"the key that admits nodes to it"`
	Epoch  uint64       `json:"epoch" doc:"raised by every decision of the charter's keys"`
	Nodes  []weft.KeyID `json:"nodes" doc:"the nodes that speak for it"`
	Mine   bool         `json:"mine" doc:"this node speaks for it"`
	Admits bool         `json:"admits" doc:"this node holds its key: it may invite and revoke"`
	Claims []MeshClaim  `json:"claims,omitempty" doc:"where several keys claim it, all of them: its names resolve to nothing until the charter's keys decide"`
}

// MeshClaim is one of several keys that claim a domain.
type MeshClaim struct {
	Key   weft.KeyID   `json:"key"`
	Nodes []weft.KeyID `json:"nodes" doc:"the nodes that it admits"`
}

// Founding says what is founded.
type Founding struct {
	Name    string   `json:"name,omitempty" maxLength:"63" doc:"the mesh's name; the node's own where it is absent"`
	Domains []string `json:"domains,omitempty" maxItems:"100" doc:"domains that this node speaks for from the start"`
}

// JoinRequest brings an invitation.
type JoinRequest struct {
	Token string `json:"token" minLength:"1" maxLength:"16384" doc:"the invitation, as weft invite printed it"`
}

// InviteRequest says whom an invitation is for.
type InviteRequest struct {
	Domain string `json:"domain,omitempty" maxLength:"63" doc:"the domain that its bearer will speak for; none where it is absent"`
	For    int64  `json:"for,omitempty" minimum:"0" maximum:"2592000" doc:"seconds that it can be used; 3600 where it is absent or 0"`
}

// Invitation lets one node enter, once.
type Invitation struct {
	Token   string    `json:"token" doc:"a secret: whoever holds it may enter"`
	Mesh    string    `json:"mesh" doc:"the mesh's name"`
	Domain  string    `json:"domain,omitempty"`
	Expires time.Time `json:"expires" doc:"by this node's clock"`
}

// RevokeRequest says what is revoked, and why.
type RevokeRequest struct {
	Domain string `json:"domain,omitempty" maxLength:"63" doc:"the domain that the node no longer speaks for; its whole membership where it is absent"`
	Reason string `json:"reason" minLength:"1" maxLength:"300" doc:"for the other members; every node of the mesh sees it"`
}

// DecideRequest says whose a domain is.
type DecideRequest struct {
	Key weft.KeyID `json:"key" doc:"the key of the domain from now on"`
}

// Link says how a node is reached.
type Link string

// How a node is reached.
const (
	LinkSelf   Link = "self"   // it is this node
	LinkDirect Link = "direct" // there is a live link
	LinkRelay  Link = "relay"  // there is a live link through another node
	LinkMesh   Link = "mesh"   // there is none, and none was needed yet: what it says comes by way of others
	LinkAway   Link = "away"   // it could not be reached when that was tried last
)

// Peer is a node of the mesh.
type Peer struct {
	Node      weft.KeyID   `json:"node"`
	Name      string       `json:"name"`
	Domains   []string     `json:"domains" doc:"domains that it speaks for"`
	Addresses []string     `json:"addresses,omitempty" doc:"where it says that it can be reached"`
	Version   string       `json:"version,omitempty" doc:"of its program"`
	Link      Link         `json:"link" doc:"self, direct, relay, mesh, away; empty where it was revoked"`
	Via       *weft.KeyID  `json:"via,omitempty" doc:"the node that relays"`
	LastSeen  *time.Time   `json:"lastSeen,omitempty" doc:"when this node heard from it last; absent where it never did"`
	Cards     int          `json:"cards" doc:"its products that are known here"`
	Relays    bool         `json:"relays,omitempty" doc:"it relays for nodes that cannot be reached"`
	Revoked   []Revocation `json:"revoked,omitempty"`
	Rotated   *weft.KeyID  `json:"rotated,omitempty" doc:"the key that took the place of this one, which is spent"`
}

// Gone reports whether the node is no member any more.
func (p *Peer) Gone() bool {
	for _, r := range p.Revoked {
		if r.Domain == "" {
			return true
		}
	}
	return p.Rotated != nil
}

// Revocation ended a node's membership, or its part in one domain.
type Revocation struct {
	Domain string    `json:"domain,omitempty" doc:"empty for the whole membership"`
	Reason string    `json:"reason,omitempty"`
	Time   time.Time `json:"time,omitzero" doc:"by the clock of who revoked; absent where it is not known"`
}

// PeerList is the answer of GET /api/v1/peers.
type PeerList struct {
	Peers []Peer `json:"peers"`
}

// OfferRequest says to whom a product is handed.
type OfferRequest struct {
	To weft.KeyID `json:"to" doc:"a node that is admitted to the product's domain"`
}

// HandoverOffer is one half of a handover, signed by the origin.
type HandoverOffer struct {
	Product weft.Name  `json:"product"`
	To      weft.KeyID `json:"to"`
	Offer   string     `json:"offer" doc:"for weft handover --accept at the other node"`
}

// TakeRequest brings an offer.
type TakeRequest struct {
	Offer string `json:"offer" minLength:"1" maxLength:"65536" doc:"as weft handover printed it at the origin"`
}

// Handover says that a product has a new origin.
type Handover struct {
	Product weft.Name  `json:"product"`
	ID      string     `json:"id" doc:"the product's identity, which stays"`
	From    weft.KeyID `json:"from"`
	To      weft.KeyID `json:"to"`
}
