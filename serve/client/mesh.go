package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"weft"
	"weft/serve"
)

// Mesh tells what the node is part of.
func (c *Client) Mesh(ctx context.Context) (*serve.MeshInfo, error) {
	return get[serve.MeshInfo](ctx, c, call{method: http.MethodGet, path: api + "/mesh"})
}

// FoundMesh makes a mesh whose only node is this one.
func (c *Client) FoundMesh(ctx context.Context, f serve.Founding) (*serve.MeshInfo, error) {
	return get[serve.MeshInfo](ctx, c, call{method: http.MethodPost, path: api + "/mesh", body: f})
}

// JoinMesh enters a mesh by an invitation.
func (c *Client) JoinMesh(ctx context.Context, token string) (*serve.MeshInfo, error) {
	return get[serve.MeshInfo](ctx, c, call{method: http.MethodPost, path: api + "/mesh/join", body: serve.JoinRequest{Token: token}})
}

// Invite makes an invitation; its text is in the result and nowhere else.
func (c *Client) Invite(ctx context.Context, r serve.InviteRequest) (*serve.Invitation, error) {
	return get[serve.Invitation](ctx, c, call{method: http.MethodPost, path: api + "/mesh/invitations", body: r})
}

// Peers lists the nodes of the mesh.
func (c *Client) Peers(ctx context.Context) ([]serve.Peer, error) {
	l, err := get[serve.PeerList](ctx, c, call{method: http.MethodGet, path: api + "/peers"})
	if err != nil {
		return nil, err
	}
	return l.Peers, nil
}

// RevokeMember ends a node's membership, or its part in one domain.
func (c *Client) RevokeMember(ctx context.Context, node weft.KeyID, r serve.RevokeRequest) error {
	_, err := get[struct{}](ctx, c, call{method: http.MethodPost, path: api + "/peers/" + node.String() + "/revoke", body: r})
	return err
}

// RotateKey gives the node a new key.
func (c *Client) RotateKey(ctx context.Context) (*serve.MeshInfo, error) {
	return get[serve.MeshInfo](ctx, c, call{method: http.MethodPost, path: api + "/mesh/rotate"})
}

// DecideDomain says with the charter's keys whose a domain is.
func (c *Client) DecideDomain(ctx context.Context, domain string, key weft.KeyID) (*serve.MeshInfo, error) {
	return get[serve.MeshInfo](ctx, c, call{
		method: http.MethodPost, path: api + "/mesh/domains/" + url.PathEscape(domain) + "/decide", body: serve.DecideRequest{Key: key},
	})
}

// OfferProduct hands a product to another node, which has to take it.
func (c *Client) OfferProduct(ctx context.Context, p weft.Name, to weft.KeyID) (*serve.HandoverOffer, error) {
	return get[serve.HandoverOffer](ctx, c, call{method: http.MethodPost, path: productPath(p, "/handover"), body: serve.OfferRequest{To: to}})
}

// TakeProduct takes a product that was offered to the node.
func (c *Client) TakeProduct(ctx context.Context, offer string) (*serve.Handover, error) {
	return get[serve.Handover](ctx, c, call{method: http.MethodPost, path: api + "/mesh/handovers", body: serve.TakeRequest{Offer: offer}})
}

// Search finds products of the whole mesh.
func (c *Client) Search(ctx context.Context, r serve.SearchRequest) (*serve.SearchResult, error) {
	q := url.Values{}
	if r.Text != "" {
		q.Set("q", r.Text)
	}
	for name, values := range map[string][]string{
		"domain": r.Domains, "tag": r.Tags, "classification": r.Classifications, "port": r.Ports, "state": r.States, "life": r.Lives,
	} {
		q[name] = values
	}
	for name, n := range map[string]int{"limit": r.Limit, "offset": r.Offset} {
		if n > 0 {
			q.Set(name, strconv.Itoa(n))
		}
	}
	return get[serve.SearchResult](ctx, c, call{method: http.MethodGet, path: api + "/search", query: q})
}
