package http

import (
	"context"
	"net/http"
	"strings"

	"weft"
	"weft/serve"
)

type foundInput struct {
	Body serve.Founding
}

type joinInput struct {
	Body serve.JoinRequest
}

type inviteInput struct {
	Body serve.InviteRequest
}

type revokeInput struct {
	Node string `path:"node" minLength:"64" maxLength:"64" doc:"the node's key in hexadecimal"`
	Body serve.RevokeRequest
}

type decideInput struct {
	D    string `path:"d" maxLength:"63" doc:"the domain" example:"sales"`
	Body serve.DecideRequest
}

type offerInput struct {
	P    string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
	Body serve.OfferRequest
}

type takeInput struct {
	Body serve.TakeRequest
}

// meshRoutes are the node's part in a mesh.
func (s *Server) meshRoutes() {
	tags := []string{"mesh"}
	info := op("showMesh", http.MethodGet, prefix+"/mesh", "Show the mesh that the node is in",
		"Its charter, its domains and how many nodes and products are known. A node without a mesh says joined: false.", serve.ScopeRead)
	info.Tags = tags
	register(s, info, func(ctx context.Context, who *serve.Identity, _ *struct{}) (*serve.MeshInfo, error) {
		return s.b.Mesh.Info(ctx, who.Subject)
	})

	found := op("foundMesh", http.MethodPost, prefix+"/mesh", "Found a mesh",
		"The node makes a founding key and the charter, and is the only member until others join.", serve.ScopeAdmin)
	found.Tags, found.DefaultStatus = tags, http.StatusCreated
	register(s, found, func(ctx context.Context, who *serve.Identity, in *foundInput) (*serve.MeshInfo, error) {
		for _, d := range in.Body.Domains {
			if err := weft.CheckName(d); err != nil {
				return nil, err
			}
		}
		return s.b.Mesh.Found(ctx, who.Subject, in.Body)
	})

	join := op("joinMesh", http.MethodPost, prefix+"/mesh/join", "Join a mesh",
		"Brings the invitation to the node that gave it, and takes the mesh's records.", serve.ScopeAdmin)
	join.Tags = tags
	register(s, join, func(ctx context.Context, who *serve.Identity, in *joinInput) (*serve.MeshInfo, error) {
		in.Body.Token = strings.TrimSpace(in.Body.Token)
		return s.b.Mesh.Join(ctx, who.Subject, in.Body)
	})

	peers := op("listPeers", http.MethodGet, prefix+"/peers", "List the nodes of the mesh",
		"This node first, then by name; those that were revoked too.", serve.ScopeRead)
	peers.Tags = tags
	register(s, peers, func(ctx context.Context, who *serve.Identity, _ *struct{}) (serve.PeerList, error) {
		ps, err := s.b.Mesh.Peers(ctx, who.Subject)
		return serve.PeerList{Peers: orEmpty(ps)}, err
	})
	s.memberRoutes(tags)
	s.handoverRoutes(tags)
}

// memberRoutes change who is in the mesh.
func (s *Server) memberRoutes(tags []string) {
	invite := op("invite", http.MethodPost, prefix+"/mesh/invitations", "Make an invitation",
		"It can be used once, until it expires. Its text is in this answer and nowhere else.", serve.ScopeAdmin)
	invite.Tags, invite.DefaultStatus = tags, http.StatusCreated
	register(s, invite, func(ctx context.Context, who *serve.Identity, in *inviteInput) (*serve.Invitation, error) {
		if d := in.Body.Domain; d != "" {
			if err := weft.CheckName(d); err != nil {
				return nil, err
			}
		}
		return s.b.Members.Invite(ctx, who.Subject, in.Body)
	})

	revoke := op("revokeMember", http.MethodPost, prefix+"/peers/{node}/revoke", "Revoke a node",
		"It ends the node's membership, or its part in one domain, for good: it learns nothing more of the mesh.", serve.ScopeAdmin)
	revoke.Tags, revoke.DefaultStatus = tags, http.StatusNoContent
	registerEmpty(s, revoke, func(ctx context.Context, who *serve.Identity, in *revokeInput) error {
		var node weft.KeyID
		if err := node.UnmarshalText([]byte(in.Node)); err != nil {
			return err
		}
		return s.b.Members.Revoke(ctx, who.Subject, node, in.Body)
	})

	rotate := op("rotateKey", http.MethodPost, prefix+"/mesh/rotate", "Give the node a new key",
		"The node stays in the mesh and in its domains; the old key is spent.", serve.ScopeAdmin)
	rotate.Tags = tags
	register(s, rotate, func(ctx context.Context, who *serve.Identity, _ *struct{}) (*serve.MeshInfo, error) {
		return s.b.Members.Rotate(ctx, who.Subject)
	})

	decide := op("decideDomain", http.MethodPost, prefix+"/mesh/domains/{d}/decide", "Say whose a domain is",
		"Signed by the charter's keys; it ends a conflict of several claims.", serve.ScopeAdmin)
	decide.Tags = tags
	register(s, decide, func(ctx context.Context, who *serve.Identity, in *decideInput) (*serve.MeshInfo, error) {
		if err := weft.CheckName(in.D); err != nil {
			return nil, err
		}
		return s.b.Members.Decide(ctx, who.Subject, in.D, in.Body)
	})
}

// handoverRoutes move a product to another node.
func (s *Server) handoverRoutes(tags []string) {
	offer := op("offerProduct", http.MethodPost, prefix+"/products/{p}/handover", "Hand a product to another node",
		"Signs the origin's half. The product stays where it is until the other node takes it.", serve.ScopeAdmin)
	offer.Tags = tags
	register(s, offer, func(ctx context.Context, who *serve.Identity, in *offerInput) (*serve.HandoverOffer, error) {
		p, err := weft.ParseName(in.P)
		if err != nil {
			return nil, err
		}
		return s.b.Handovers.Offer(ctx, who.Subject, p, in.Body)
	})

	take := op("takeProduct", http.MethodPost, prefix+"/mesh/handovers", "Take a product that was offered to this node",
		"Signs the other half and tells the mesh; its address stays.", serve.ScopeAdmin)
	take.Tags = tags
	register(s, take, func(ctx context.Context, who *serve.Identity, in *takeInput) (*serve.Handover, error) {
		in.Body.Offer = strings.TrimSpace(in.Body.Offer)
		return s.b.Handovers.Take(ctx, who.Subject, in.Body)
	})
}
