package client

import (
	"context"
	"net/http"
	"net/url"

	"weft"
	"weft/serve"
)

// Replicas lists the copies that the node keeps of other nodes' products.
func (c *Client) Replicas(ctx context.Context) ([]serve.Replica, error) {
	l, err := get[serve.ReplicaList](ctx, c, call{method: http.MethodGet, path: api + "/replicas"})
	if err != nil {
		return nil, err
	}
	return l.Replicas, nil
}

// AddReplica begins to keep a copy of a product.
func (c *Client) AddReplica(ctx context.Context, p weft.Name) (*serve.Replica, error) {
	return get[serve.Replica](ctx, c, call{method: http.MethodPost, path: api + "/replicas", body: serve.ReplicaRequest{Product: p}})
}

// RemoveReplica ends a copy and removes it.
func (c *Client) RemoveReplica(ctx context.Context, p weft.Name) error {
	_, err := get[struct{}](ctx, c, call{method: http.MethodDelete, path: api + "/replicas/" + url.PathEscape(p.String())})
	return err
}
