package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	nethttp "net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/contract"
	"weft/run"
	"weft/serve"
	"weft/serve/client"
	"weft/serve/http"
)

// safeBuffer is a log that several goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type door struct {
	node *memoryNode
	srv  *http.Server
	url  string
	log  *safeBuffer
}

// open starts the real server on a free port.
func open(t *testing.T, cfg http.Config) *door {
	t.Helper()
	d := &door{node: &memoryNode{}, log: &safeBuffer{}}
	env := run.Env{Log: slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Clock: run.Wall{}}
	cfg.Addr = "127.0.0.1:0"
	var err error
	if d.srv, err = http.New(cfg, d.node.backend(), env); err != nil {
		t.Fatal(err)
	}
	if err := d.srv.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	d.url = d.srv.URL()
	return d
}

func (d *door) client(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: d.url, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEveryCallByClient(t *testing.T) {
	d := open(t, http.Config{})
	c, ctx := d.client(t, "admin"), t.Context()
	check := func(what string, err error, ok bool) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v, %v", what, err, ok)
		}
	}
	ps, err := c.Products(ctx)
	check("products", err, len(ps) == 1 && ps[0].Name == orders && ps[0].Seq == 3)
	p, err := c.Product(ctx, orders)
	check("product", err, p != nil && p.ID == "p1" && len(p.Schema) == 1 && string(p.Schema[0].Sample.Rows[1][0]) == "1" && string(p.Schema[0].Sample.Rows[0][1]) == "null")
	h, err := c.History(ctx, orders, 0, 2)
	check("history", err, h != nil && len(h.Commits) == 2 && h.Commits[0].Seq == 3 && h.Next == 2)
	h, err = c.History(ctx, orders, h.Next, 2)
	check("older history", err, h != nil && len(h.Commits) == 1 && h.Next == 0)
	q, err := c.Quarantine(ctx, orders, 5, "#2")
	check("quarantine", err, q != nil && q.Seq == 2)
	s, err := c.Status(ctx)
	check("status", err, s != nil && s.Name == "test")
	for verb, call := range map[string]func(context.Context, weft.Name) (*serve.ProductSummary, error){"pause": c.Pause, "resume": c.Resume, "retire": c.Retire} {
		sum, err := call(ctx, orders)
		check(verb, err, sum != nil && sum.Name == orders)
	}
	ci, err := c.Rollback(ctx, orders, 2)
	check("rollback", err, ci != nil && ci.Seq == 4)
	check("delete", c.Delete(ctx, orders, "sales.orders"), true)
	nt, err := c.CreateToken(ctx, serve.TokenRequest{Name: "ci", Scopes: []serve.Scope{serve.ScopeApply}})
	check("create token", err, nt != nil && nt.Token == "secret-ci")
	ts, err := c.Tokens(ctx)
	check("tokens", err, len(ts) == 1 && ts[0].Name == "ci")
	check("revoke", c.RevokeToken(ctx, "ci"), true)
	check("ready", c.Ready(ctx), true)
	var seen []serve.Event
	b, err := c.Backup(ctx, serve.BackupRequest{Dir: "/backup", Products: []weft.Name{orders}}, func(e serve.Event) { seen = append(seen, e) })
	check("backup", err, b != nil && b.State == "s1" && b.Products == 1 && len(seen) == 1)
	re, err := c.Reload(ctx)
	check("reload", err, re != nil && len(re.Changed) == 1 && len(re.Faults) == 0)
	d.node.mu.Lock()
	d.node.faults = []contract.Fault{{Message: "a fault"}}
	d.node.mu.Unlock()
	re, err = c.Reload(ctx)
	check("faulty reload", err, re != nil && len(re.Faults) == 1)
	for _, want := range []string{"pause sales.orders", "rollback sales.orders#2", "delete sales.orders sales.orders"} {
		if !strings.Contains(strings.Join(d.node.calls, "\n"), want) {
			t.Errorf("the node was not told to %s: %q", want, d.node.calls)
		}
	}
}

