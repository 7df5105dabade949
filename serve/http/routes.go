package http

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"weft"
	"weft/serve"
)

const prefix = "/api/v1"

// routes declares every operation; the API's document is made from the same.
func (s *Server) routes() error {
	cfg := huma.DefaultConfig("Weft", s.cfg.Version)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
	cfg.Transformers = []huma.Transformer{unframe}
	cfg.RejectUnknownQueryParameters = true
	describe(cfg.OpenAPI)
	s.api = humago.New(s.mux, cfg)
	s.api.UseMiddleware(s.authorise)
	s.consumerRoutes()
	s.queryRoutes()
	s.explainRoute()
	s.ownerRoutes()
	s.lifeRoutes()
	s.nodeRoutes()
	s.upkeepRoutes()
	s.meshRoutes()
	s.replicaRoutes()
	s.searchRoutes()
	s.lineageRoutes()
	s.receiptRoutes()
	s.usageRoutes()
	s.cutRoutes()
	s.mux.HandleFunc("/", s.unknown)
	return s.serveDocument()
}

// unknown answers what no route takes: 405 where the path has another method.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if _, pattern := s.mux.Handler(&http.Request{Method: m, URL: r.URL, Host: r.Host}); pattern != "/" {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.fail(w, r, weft.Errorf(weft.KindInvalid, "answer the request", r.URL.Path, "it does not take %s", clip(r.Method, 20)).
			WithHint("use %s", strings.Join(allowed, " or ")), http.StatusMethodNotAllowed)
		return
	}
	s.fail(w, r, weft.Errorf(weft.KindNotFound, "answer the request", clip(r.URL.Path, 200), "there is no such path").
		WithHint("GET /openapi.json lists them"))
}

// productPath is the part of a path that names a product.
type productPath struct {
	P string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
}

func (s *Server) consumerRoutes() {
	products := []string{"products"}
	list := op("listProducts", http.MethodGet, prefix+"/products", "List products", "Every product that the token's subject may know of, ordered by address.", serve.ScopeRead)
	list.Tags = products
	register(s, list, func(ctx context.Context, who *serve.Identity, _ *struct{}) (serve.ProductList, error) {
		ps, err := s.b.Products.List(ctx, who.Subject)
		return serve.ProductList{Products: orEmpty(ps)}, err
	})

	show := op("showProduct", http.MethodGet, prefix+"/products/{p}", "Show a product",
		"Description, owner, ports, schema, a sample, statistics, the evidence of the last verdict, and how to query it.", serve.ScopeRead)
	show.Tags = products
	register(s, show, func(ctx context.Context, who *serve.Identity, in *productPath) (*serve.ProductDetail, error) {
		p, err := weft.ParseName(in.P)
		if err != nil {
			return nil, err
		}
		return s.b.Products.Show(ctx, who.Subject, p)
	})

	commits := op("listCommits", http.MethodGet, prefix+"/products/{p}/commits", "List a product's commits", "Newest first.", serve.ScopeRead)
	commits.Tags = products
	register(s, commits, s.commits)

	held := op("listQuarantine", http.MethodGet, prefix+"/products/{p}/quarantine", "List the rows that a product holds back",
		"Rows that broke the contract, with the checks they broke. For the product's owner.", serve.ScopeAdmin)
	held.Tags = products
	register(s, held, func(ctx context.Context, who *serve.Identity, in *quarantineInput) (*serve.Quarantine, error) {
		p, err := weft.ParseName(in.P)
		if err != nil {
			return nil, err
		}
		at, err := serve.ParseProductAt(p, in.At)
		if err != nil {
			return nil, err
		}
		return s.b.Products.Quarantine(ctx, who.Subject, p, in.Limit, at)
	})
}

type quarantineInput struct {
	P     string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
	Limit int    `query:"limit" default:"20" minimum:"1" maximum:"1000" doc:"rows of each table"`
	At    string `query:"at" maxLength:"65536" doc:"a time, a date, a commit (#12), a cut's token or the name of a saved one; now where it is absent"`
}

type commitsInput struct {
	P      string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
	Before uint64 `query:"before" doc:"commits with a smaller number only; from the head where it is absent or 0"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
}

func (s *Server) commits(ctx context.Context, who *serve.Identity, in *commitsInput) (*serve.CommitList, error) {
	p, err := weft.ParseName(in.P)
	if err != nil {
		return nil, err
	}
	cs, err := s.b.Products.History(ctx, who.Subject, p, weft.Seq(in.Before), in.Limit)
	if err != nil {
		return nil, err
	}
	l := &serve.CommitList{Product: p, Commits: orEmpty(cs)}
	if n := len(cs); n == in.Limit && cs[n-1].Seq > 1 && !cs[n-1].Oldest {
		l.Next = cs[n-1].Seq
	}
	return l, nil
}

// orEmpty makes a list of nothing [] instead of null.
func orEmpty[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}
