package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"weft/serve"
)

// Quote asks what a question takes and whether it would be let in now.
func (c *Client) Quote(ctx context.Context, q serve.QueryRequest) (*serve.Quote, error) {
	q.Quote = true
	return get[serve.Quote](ctx, c, call{method: http.MethodPost, path: api + "/query", body: q})
}

// Usage asks what consumers have used; limit 0 is the node's default.
func (c *Client) Usage(ctx context.Context, r serve.UsageRequest) (*serve.UsageReport, error) {
	q := url.Values{}
	if r.By != "" {
		q.Set("by", string(r.By))
	}
	if r.Since != nil {
		q.Set("since", r.Since.UTC().Format(time.DateOnly))
	}
	if r.Limit > 0 {
		q.Set("limit", strconv.Itoa(r.Limit))
	}
	return get[serve.UsageReport](ctx, c, call{method: http.MethodGet, path: api + "/usage", query: q})
}
