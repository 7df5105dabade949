package http

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"weft"
	"weft/serve"
)

type usageInput struct {
	By    string `query:"by" enum:"consumer,product,day" default:"consumer"`
	Since string `query:"since" maxLength:"10" doc:"the first day, in UTC, such as 2026-03-01; 30 days ago where it is absent"`
	Limit int    `query:"limit" default:"1000" minimum:"1" maximum:"10000" doc:"lines"`
}

// usageRoutes tell what consumers have used.
func (s *Server) usageRoutes() {
	usage := op("usage", http.MethodGet, prefix+"/usage", "What consumers have used",
		"Questions, rows, bytes and seconds, of this node's products, by day in UTC. With a token of scope admin it is what everybody has used of the "+
			"products of the token's domains; with one of scope read only, what the token itself has used. A question over several products counts "+
			"with each where it is summed by product, or where not all products are shown, and else once. Kept for 400 days.", serve.ScopeRead)
	usage.Tags = []string{"node"}
	register(s, usage, func(ctx context.Context, who *serve.Identity, in *usageInput) (*serve.UsageReport, error) {
		r := serve.UsageRequest{By: serve.UsageBy(in.By), Limit: in.Limit, Owner: who.May(serve.ScopeAdmin)}
		if in.Since != "" {
			t, err := time.Parse(time.DateOnly, in.Since)
			if err != nil {
				return nil, weft.Errorf(weft.KindInvalid, "read the day", clip(in.Since, 10), "it is no day").WithHint("write it like 2026-03-01")
			}
			r.Since = &t
		}
		return s.b.Meter.Usage(ctx, who.Subject, r)
	})
}

// quote answers a question that only wants its price.
func (s *Server) quote(w *writer, r *http.Request, q weft.Question) error {
	got, err := s.b.Meter.Quote(r.Context(), q)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return sent(json.NewEncoder(w).Encode(got))
}
