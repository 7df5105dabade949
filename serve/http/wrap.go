package http

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"weft"
	"weft/run"
	"weft/serve"
)

// request is what is known of a request while it runs; it goes with its context.
type request struct {
	id    string
	who   *serve.Identity // nil before authentication
	rows  int64
	err   error // what went wrong, for the log and for the outcome
	state *writer

	gave     []serve.Gave   // to its answer
	warnings []weft.Warning // of its answer
}

type requestKey struct{}

// of returns what is known of the running request.
func of(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

// writer counts what is answered, and breaks off a reader that takes nothing.
type writer struct {
	http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	until   time.Time // of the write deadline that is set
	status  int
	bytes   int64
	before  func() // called once, before the header goes out
}

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if f := w.before; f != nil {
		w.before = nil
		f()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.extend()
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// FlushError sends what was written.
func (w *writer) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.extend()
	return w.rc.Flush()
}

// extend moves the write deadline ahead, not for every small write.
func (w *writer) extend() {
	if now := time.Now(); w.until.Sub(now) < w.timeout/2 {
		w.until = now.Add(w.timeout)
		_ = w.rc.SetWriteDeadline(w.until) // a recorder in a test has none
	}
}

// maxBody is the most that any request may bring.
const maxBody = serve.MaxArchive + 64<<10

// wrap is everything around the routes: one id per request in log and header,
// the access log, Host and Origin, bounds and headers.
func (s *Server) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(hw http.ResponseWriter, r *http.Request) {
		start := time.Now()
		w := &writer{ResponseWriter: hw, rc: http.NewResponseController(hw), timeout: s.cfg.WriteTimeout}
		q := &request{id: run.NewID(), state: w}
		ctx := context.WithValue(r.Context(), requestKey{}, q)
		r = r.WithContext(run.WithLog(ctx, slog.String("request", q.id)))
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				q.err = weft.Errorf(weft.KindInternal, "answer the request", r.URL.Path, "the program failed: %v", p)
				s.env.Log.ErrorContext(r.Context(), "request failed", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				if w.status == 0 {
					s.fail(w, r, weft.Errorf(weft.KindInternal, "answer the request", r.URL.Path, "the program failed").
						WithHint("report it with the request's id; the node's log has the details"))
					p = nil
				}
			}
			s.access(r, w, q, time.Since(start))
			if p != nil {
				panic(http.ErrAbortHandler)
			}
		}()
		secure(w.Header())
		w.Header().Set(serve.HeaderRequest, q.id)
		if err := s.admit(r); err != nil {
			s.fail(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// secure sets the headers that every answer has: nothing here is a page that
// may be framed, guessed at or kept by caches.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// admit checks where the request is addressed to and where it comes from. Probes
// of the node's health carry the machine's address and learn nothing.
func (s *Server) admit(r *http.Request) error {
	if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return nil
	}
	if !s.hosts.Load().admits(r.Host) {
		return weft.Errorf(weft.KindDenied, "answer the request", "", "this node is not called %q", clip(r.Host, 80)).
			WithHint("use one of its names, or add this one to hosts in weft.yaml")
	}
	origin := r.Header.Get("Origin")
	if site := r.Header.Get("Sec-Fetch-Site"); origin == "" && site != "cross-site" && site != "same-site" {
		return nil
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && u.Host == r.Host && (u.Scheme == "https") == (r.TLS != nil) {
		return nil
	}
	return weft.Errorf(weft.KindDenied, "answer the request", "", "it comes from a page of another site (%s)", clip(origin, 80)).
		WithHint("ask from a program, or from a page that this node serves")
}

func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "?")
}

// fail answers with the problem that err is; status overrides the kind's.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error, status ...int) {
	q := of(r.Context())
	q.err = err
	p := serve.ProblemOf(err, q.id)
	if len(status) > 0 {
		p.Status = status[0]
	}
	h := w.Header()
	for _, k := range []string{"Trailer", "Content-Disposition", "Content-Length"} {
		h.Del(k)
	}
	h.Set("Content-Type", serve.ProblemType)
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="weft"`)
	}
	if p.Status == http.StatusServiceUnavailable || p.After > 0 {
		h.Set("Retry-After", strconv.Itoa(max(int(math.Ceil(p.After)), leastRetry)))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // an error here means that nobody reads it
}

// leastRetry is after how many seconds one may ask again at the soonest.
const leastRetry = 2

// access writes one line per request: who asked what and what became of it,
// never a token, a query string or a body.
func (s *Server) access(r *http.Request, w *writer, q *request, took time.Duration) {
	s.count(r, w.status)
	args := []any{
		"method", r.Method, "path", r.URL.Path, "status", w.status,
		"bytes", w.bytes, "ms", float64(took.Microseconds()) / 1000, "remote", r.RemoteAddr,
	}
	if q.who != nil {
		args = append(args, "subject", q.who.Subject.ID, "token", q.who.Token)
	}
	if q.rows > 0 {
		args = append(args, "rows", q.rows)
	}
	if q.err != nil {
		args = append(args, "kind", string(weft.KindOf(q.err)))
	}
	switch {
	case w.status >= 500 && q.err != nil:
		s.env.Log.ErrorContext(r.Context(), "request", append(args, "error", q.err.Error())...)
	case isProbe(r.URL.Path):
		s.env.Log.DebugContext(r.Context(), "request", args...)
	default:
		s.env.Log.InfoContext(r.Context(), "request", args...)
	}
}
