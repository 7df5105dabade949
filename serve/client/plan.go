package client

import (
	"context"
	"net/http"

	"weft"
	"weft/serve"
)

// Explain says how a question is answered; with r.Analyze it is run.
func (c *Client) Explain(ctx context.Context, r serve.ExplainRequest) (*weft.Plan, error) {
	return get[weft.Plan](ctx, c, call{method: http.MethodPost, path: api + "/explain", body: r})
}
