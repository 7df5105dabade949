package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"weft"
	"weft/serve"
)

const api = "/api/v1"

func productPath(p weft.Name, rest string) string {
	return api + "/products/" + url.PathEscape(p.String()) + rest
}

// Products lists the products that the token may know of.
func (c *Client) Products(ctx context.Context) ([]serve.ProductSummary, error) {
	l, err := get[serve.ProductList](ctx, c, call{method: http.MethodGet, path: api + "/products"})
	if err != nil {
		return nil, err
	}
	return l.Products, nil
}

// Product gives everything known of one product.
func (c *Client) Product(ctx context.Context, p weft.Name) (*serve.ProductDetail, error) {
	return get[serve.ProductDetail](ctx, c, call{method: http.MethodGet, path: productPath(p, "")})
}

// History gives up to limit commits, newest first, below before (0 is from the
// head); limit 0 is the node's default. Next of the result is 0 at the end.
func (c *Client) History(ctx context.Context, p weft.Name, before weft.Seq, limit int) (*serve.CommitList, error) {
	q := url.Values{}
	if before > 0 {
		q.Set("before", strconv.FormatUint(uint64(before), 10))
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return get[serve.CommitList](ctx, c, call{method: http.MethodGet, path: productPath(p, "/commits"), query: q})
}

// Quarantine gives up to limit rows that each table holds back; at as
// serve.ParseProductAt reads it.
func (c *Client) Quarantine(ctx context.Context, p weft.Name, limit int, at string) (*serve.Quarantine, error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if at != "" {
		q.Set("at", at)
	}
	return get[serve.Quarantine](ctx, c, call{method: http.MethodGet, path: productPath(p, "/quarantine"), query: q})
}

// Pause stops reading the product's sources.
func (c *Client) Pause(ctx context.Context, p weft.Name) (*serve.ProductSummary, error) {
	return get[serve.ProductSummary](ctx, c, call{method: http.MethodPost, path: productPath(p, "/pause")})
}

// Resume undoes Pause.
func (c *Client) Resume(ctx context.Context, p weft.Name) (*serve.ProductSummary, error) {
	return get[serve.ProductSummary](ctx, c, call{method: http.MethodPost, path: productPath(p, "/resume")})
}

// Rollback appends a commit that restores rows and folder as of commit to.
func (c *Client) Rollback(ctx context.Context, p weft.Name, to weft.Seq) (*serve.CommitInfo, error) {
	return get[serve.CommitInfo](ctx, c, call{
		method: http.MethodPost, path: productPath(p, "/rollback"), body: serve.RollbackRequest{To: to},
	})
}

// Retire ends the product; its history stays readable.
func (c *Client) Retire(ctx context.Context, p weft.Name) (*serve.ProductSummary, error) {
	return get[serve.ProductSummary](ctx, c, call{method: http.MethodPost, path: productPath(p, "/retire")})
}

// Delete removes the product and its data; confirm repeats the address.
func (c *Client) Delete(ctx context.Context, p weft.Name, confirm string) error {
	_, err := get[struct{}](ctx, c, call{
		method: http.MethodDelete, path: productPath(p, ""), query: url.Values{"confirm": {confirm}},
	})
	return err
}

// Status gives the node and every product.
func (c *Client) Status(ctx context.Context) (*serve.NodeStatus, error) {
	return get[serve.NodeStatus](ctx, c, call{method: http.MethodGet, path: api + "/status"})
}

// Tokens lists the node's tokens without their texts.
func (c *Client) Tokens(ctx context.Context) ([]serve.TokenInfo, error) {
	l, err := get[serve.TokenList](ctx, c, call{method: http.MethodGet, path: api + "/tokens"})
	if err != nil {
		return nil, err
	}
	return l.Tokens, nil
}

// CreateToken makes a token; its text is in the result and nowhere else.
func (c *Client) CreateToken(ctx context.Context, r serve.TokenRequest) (*serve.NewToken, error) {
	return get[serve.NewToken](ctx, c, call{method: http.MethodPost, path: api + "/tokens", body: r})
}

// RevokeToken ends the token of that name at once.
func (c *Client) RevokeToken(ctx context.Context, name string) error {
	_, err := get[struct{}](ctx, c, call{method: http.MethodDelete, path: api + "/tokens/" + url.PathEscape(name)})
	return err
}

// Outcome says what became of an earlier request of this token.
func (c *Client) Outcome(ctx context.Context, request string) (*serve.RequestOutcome, error) {
	return get[serve.RequestOutcome](ctx, c, call{method: http.MethodGet, path: api + "/requests/" + url.PathEscape(request)})
}
