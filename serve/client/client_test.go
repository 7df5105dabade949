package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/serve"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct{ url, token, want string }{
		{"http://127.0.0.1:7070", "t", ""},
		{"http://localhost:7070/", "", ""},
		{"http://[::1]:7070", "", ""},
		{"https://weft.example.org", "t", ""},
		{"http://weft.example.org", "t", "in the clear"},
		{"127.0.0.1:7070", "", "not a URL"},
		{"ftp://127.0.0.1", "", "not a URL"},
		{"", "", "not a URL"},
		{"http://me:secret@127.0.0.1", "", "holds a user"},
		{"http://127.0.0.1", "two words", "holds blanks"},
	} {
		_, err := New(Config{URL: c.url, Token: c.token})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q: %v", c.url, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds a secret: %v", err)
		}
	}
	if _, err := New(Config{URL: "https://x.example.org", CAFile: filepath.Join(t.TempDir(), "none.pem")}); weft.KindOf(err) != weft.KindInvalid {
		t.Error(err)
	}
}

func TestReadToken(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if got, err := ReadToken(write("good", "abc123\n", 0o600)); got != "abc123" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for path, kind := range map[string]weft.Kind{
		write("open", "abc123\n", 0o644): weft.KindDenied,
		write("empty", "\n", 0o600):      weft.KindInvalid,
		write("two", "a b", 0o600):       weft.KindInvalid,
		filepath.Join(dir, "none"):       weft.KindNotFound,
	} {
		if _, err := ReadToken(path); weft.KindOf(err) != kind || strings.Contains(err.Error(), "abc123") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What answers may be no node, or break: the error says so, and nothing that
// broke looks whole.
func TestForeignAndBrokenAnswers(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"/html": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<h1>nginx</h1>", http.StatusBadGateway) },
		"/moved": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example.com/", http.StatusFound)
		},
		"/nojson": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"/cut": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"event":{"phase":"read"}}`+"\n")
		},
		"/badstep": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "no JSON\n") },
		"/noarrow": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "these are no rows") },
	}
	var last *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		last = r
		if h := answers[r.URL.Path]; h != nil {
			h(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	defer srv.Close()
	c, err := New(Config{URL: srv.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	ask := func(path string) error {
		_, err := get[serve.NodeStatus](ctx, c, call{method: "GET", path: path})
		return err
	}
	for path, kind := range map[string]weft.Kind{"/html": weft.KindUnavailable, "/moved": weft.KindInternal, "/nojson": weft.KindUnavailable} {
		if err := ask(path); weft.KindOf(err) != kind || weft.HintOf(err) == "" {
			t.Errorf("%s: %v", path, err)
		}
	}
	if last.Header.Get("Authorization") != "Bearer t" || last.Header.Get("User-Agent") != "weft-client" {
		t.Errorf("headers %v", last.Header)
	}
	for _, path := range []string{"/cut", "/badstep"} {
		if _, err := work[serve.ApplyResult](ctx, c, call{method: "POST", path: path}, nil); weft.KindOf(err) != weft.KindUnavailable {
			t.Errorf("%s: %v", path, err)
		}
	}
	s, err := c.open(ctx, call{method: "GET", path: "/noarrow"}, serve.FormatArrow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Answer(nil); weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("%v", err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.Products(done); weft.KindOf(err) != weft.KindCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestNodeEndsWhileItAnswers holds that a reader of an answer that the node's end
// cut off is told that, and not of a connection.
func TestNodeEndsWhileItAnswers(t *testing.T) {
	var srv *httptest.Server
	srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "id\n1\n")
		_ = http.NewResponseController(w).Flush()
		_ = srv.Listener.Close() // as the kernel does when a process ends
		panic(http.ErrAbortHandler)
	}))
	defer srv.Close()
	c, err := New(Config{URL: srv.URL, Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.open(t.Context(), call{method: "GET", path: "/"}, serve.FormatCSV)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(s)
	if weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "the node ended") || weft.HintOf(err) == "" || string(b) != "id\n1\n" {
		t.Errorf("%q, %v", b, err)
	}
}
