package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"weft"
	"weft/serve"
)

// Backup adds a state to a backup folder on the node's machine. progress may be nil.
func (c *Client) Backup(ctx context.Context, r serve.BackupRequest, progress serve.Progress) (*serve.BackupResult, error) {
	return work[serve.BackupResult](ctx, c, call{method: http.MethodPost, path: api + "/backup", body: r}, progress)
}

// Reload makes the node read its configuration again. A faulty one is a result
// and no error.
func (c *Client) Reload(ctx context.Context) (*serve.ReloadResult, error) {
	r, err := get[serve.ReloadResult](ctx, c, call{method: http.MethodPost, path: api + "/reload"})
	var no *unprocessable
	if errors.As(err, &no) {
		r = new(serve.ReloadResult)
		if err := json.Unmarshal(no.body, r); err != nil {
			return nil, weft.Errorf(weft.KindUnavailable, "read the answer", api+"/reload", "%w", err)
		}
		return r, nil
	}
	return r, err
}
