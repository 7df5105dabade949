package http

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/net/netutil"

	"weft"
	"weft/run"
	"weft/serve"
)

// Server is the door. New, then Open, then Run; Close at any time.
type Server struct {
	cfg      Config
	b        serve.Backend
	env      run.Env
	requests *prometheus.CounterVec // by route and status
	hosts    atomic.Pointer[hostList]
	mux      *http.ServeMux
	api      huma.API
	doc      document
	handler  http.Handler
	outcomes *outcomes
	receipts receipts
	certs    *certificates

	// base is what requests live in: it outlives Run's context, so that running
	// requests may end, and ends with Close.
	base context.Context
	end  context.CancelFunc

	mu       sync.Mutex
	listener net.Listener
	server   *http.Server
	begun    chan struct{} // closed when Run begins
	served   chan error    // how serving ended
}

// New makes the door; it listens only when opened.
func New(cfg Config, b serve.Backend, env run.Env) (*Server, error) {
	if faults := cfg.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, b: b, env: env.Named("http"),
		mux: http.NewServeMux(), outcomes: newOutcomes(256),
	}
	hosts := newHostList(cfg)
	s.hosts.Store(&hosts)
	s.env.Log = run.Lined(s.env.Log)
	s.requests = promauto.With(env.Metrics).NewCounterVec(prometheus.CounterOpts{
		Name: "weft_http_requests_total", Help: "Requests by route of the API and status.",
	}, []string{"route", "status"})
	s.begun, s.served = make(chan struct{}), make(chan error, 1)
	s.base, s.end = context.WithCancel(context.Background())
	if cfg.CertFile != "" {
		s.certs = &certificates{cert: cfg.CertFile, key: cfg.KeyFile, log: s.env.Log, now: s.env.Clock.Now}
	}
	if err := s.routes(); err != nil {
		return nil, err
	}
	s.handler = s.wrap(s.mux)
	return s, nil
}

// Handler answers requests as the listening server does.
func (s *Server) Handler() http.Handler { return s.handler }

// Open listens, and answers whoever asks whether the node is ready. The certificate's
// files must be readable.
func (s *Server) Open(ctx context.Context) error {
	srv := &http.Server{
		Handler:           http.HandlerFunc(s.early),
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ErrorLog:          slog.NewLogLogger(s.env.Log.Handler(), slog.LevelDebug),
	}
	if s.certs != nil {
		if err := s.certs.load(); err != nil {
			return err
		}
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certs.get}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "listen", s.cfg.Addr, "%w", err).
			WithHint("another program may be there: stop it, or choose another address with --listen")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.server = netutil.LimitListener(l, s.cfg.Connections), srv
	if s.cfg.Peers != nil {
		s.listener = newPort(s.listener, s.cfg.Peers, s.certs != nil, s.cfg.HeaderTimeout)
	}
	go func() {
		if s.certs != nil {
			s.served <- srv.ServeTLS(s.listener, "", "")
			return
		}
		s.served <- srv.Serve(s.listener)
	}()
	return nil
}

// early answers probes at once; everything else waits until Run has begun.
func (s *Server) early(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
		select {
		case <-s.begun:
		case <-r.Context().Done():
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	s.handler.ServeHTTP(w, r)
}

// Addr is the address that the server listens on, empty before Open.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// URL is where the API is. A server on all addresses gives its first name.
func (s *Server) URL() string {
	scheme := "http"
	if s.certs != nil {
		scheme = "https"
	}
	addr := s.Addr()
	if addr == "" {
		addr = s.cfg.Addr
	}
	host, port, _ := net.SplitHostPort(addr)
	if h, _, _ := net.SplitHostPort(s.cfg.Addr); h == "" || unspecified(h) {
		host = "localhost"
		if len(s.cfg.Hosts) > 0 {
			host = s.cfg.Hosts[0]
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Run serves until ctx ends; then no new connection is taken, and running
// requests have the drain time to end before they are cut off.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	srv := s.server
	s.mu.Unlock()
	if srv == nil {
		return weft.Errorf(weft.KindInternal, "serve", s.cfg.Addr, "the door is not open")
	}
	close(s.begun)
	select {
	case err := <-s.served:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return weft.Errorf(weft.KindUnavailable, "serve", s.cfg.Addr, "%w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain)
	defer cancel()
	if err := srv.Shutdown(drain); err != nil {
		s.env.Log.Warn("requests did not end in time and were cut off", "after", s.cfg.Drain.String())
	}
	return s.Close()
}

// Close stops at once: running requests are cancelled. Idempotent.
func (s *Server) Close() error {
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	err := s.server.Close()
	_ = s.listener.Close() // of a server that never ran; else it is closed already
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// itoa is the text of a status in the API's document.
func itoa(n int) string { return strconv.Itoa(n) }
