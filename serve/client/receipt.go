package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"weft"
	"weft/serve"
)

// maxReceipt is the most bytes of a receipt that are read.
const maxReceipt = 8 << 20

// Receipt fetches the receipt of an answer that was asked for with one, once the answer
// was read to its end: the bytes as they are to be kept.
func (c *Client) Receipt(ctx context.Context, request string) ([]byte, error) {
	res, err := c.send(ctx, call{method: http.MethodGet, path: api + "/receipts/" + url.PathEscape(request)})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReceipt+1))
	if err == nil && len(b) > maxReceipt {
		err = errors.New("it is too long for one")
	}
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "fetch the receipt", c.base, "%w", err).WithHint("ask again")
	}
	return b, nil
}

// MeshKeys gives what receipts are verified with, as a file of keys.
func (c *Client) MeshKeys(ctx context.Context) (*serve.MeshKeys, error) {
	return get[serve.MeshKeys](ctx, c, call{method: http.MethodGet, path: api + "/mesh/keys"})
}
