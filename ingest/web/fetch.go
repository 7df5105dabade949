package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/zeebo/xxh3"

	"weft"
	"weft/ingest"
	"weft/run"
)

// fetchTable downloads one table, unless the server says, or the bytes show,
// that it is still the old one.
func (d *Driver) fetchTable(ctx context.Context, r ingest.Request, i int, folder string, old download) (download, error) {
	u, err := address(r, i)
	if err != nil {
		return download{}, err
	}
	table := r.Tables[i].Table.Name
	tries, wait := max(d.Tries, 0), d.Wait
	if tries == 0 {
		tries = 4
	}
	if wait == 0 {
		wait = time.Second
	}
	for n := 1; ; n++ {
		got, err := d.fetch(ctx, r, u, table, filepath.Join(folder, fmt.Sprintf("%d-%d", i, n)), old)
		if err == nil {
			return got, nil
		}
		var again *brokenBody
		if !errors.As(err, &again) {
			return download{}, err
		}
		if n >= tries {
			return download{}, weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s broke off %d times: %s", label(u), n, again.why).
				WithHint("nothing was staged; the next refresh tries again")
		}
		if err := run.Pause(ctx, wait<<(n-1)); err != nil {
			return download{}, weft.Errorf(weft.KindCancelled, "read the source", r.Where(), "%w", err)
		}
	}
}

// brokenBody is a body that did not come whole: worth another try.
type brokenBody struct{ why string }

func (b *brokenBody) Error() string { return b.why }

// fetch makes one request.
func (d *Driver) fetch(ctx context.Context, r ingest.Request, u *url.URL, table, folder string, old download) (download, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return download{}, weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "the address of server %q cannot be asked", r.Server.Name)
	}
	req.Header.Set("User-Agent", "weft")
	if old.ETag != "" {
		req.Header.Set("If-None-Match", old.ETag)
	}
	if old.Modified != "" {
		req.Header.Set("If-Modified-Since", old.Modified)
	}
	if err := authorise(r, req); err != nil {
		return download{}, err
	}
	resp, err := d.client().Do(req)
	if err != nil {
		return download{}, refused(ctx, r, u, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && old.Hash != "":
		old.same = true
		return old, nil
	case resp.StatusCode != http.StatusOK:
		return download{}, status(r, u, resp.StatusCode)
	}
	got := download{Table: table, ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified")}
	got.path = filepath.Join(folder, fileName(u, resp))
	if err := d.save(r, u, resp, &got, cancel); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.As(err, new(*weft.Error)) && !errors.Is(cause, errStalled) {
			return download{}, weft.Errorf(weft.KindCancelled, "read the source", r.Where(), "%w", cause)
		}
		return download{}, err
	}
	got.same = got.Hash == old.Hash && got.Size == old.Size
	return got, nil
}

var errStalled = errors.New("no byte came for too long")

// save writes the body to a file while it hashes and counts it.
func (d *Driver) save(r ingest.Request, u *url.URL, resp *http.Response, got *download, cancel context.CancelCauseFunc) error {
	most, stall := d.MaxBytes, d.Stall
	if most == 0 {
		most = 20 << 30
	}
	if stall == 0 {
		stall = time.Minute
	}
	tooLarge := func() error {
		return weft.Errorf(weft.KindLimit, "read the source", r.Where(), "%s has more than %d MB", label(u), most>>20)
	}
	if resp.ContentLength > most {
		return tooLarge()
	}
	if err := os.MkdirAll(filepath.Dir(got.path), 0o700); err != nil {
		return weft.Errorf(weft.KindUnavailable, "stage the source", r.Where(), "%w", err)
	}
	out, err := os.OpenFile(got.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "stage the source", r.Where(), "%w", err)
	}
	defer out.Close()
	watch := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer watch.Stop()
	meter := r.Meter(got.Table, max(resp.ContentLength, 0))
	sum, buf := xxh3.New(), make([]byte, 256<<10)
	for {
		n, err := resp.Body.Read(buf)
		watch.Reset(stall)
		if got.Size += int64(n); got.Size > most {
			return tooLarge()
		}
		_, _ = sum.Write(buf[:n]) // a hash takes everything
		if _, werr := out.Write(buf[:n]); werr != nil {
			return weft.Errorf(weft.KindUnavailable, "stage the source", r.Where(), "%w", werr).WithHint("is the disk full?")
		}
		meter.Add(0, int64(n))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &brokenBody{fmt.Sprintf("after %d bytes: %s", got.Size, network(err))}
		}
	}
	got.Hash = fmt.Sprintf("%x", sum.Sum128().Bytes())
	if err := out.Close(); err != nil {
		return weft.Errorf(weft.KindUnavailable, "stage the source", r.Where(), "%w", err)
	}
	return nil
}

func authorise(r ingest.Request, req *retryablehttp.Request) error {
	if r.Server.User == "" && r.Server.Password == "" {
		return nil
	}
	user, err := r.Expand(r.Server.User)
	if err != nil {
		return err
	}
	password, err := r.Expand(r.Server.Password)
	if err != nil {
		return err
	}
	req.SetBasicAuth(user, password)
	return nil
}

// status says what an answer other than 200 means.
func status(r ingest.Request, u *url.URL, code int) error {
	e := weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s answered %d %s", label(u), code, http.StatusText(code))
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		return e.WithHint("set weftUser and weftPassword on server %q", r.Server.Name)
	case http.StatusNotFound, http.StatusGone:
		return e.WithHint("the source is lost, or the address of server %q is wrong", r.Server.Name)
	}
	return e.WithHint("the next refresh tries again")
}

// refused explains a request without an answer, without the query of its URL.
func refused(ctx context.Context, r ingest.Request, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return weft.Errorf(weft.KindCancelled, "read the source", r.Where(), "%w", ctx.Err())
	}
	var e *weft.Error
	if errors.As(err, &e) {
		e.Subject = r.Where()
		return e
	}
	return weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s cannot be reached: %s", label(u), network(err)).
		WithHint("the next refresh tries again")
}

// network is the innermost error, which holds no URL.
func network(err error) string {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return err.Error()
}

var types = map[string]string{
	"text/csv": ".csv", "application/csv": ".csv", "text/tab-separated-values": ".tsv", "application/json": ".json",
	"application/x-ndjson": ".ndjson", "application/ndjson": ".ndjson", "application/jsonl": ".ndjson",
	"application/vnd.apache.parquet": ".parquet", "text/plain": ".csv",
}

var known = []string{".csv", ".tsv", ".tab", ".psv", ".txt", ".json", ".ndjson", ".jsonl", ".parquet", ".pq"}

// fileName names the download so that its format shows: by the address, else by
// what the server calls it.
func fileName(u *url.URL, resp *http.Response) string {
	base := path.Base(u.Path)
	bare := strings.ToLower(base)
	for _, z := range []string{".gz", ".gzip", ".zst", ".zstd"} {
		bare = strings.TrimSuffix(bare, z)
	}
	for _, k := range known {
		if strings.HasSuffix(bare, k) {
			return "data" + bare[len(bare)-len(k):]
		}
	}
	m, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return "data" + types[m]
}