func TestErrorsAreRebuilt(t *testing.T) {
	d := open(t, http.Config{})
	ctx := t.Context()
	_, err := d.client(t, "read").Product(ctx, weft.Name{Domain: "sales", Product: "nothing"})
	e, ok := err.(*weft.Error)
	if !ok || e.Kind != weft.KindNotFound || e.Op != "find the product" || e.Subject != "sales.nothing" || e.Message != "no such product" || e.Hint != "weft search lists them" {
		t.Errorf("%#v", err)
	}
	d.node.mu.Lock()
	d.node.ready = []serve.Reason{{Code: serve.NotReadyStarting, Text: "the node is starting"}}
	d.node.mu.Unlock()
	if err := d.client(t, "").Ready(ctx); weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("ready: %v", err)
	}
	gone, err := client.New(client.Config{URL: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Products(ctx); weft.KindOf(err) != weft.KindUnavailable || weft.HintOf(err) == "" {
		t.Errorf("nobody there: %v", err)
	}
}

// do sends a request as any program would, and returns status, headers and body.
func (d *door) do(t *testing.T, method, path, token, body string, edit func(*nethttp.Request)) (*nethttp.Response, string) {
	t.Helper()
	r, err := nethttp.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if edit != nil {
		edit(r)
	}
	res, err := nethttp.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestAdmission(t *testing.T) {
	d := open(t, http.Config{Hosts: []string{"weft.example.org"}})
	header := func(k, v string) func(*nethttp.Request) {
		return func(r *nethttp.Request) { r.Header.Set(k, v) }
	}
	host := func(h string) func(*nethttp.Request) { return func(r *nethttp.Request) { r.Host = h } }
	const ask = `{"sql":"SELECT 1"}`
	for _, c := range []struct {
		name, method, path, token, body string
		edit                            func(*nethttp.Request)
		status                          int
		kind                            weft.Kind
	}{
		{"no token", "GET", "/api/v1/products", "", "", nil, 401, weft.KindDenied},
		{"unknown token", "GET", "/api/v1/products", "nobody", "", nil, 401, weft.KindDenied},
		{"basic authorisation", "GET", "/api/v1/products", "", "", header("Authorization", "Basic cmVhZDpyZWFk"), 401, weft.KindDenied},
		{"token in the query string", "GET", "/api/v1/products?token=read", "", "", nil, 401, weft.KindDenied},
		{"read may read", "GET", "/api/v1/products", "read", "", nil, 200, ""},
		{"read may query", "POST", "/api/v1/query", "read", ask, nil, 200, ""},
		{"read may not apply", "POST", "/api/v1/apply", "read", "x", nil, 403, weft.KindDenied},
		{"read may not pause", "POST", "/api/v1/products/sales.orders/pause", "read", "", nil, 403, weft.KindDenied},
		{"read may not see the quarantine", "GET", "/api/v1/products/sales.orders/quarantine", "read", "", nil, 403, weft.KindDenied},
		{"read may not list tokens", "GET", "/api/v1/tokens", "read", "", nil, 403, weft.KindDenied},
		{"apply may apply", "POST", "/api/v1/apply", "apply", "x", header("Content-Type", "application/gzip"), 200, ""},
		{"apply may see the status", "GET", "/api/v1/status", "apply", "", nil, 200, ""},
		{"apply may not read", "POST", "/api/v1/query", "apply", ask, nil, 403, weft.KindDenied},
		{"apply may not make tokens", "POST", "/api/v1/tokens", "apply", `{"name":"a","scopes":["admin"]}`, nil, 403, weft.KindDenied},
		{"admin may all", "GET", "/api/v1/tokens", "admin", "", nil, 200, ""},
		{"another host", "GET", "/api/v1/products", "read", "", host("evil.example.com"), 403, weft.KindDenied},
		{"another host with our port", "GET", "/api/v1/products", "read", "", host("evil.example.com:7070"), 403, weft.KindDenied},
		{"a configured host", "GET", "/api/v1/products", "read", "", host("WEFT.example.org.:443"), 200, ""},
		{"localhost", "GET", "/api/v1/products", "read", "", host("localhost:7070"), 200, ""},
		{"IPv6 loopback", "GET", "/api/v1/products", "read", "", host("[::1]:7070"), 200, ""},
		{"another origin", "GET", "/api/v1/products", "read", "", header("Origin", "https://evil.example.com"), 403, weft.KindDenied},
		{"no origin's page", "GET", "/api/v1/products", "read", "", header("Origin", "null"), 403, weft.KindDenied},
		{"own origin", "GET", "/api/v1/products", "read", "", header("Origin", d.url), 200, ""},
		{"own name, other port", "GET", "/api/v1/products", "read", "", header("Origin", "http://127.0.0.1:1"), 403, weft.KindDenied},
		{"a cross-site image", "GET", "/api/v1/products", "read", "", header("Sec-Fetch-Site", "cross-site"), 403, weft.KindDenied},
		{"health needs no token", "GET", "/healthz", "", "", host("10.0.0.7"), 200, ""},
		{"readiness needs no token", "GET", "/readyz", "", "", nil, 200, ""},
		{"the document needs no token", "GET", "/openapi.json", "", "", nil, 200, ""},
		{"the document checks the host", "GET", "/openapi.yaml", "", "", host("evil.example.com"), 403, weft.KindDenied},
		{"no such path", "GET", "/api/v1/nothing", "read", "", nil, 404, weft.KindNotFound},
		{"no such method", "PUT", "/api/v1/query", "read", ask, nil, 405, weft.KindInvalid},
		{"not a name", "GET", "/api/v1/products/Sales", "read", "", nil, 400, weft.KindInvalid},
		{"unknown parameter", "GET", "/api/v1/products/sales.orders/commits?befor=3", "read", "", nil, 422, weft.KindInvalid},
		{"a bad limit", "GET", "/api/v1/products/sales.orders/commits?limit=0", "read", "", nil, 422, weft.KindInvalid},
		{"unknown field", "POST", "/api/v1/query", "read", `{"sql":"SELECT 1","sqll":""}`, nil, 422, weft.KindInvalid},
		{"no SQL", "POST", "/api/v1/query", "read", `{}`, nil, 422, weft.KindInvalid},
		{"not JSON", "POST", "/api/v1/query", "read", `{"sql":`, nil, 400, weft.KindInvalid},
		{"a form", "POST", "/api/v1/query", "read", "sql=SELECT+1", header("Content-Type", "application/x-www-form-urlencoded"), 415, weft.KindInvalid},
		{"too much SQL", "POST", "/api/v1/query", "read", `{"sql":"` + strings.Repeat("x", 300<<10) + `"}`, nil, 422, weft.KindInvalid},
		{"too large a body", "POST", "/api/v1/query", "read", `{"sql":"` + strings.Repeat("x", 2<<20) + `"}`, nil, 413, weft.KindLimit},
		{"too large a folder", "POST", "/api/v1/apply", "apply", strings.Repeat("x", serve.MaxArchive+1), header("Content-Type", "application/gzip"), 413, weft.KindLimit},
		{"no folder", "POST", "/api/v1/apply", "apply", "", nil, 400, weft.KindInvalid},
		{"a bad time", "POST", "/api/v1/query", "read", `{"sql":"SELECT 1","at":"2026-02-30"}`, nil, 400, weft.KindInvalid},
		{"a bad format", "POST", "/api/v1/query?format=xml", "read", ask, nil, 400, weft.KindInvalid},
		{"a table is no format", "POST", "/api/v1/query?format=table", "read", ask, nil, 400, weft.KindInvalid},
		{"nothing acceptable", "POST", "/api/v1/query", "read", ask, header("Accept", "image/png"), 406, weft.KindInvalid},
		{"delete without confirming", "DELETE", "/api/v1/products/sales.orders", "admin", "", nil, 422, weft.KindInvalid},
		{"delete confirming another", "DELETE", "/api/v1/products/sales.orders?confirm=sales.order", "admin", "", nil, 400, weft.KindInvalid},
		{"an unknown scope", "POST", "/api/v1/tokens", "admin", `{"name":"a","scopes":["root"]}`, nil, 400, weft.KindInvalid},
		{"a token of the past", "POST", "/api/v1/tokens", "admin", `{"name":"a","scopes":["read"],"expires":"2020-01-01T00:00:00Z"}`, nil, 400, weft.KindInvalid},
		{"a window backwards", "POST", "/api/v1/products/sales.orders/refresh", "admin", `{"from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`, nil, 400, weft.KindInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := d.do(t, c.method, c.path, c.token, c.body, c.edit)
			if res.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", res.StatusCode, c.status, body)
			}
			if res.Header.Get(serve.HeaderRequest) == "" || res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers: %v", res.Header)
			}
			if c.kind == "" {
				return
			}
			var p serve.Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil || res.Header.Get("Content-Type") != serve.ProblemType {
				t.Fatalf("no problem: %v: %s", err, body)
			}
			if p.Kind != c.kind || p.Status != c.status || p.Request != res.Header.Get(serve.HeaderRequest) || p.Hint == "" || p.Message == "" || p.Title == "" {
				t.Errorf("problem: %s", body)
			}
			if c.status == 401 && res.Header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

func TestLogHasNoSecrets(t *testing.T) {
	d := open(t, http.Config{})
	res, _ := d.do(t, "POST", "/api/v1/query?format=csv", "read", `{"sql":"SELECT 'very private'"}`, nil)
	d.do(t, "GET", "/api/v1/products?token=sesame", "sesame", "", nil)
	d.do(t, "POST", "/api/v1/query", "read", `{"sql":"SELECT 1","at":"very private"}`, nil)
	log := d.log.String()
	for _, secret := range []string{"very private", "sesame", "Bearer"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	if want := "request=" + res.Header.Get(serve.HeaderRequest); !strings.Contains(log, want) || !strings.Contains(log, "rows=30") {
		t.Errorf("the log has no line with %s and its rows:\n%s", want, log)
	}
}

func TestPanicIsAProblem(t *testing.T) {
	d := open(t, http.Config{})
	d.node.query = func(context.Context, weft.Question) (*weft.Answer, error) { panic("secret inside") }
	res, body := d.do(t, "POST", "/api/v1/query", "read", `{"sql":"SELECT 1"}`, nil)
	if res.StatusCode != 500 || strings.Contains(body, "secret inside") || !strings.Contains(body, `"kind":"internal"`) {
		t.Errorf("%d: %s", res.StatusCode, body)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  http.Config
		want string
	}{
		{http.Config{Addr: "127.0.0.1:7070"}, ""},
		{http.Config{Addr: "[::1]:7070"}, ""},
		{http.Config{Addr: "localhost:0"}, ""},
		{http.Config{Addr: "0.0.0.0:7070"}, "without TLS"},
		{http.Config{Addr: ":7070"}, "without TLS"},
		{http.Config{Addr: "node.example.org:7070"}, "without TLS"},
		{http.Config{Addr: "7070"}, "not host:port"},
		{http.Config{Addr: "127.0.0.1:0", CertFile: "a"}, "belong together"},
		{http.Config{Addr: "127.0.0.1:0", Hosts: []string{"https://x"}}, "not the name of a host"},
	} {
		_, err := http.New(c.cfg, (&memoryNode{}).backend(), run.Quiet())
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

func TestDrain(t *testing.T) {
	node := &memoryNode{}
	srv, err := http.New(http.Config{Addr: "127.0.0.1:0"}, node.backend(), run.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	started, goOn := make(chan struct{}), make(chan struct{})
	node.query = func(ctx context.Context, _ weft.Question) (*weft.Answer, error) {
		close(started)
		select {
		case <-goOn:
			return answer(numbers(1, 1)...), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	c, err := client.New(client.Config{URL: srv.URL(), Token: "read"})
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		a, err := c.Query(t.Context(), serve.QueryRequest{SQL: "SELECT 1"})
		if err == nil {
			err = a.Close()
		}
		answered <- err
	}()
	<-started
	cancel() // the running question must still be answered
	close(goOn)
	if err := <-answered; err != nil {
		t.Errorf("the running question failed: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if err := srv.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

// A question may run longer than its body may take to come.
func TestBodyTimeoutDoesNotCancelTheAnswer(t *testing.T) {
	d := open(t, http.Config{BodyTimeout: 50 * time.Millisecond})
	d.node.query = func(ctx context.Context, _ weft.Question) (*weft.Answer, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(200 * time.Millisecond):
			return answer(), nil
		}
	}
	if res, body := d.do(t, "POST", "/api/v1/query", "read", `{"sql":"SELECT 1"}`, nil); res.StatusCode != 200 {
		t.Errorf("%d: %s", res.StatusCode, body)
	}
}

func TestHandlerWithoutListening(t *testing.T) {
	srv, err := http.New(http.Config{Addr: "127.0.0.1:0"}, (&memoryNode{}).backend(), run.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "http://localhost/api/v1/products/sales.orders", nil)
	r.Header.Set("Authorization", "Bearer read")
	w := httptest.NewRecorder()
	srv.Handler().ServeHTTP(w, r)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"purpose":"Invented orders."`) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
