package http

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"weft/serve"
)

type health struct {
	Status string `json:"status" doc:"ok"`
}

// isProbe says which requests come from watchdogs, many times a minute.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// probeRoutes are what watches a node: whether it lives, whether it is ready,
// what it counts.
func (s *Server) probeRoutes() {
	node := []string{"node"}
	live := op("healthz", http.MethodGet, "/healthz", "Whether the process lives", "While it starts and stops, too.")
	live.Tags = node
	register(s, live, func(context.Context, *serve.Identity, *struct{}) (health, error) { return health{"ok"}, nil })

	ready := op("readyz", http.MethodGet, "/readyz", "Whether the node takes questions and loads",
		"503 with the reasons while it starts or stops, or has less disk than disk.reserve asks for.")
	ready.Tags = node
	answer := map[string]*huma.MediaType{"application/json": {Schema: schemaOf[serve.Readiness](s)}}
	ready.Responses = map[string]*huma.Response{
		"200": {Description: "It is ready", Content: answer},
		"503": {Description: "It is not, and why", Content: answer},
	}
	registerRaw(s, ready, func(w *writer, r *http.Request, _ *serve.Identity, _ *struct{}) error {
		is := s.b.Node.Ready(r.Context())
		w.Header().Set("Content-Type", "application/json")
		if !is.Ready {
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return sent(json.NewEncoder(w).Encode(is))
	})
	if s.b.Metrics != nil {
		s.metricsRoute()
	}
}

// metricsRoute serves what the node counts. No figure names a product or a
// person, yet they say how a house works: they want a token unless the node is
// told otherwise.
func (s *Server) metricsRoute() {
	scopes := []serve.Scope{serve.ScopeMetrics, serve.ScopeRead}
	if s.cfg.OpenMetrics {
		scopes = nil
	}
	o := op("metrics", http.MethodGet, "/metrics", "What the node counts", "In Prometheus' text format, or in OpenMetrics where that is accepted.", scopes...)
	o.Tags = []string{"node"}
	o.Responses = map[string]*huma.Response{"200": {
		Description: "The figures",
		Content:     map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	h := promhttp.HandlerFor(s.b.Metrics, promhttp.HandlerOpts{DisableCompression: true, EnableOpenMetrics: true})
	registerRaw(s, o, func(w *writer, r *http.Request, _ *serve.Identity, _ *struct{}) error {
		h.ServeHTTP(w, r)
		return nil
	})
}

// count counts a request under its route, of which there are as many as the API
// has operations.
func (s *Server) count(r *http.Request, status int) {
	route := r.Pattern
	if route == "" || route == "/" {
		route = "none"
	}
	s.requests.WithLabelValues(route, itoa(status)).Inc()
}
