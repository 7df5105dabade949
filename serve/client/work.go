package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"weft"
	"weft/serve"
)

// maxStep bounds one line of a streamed apply or refresh.
const maxStep = 16 << 20

// Apply brings a product folder to the node. A folder with faults, or data that
// breaks its contract, is a result and no error. progress may be nil.
func (c *Client) Apply(ctx context.Context, r serve.ApplyRequest, progress serve.Progress) (*serve.ApplyResult, error) {
	if len(r.Archive) > serve.MaxArchive {
		return nil, weft.Errorf(weft.KindLimit, "apply the folder", r.Dir, "packed it has %d bytes, %d is the most", len(r.Archive), serve.MaxArchive).
			WithHint("keep data out of the folder: sources are read where they are")
	}
	q := url.Values{}
	set := func(k, v string) {
		if v != "" {
			q.Set(k, v)
		}
	}
	flag := func(k string, v bool) {
		if v {
			q.Set(k, strconv.FormatBool(v))
		}
	}
	set("dir", r.Dir)
	set("revision", r.Revision)
	set("env", r.Env)
	flag("dirty", r.Dirty)
	flag("dry_run", r.DryRun)
	flag("breaking", r.Breaking)
	return work[serve.ApplyResult](ctx, c, call{
		method: http.MethodPost, path: api + "/apply", query: q, raw: r.Archive, ctype: "application/gzip",
	}, progress)
}

// Refresh reads the product's sources now. Refused data is a result and no
// error. progress may be nil; it is told something only with r.Wait.
func (c *Client) Refresh(ctx context.Context, p weft.Name, r serve.RefreshRequest, progress serve.Progress) (*serve.RefreshResult, error) {
	return work[serve.RefreshResult](ctx, c, call{method: http.MethodPost, path: productPath(p, "/refresh"), body: r}, progress)
}

// work makes a call that streams its progress, and returns its result.
func work[T any](ctx context.Context, c *Client, k call, progress serve.Progress) (*T, error) {
	k.accept = "application/x-ndjson"
	res, err := c.send(ctx, k)
	var no *unprocessable
	if errors.As(err, &no) {
		v := new(T)
		if err := json.Unmarshal(no.body, v); err != nil {
			return nil, weft.Errorf(weft.KindUnavailable, "read the answer", k.path, "%w", err)
		}
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(make([]byte, 64<<10), maxStep)
	for lines.Scan() {
		var s serve.Step[T]
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, weft.Errorf(weft.KindUnavailable, "read the answer", k.path, "%w", err)
		}
		switch {
		case s.Error != nil:
			return nil, s.Error.Err()
		case s.Result != nil:
			return s.Result, nil
		case s.Event != nil && progress != nil:
			progress(*s.Event)
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	if ctx.Err() != nil {
		return nil, c.netError(ctx, err)
	}
	return nil, weft.Errorf(weft.KindUnavailable, "ask the node", c.base, "the connection broke before the result: %w", err).
		WithHint("the work may have gone on: see weft status")
}
