package client

import (
	"context"
	"net/http"
	"net/url"

	"weft"
	"weft/serve"
)

func cutPath(what string) string { return api + "/cuts/" + url.PathEscape(what) }

// SaveCut fixes a state of products and keeps it under a name.
func (c *Client) SaveCut(ctx context.Context, r serve.SaveCutRequest) (*serve.CutDetail, error) {
	return get[serve.CutDetail](ctx, c, call{method: http.MethodPost, path: api + "/cuts", body: r})
}

// Cuts lists the saved cuts by name.
func (c *Client) Cuts(ctx context.Context) ([]serve.CutDetail, error) {
	l, err := get[serve.CutList](ctx, c, call{method: http.MethodGet, path: api + "/cuts"})
	if err != nil {
		return nil, err
	}
	return l.Cuts, nil
}

// Cut tells of a cut by its name, its token or its hash; with look the origins are
// asked whether it can still be read.
func (c *Client) Cut(ctx context.Context, what string, look bool) (*serve.CutDetail, error) {
	q := url.Values{}
	if look {
		q.Set("look", "true")
	}
	return get[serve.CutDetail](ctx, c, call{method: http.MethodGet, path: cutPath(what), query: q})
}

// DropCut forgets a saved cut and lets go of what it holds.
func (c *Client) DropCut(ctx context.Context, name string) error {
	_, err := get[struct{}](ctx, c, call{method: http.MethodDelete, path: cutPath(name)})
	return err
}

// Holds lists what is held of the node's products.
func (c *Client) Holds(ctx context.Context) ([]serve.HoldInfo, error) {
	l, err := get[serve.HoldList](ctx, c, call{method: http.MethodGet, path: api + "/holds"})
	if err != nil {
		return nil, err
	}
	return l.Holds, nil
}

// DropHold ends a hold on a product of the node.
func (c *Client) DropHold(ctx context.Context, p weft.Name, hold string) error {
	_, err := get[struct{}](ctx, c, call{method: http.MethodDelete, path: productPath(p, "/holds/"+url.PathEscape(hold))})
	return err
}
