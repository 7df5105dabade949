package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"weft"
	"weft/serve"
)

// Lineage follows what is made from what.
func (c *Client) Lineage(ctx context.Context, r serve.LineageRequest) (*weft.Lineage, error) {
	q := url.Values{"of": {r.Of}}
	if r.Direction != "" {
		q.Set("direction", string(r.Direction))
	}
	if r.Depth > 0 {
		q.Set("depth", strconv.Itoa(r.Depth))
	}
	return get[weft.Lineage](ctx, c, call{method: http.MethodGet, path: api + "/lineage", query: q})
}
