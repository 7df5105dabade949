package http

import (
	"context"
	"net/http"

	"weft/serve"
)

type searchInput struct {
	Q               string   `query:"q" maxLength:"500" doc:"words of names, texts, columns, tags, terms and owners; everything where it is absent"`
	Domains         []string `query:"domain,explode" maxItems:"100" doc:"only products of these domains"`
	Tags            []string `query:"tag,explode" maxItems:"100" doc:"only products with one of these tags"`
	Classifications []string `query:"classification,explode" maxItems:"100" doc:"only products with a column that is classified so"`
	Ports           []string `query:"port,explode" maxItems:"100" doc:"only products with a port of this type: local, postgres, http, product"`
	States          []string `query:"state,explode" maxItems:"100" doc:"only products that were last seen so: fresh, late, refused, …"`
	Lives           []string `query:"life,explode" maxItems:"100" doc:"only products of these stages: draft, active, deprecated, …"`
	Limit           int      `query:"limit" default:"20" minimum:"1" maximum:"100"`
	Offset          int      `query:"offset" minimum:"0" maximum:"10000" doc:"hits to leave out, for the next page"`
}

// searchRoutes find products of the whole mesh.
func (s *Server) searchRoutes() {
	search := op("search", http.MethodGet, prefix+"/search", "Search the products of the whole mesh",
		"Typing errors are forgiven; what fits best comes first, and health and freshness count. Each hit says why it fits and how fresh what is known of it is. "+
			"The answer comes from this node's own memory, also while others are away.", serve.ScopeRead)
	search.Tags = []string{"products"}
	register(s, search, func(ctx context.Context, who *serve.Identity, in *searchInput) (*serve.SearchResult, error) {
		r, err := s.b.Catalog.Search(ctx, who.Subject, serve.SearchRequest{
			Text: in.Q, Domains: in.Domains, Tags: in.Tags, Classifications: in.Classifications, Ports: in.Ports,
			States: in.States, Lives: in.Lives, Limit: in.Limit, Offset: in.Offset,
		})
		if err == nil {
			r.Hits = orEmpty(r.Hits)
		}
		return r, err
	})
}
