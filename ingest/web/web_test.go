package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weft"
	"weft/contract"
	"weft/ingest"
	"weft/ingest/files"
	"weft/ingest/ingesttest"
)

func TestMain(m *testing.M) { ingesttest.Main(m) }

func port(t testing.TB, url string, tables ...ingest.Want) *ingesttest.Port {
	d := New(files.New())
	d.Wait, d.Tries = time.Millisecond, 3
	return &ingesttest.Port{T: t, Driver: d, Server: contract.Server{Name: "web", Type: "api", URL: url}, Tables: tables, Vars: map[string]string{"USER": "u", "SECRET": "hunter2"}}
}

// source serves /NAME.csv with a settable body, and counts.
type source struct {
	*httptest.Server
	body, etag       atomic.Value
	asked, delivered atomic.Int64
}

func serve(t *testing.T) *source {
	s := &source{}
	s.body.Store("id,x\n1,2\n")
	s.etag.Store("")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if e := s.etag.Load().(string); e != "" {
			w.Header().Set("ETag", e)
			if r.Header.Get("If-None-Match") == e {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		s.delivered.Add(1)
		fmt.Fprint(w, s.body.Load())
	}))
	t.Cleanup(s.Close)
	return s
}

// TestUnchanged: nothing is downloaded while the ETag holds, and nothing staged
// while the bytes are the same.
func TestUnchanged(t *testing.T) {
	s := serve(t)
	s.etag.Store(`"one"`)
	p := port(t, s.URL+"/{table}.csv?key=secret", ingesttest.Table("a"), ingesttest.Table("b"))
	first := p.Must(nil)
	if got, want := first.Rows("a")+first.Rows("b"), strings.Repeat("id BIGINT, x BIGINT\n1|2\n", 2); got != want {
		t.Fatalf("got %s", got)
	}
	if !p.Must(first.Position).Unchanged || s.delivered.Load() != 2 {
		t.Errorf("downloaded %d times", s.delivered.Load())
	}
	s.etag.Store("") // the server forgot how to say it
	if !p.Must(first.Position).Unchanged {
		t.Error("the same bytes were staged again")
	}
	s.body.Store("id,x\n1,3\n")
	next := p.Must(first.Position)
	if next.Unchanged || !strings.Contains(next.Rows("b"), "1|3") {
		t.Error("a change was not seen")
	}
}

// TestPlaces: rejected rows say where they came from, without the query, which
// may hold a key.
func TestPlaces(t *testing.T) {
	s := serve(t)
	s.body.Store("id,x\n1,2\nx,3\n")
	g := port(t, s.URL+"/a.csv?key=secret", ingesttest.Table("a", "id bigint")).Must(nil)
	want := "rejected line 3: type bigint: column id @ a.csv:3 {\"id\":\"x\",\"x\":\"3\"}\n"
	if got := g.Rows("a"); !strings.HasSuffix(got, want) || strings.Contains(got, "secret") {
		t.Errorf("got %s", got)
	}
	if place := g.SQL("SELECT place FROM read_parquet('" + g.Tables[0].Rejects + "')"); place != s.URL+"/a.csv:3\n" {
		t.Errorf("place %s", place)
	}
}

// TestFaults: each is of the right kind, says the address and no secret.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		change  func(*Driver, *contract.Server)
		kind    weft.Kind
		want    string
	}{
		"not there": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, nil, weft.KindUnavailable, "404 Not Found"},
		"not allowed": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, func(_ *Driver, s *contract.Server) {
			s.User, s.Password = "${USER}", "${SECRET}"
		}, weft.KindUnavailable, "401 Unauthorized"},
		"dies in the body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "id,x\n1,2\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, nil, weft.KindUnavailable, "broke off 3 times"},
		"dies without a length": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "id,x\n1,2\n")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, nil, weft.KindUnavailable, "broke off 3 times"},
		"falls silent": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "id,x\n1,2\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, func(d *Driver, _ *contract.Server) { d.Stall = 20 * time.Millisecond }, weft.KindUnavailable, "broke off 3 times"},
		"never ends": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(w, strings.Repeat("1,2\n", 1000)); err != nil {
					return
				}
			}
		}, func(d *Driver, _ *contract.Server) { d.MaxBytes = 1 << 20 }, weft.KindLimit, "more than 1 MB"},
		"redirects to a file": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		}, nil, weft.KindDenied, "another scheme"},
		"redirects in a circle": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/a.csv", http.StatusFound) }, nil, weft.KindDenied, "more than five times"},
		"redirects to the metadata": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
		}, nil, weft.KindDenied, "link-local"},
		"a user in the address": {nil, func(_ *Driver, s *contract.Server) { s.URL = strings.Replace(s.URL, "http://", "http://u:hunter2@", 1) }, weft.KindInvalid, "holds a user"},
		"another scheme":        {nil, func(_ *Driver, s *contract.Server) { s.URL = "ftp://example.com/a.csv" }, weft.KindInvalid, "no http"},
		"a variable is missing": {nil, func(_ *Driver, s *contract.Server) { s.URL = "${NOT_SET}/a.csv" }, weft.KindInvalid, "NOT_SET"},
		"drift":                 {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "key,x\n1,2\n") }, nil, weft.KindDrift, "`id`"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.handler)
			t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
			p := port(t, s.URL+"/a.csv?key=hunter2", ingesttest.Table("a", "id bigint"))
			if c.change != nil {
				c.change(p.Driver.(*Driver), &p.Server)
			}
			_, err := p.Read(context.Background(), nil)
			if weft.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", weft.KindOf(err), err)
			}
			if err != nil && strings.Contains(err.Error()+weft.HintOf(err), "hunter2") {
				t.Errorf("a secret is in %v", err)
			}
		})
	}
	t.Run("away", func(t *testing.T) {
		s := httptest.NewServer(nil)
		s.Close()
		_, err := port(t, s.URL+"/a.csv?key=hunter2", ingesttest.Table("a")).Read(context.Background(), nil)
		if weft.KindOf(err) != weft.KindUnavailable || strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	})
}

// TestRecovers: a server that fails once is asked again; sign-in and content
// type are used.
func TestRecovers(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "u" || p != "hunter2" {
			w.WriteHeader(401)
			return
		}
		switch n.Add(1) {
		case 1:
			w.WriteHeader(503)
		case 2:
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"id"`)
		default:
			w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
			fmt.Fprint(w, `{"id":1}`+"\n"+`{"id":2}`+"\n")
		}
	}))
	t.Cleanup(s.Close)
	p := port(t, s.URL+"/rows", ingesttest.Table("a"))
	p.Server.User, p.Server.Password = "${USER}", "${SECRET}"
	if got := p.Must(nil).Rows("a"); got != "id BIGINT\n1\n2\n" {
		t.Errorf("got %s", got)
	}
}
