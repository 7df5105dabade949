// Package client speaks a node's HTTP API with the words of package serve.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"weft"
	"weft/serve"
)

// Config says which node to speak to and as whom.
type Config struct {
	URL       string // http://127.0.0.1:7070
	Token     string
	CAFile    string // PEM certificates to trust besides the system's, for https
	UserAgent string // weft-client where empty
}

// Validate returns all faults of the configuration.
func (c Config) Validate() []error {
	var faults []error
	fault := func(path, why, hint string) {
		faults = append(faults, weft.Errorf(weft.KindInvalid, "read the configuration", path, "%s", why).WithHint("%s", hint))
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		fault("url", "the node's address is not a URL", "write it like http://127.0.0.1:7070")
	case u.User != nil:
		fault("url", "the node's address holds a user", "give the token by itself")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		fault("url", "a token must not travel to another machine in the clear", "use https://"+u.Host)
	}
	if strings.ContainsAny(c.Token, " \r\n\t") {
		fault("token", "the token holds blanks", "give the one word that weft token create printed")
	}
	return faults
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Client speaks to one node. Safe for concurrent use.
type Client struct {
	base  string
	token string
	agent string
	http  *http.Client
}

// New makes a client; it does not connect.
func New(cfg Config) (*Client, error) {
	if faults := cfg.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.DisableCompression = true // an answer is streamed as it is made
	tr.ReadBufferSize = 256 << 10
	tr.WriteBufferSize = 64 << 10
	tr.MaxIdleConnsPerHost = 16
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, weft.Errorf(weft.KindInvalid, "read the certificates", cfg.CAFile, "%w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, weft.Errorf(weft.KindInvalid, "read the certificates", cfg.CAFile, "there is no PEM certificate in it")
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	agent := cfg.UserAgent
	if agent == "" {
		agent = "weft-client"
	}
	return &Client{
		base: strings.TrimRight(cfg.URL, "/"), token: cfg.Token, agent: agent,
		http: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a node never redirects; a token must not follow one
		}},
	}, nil
}

// URL is the node's address.
func (c *Client) URL() string { return c.base }

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ReadToken reads a token from a file that only its owner may read.
func ReadToken(path string) (string, error) {
	const op = "read the token"
	f, err := os.Open(path)
	if err != nil {
		kind := weft.KindInvalid
		if errors.Is(err, os.ErrNotExist) {
			kind = weft.KindNotFound
		}
		return "", weft.Errorf(kind, op, path, "%w", err).WithHint("start the node, or give WEFT_TOKEN")
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", weft.Errorf(weft.KindInvalid, op, path, "%w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", weft.Errorf(weft.KindDenied, op, path, "others can read the file (mode %04o)", info.Mode().Perm()).
			WithHint("chmod 600 %s", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", weft.Errorf(weft.KindInvalid, op, path, "%w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || strings.ContainsAny(token, " \r\n\t") {
		return "", weft.Errorf(weft.KindInvalid, op, path, "the file does not hold one word")
	}
	return token, nil
}

// call is one request: what is sent and what is accepted.
type call struct {
	method string
	path   string
	query  url.Values
	accept string
	body   any    // encoded as JSON, unless raw is set
	raw    []byte // sent as contentType
	ctype  string
}

// send makes the request and returns the answer of a status below 300; another
// one becomes the error it says.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	u := c.base + k.path
	if len(k.query) > 0 {
		u += "?" + k.query.Encode()
	}
	body, ctype := k.raw, k.ctype
	if k.body != nil {
		b, err := json.Marshal(k.body)
		if err != nil {
			return nil, weft.Errorf(weft.KindInvalid, "write the request", k.path, "%w", err)
		}
		body, ctype = b, "application/json"
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, u, r)
	if err != nil {
		return nil, weft.Errorf(weft.KindInvalid, "write the request", k.path, "%w", err)
	}
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if k.accept == "" {
		k.accept = "application/json"
	}
	req.Header.Set("Accept", k.accept)
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.netError(ctx, err)
	}
	if res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, readProblem(res)
}

// netError says in our words why there was no answer.
func (c *Client) netError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &weft.Error{Op: "ask the node", Subject: c.base, Kind: weft.KindCancelled, Message: "cancelled", Cause: ctx.Err()}
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	hint := "start it with weft up, or name another with --node"
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	if errors.As(err, &unknown) || errors.As(err, &host) {
		hint = "give the certificate of its authority, and the name that its certificate has"
	}
	return weft.Errorf(weft.KindUnavailable, "ask the node", c.base, "%w", err).WithHint("%s", hint)
}

// readProblem makes the error that an answer of status 300 and above says.
func readProblem(res *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var p serve.Problem
	ctype := res.Header.Get("Content-Type")
	if err == nil && strings.HasPrefix(ctype, serve.ProblemType) && json.Unmarshal(b, &p) == nil {
		return p.Err()
	}
	if err == nil && strings.HasPrefix(ctype, "application/json") && res.StatusCode == http.StatusUnprocessableEntity {
		return &unprocessable{body: b}
	}
	var not serve.Readiness
	if err == nil && strings.HasPrefix(ctype, "application/json") && json.Unmarshal(b, &not) == nil && len(not.Reasons) > 0 {
		return not.Err()
	}
	return &weft.Error{
		Op: "ask the node", Subject: res.Request.URL.Host, Kind: serve.KindOfStatus(res.StatusCode),
		Message: fmt.Sprintf("what answers there is no Weft node: %s", res.Status),
		Hint:    "check the address, and what stands between",
	}
}

// unprocessable is a result that says no: a folder with faults, refused data.
type unprocessable struct{ body []byte }

func (*unprocessable) Error() string { return "the answer is no" }

// get asks for a JSON document. Control answers have a bound of 64 MB.
func get[T any](ctx context.Context, c *Client, k call) (*T, error) {
	res, err := c.send(ctx, k)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	v := new(T)
	if res.StatusCode == http.StatusNoContent {
		return v, nil
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, c.netError(ctx, err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "read the answer", k.path, "%w", err).
			WithHint("the node may be of another version than this program")
	}
	return v, nil
}

// Ready is nil when the node takes questions and loads; else its error says why
// it does not. It needs no token.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := get[serve.Readiness](ctx, c, call{method: http.MethodGet, path: "/readyz"})
	if err != nil {
		return err
	}
	return r.Err()
}
