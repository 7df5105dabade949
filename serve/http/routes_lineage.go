package http

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"weft"
	"weft/serve"
)

type lineageInput struct {
	Of        string `query:"of" required:"true" minLength:"3" maxLength:"300" doc:"domain.product, with .table or .column or both behind it"`
	Direction string `query:"direction" enum:"both,upstream,downstream" default:"both"`
	Depth     int    `query:"depth" minimum:"0" maximum:"100" doc:"how many steps; all where it is 0 or absent"`
	Format    string `query:"format" enum:"json,text,mermaid" default:"json"`
}

type tellInput struct {
	RawBody []byte `contentType:"application/json" doc:"an event, or a list of them; at most 1 MB"`
}

// lineageRoutes tell what is made from what.
func (s *Server) lineageRoutes() {
	o := op("lineage", http.MethodGet, prefix+"/lineage", "What a product, a table or a column is made from, and what is made from it",
		"Over the whole mesh, by the SQL of the products. Of a column it says how each goes in: identity, transform and aggregate are its value, "+
			"conditional, join, filter, group and sort decide. What decides the rows of a table is an edge to the table. At most 1,000 nodes.", serve.ScopeRead)
	o.Tags = []string{"products"}
	o.Responses = map[string]*huma.Response{"200": {Description: "The lineage", Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemaOf[weft.Lineage](s)},
		"text/plain":       {Schema: &huma.Schema{Type: "string"}},
	}}}
	registerRaw(s, o, func(w *writer, r *http.Request, who *serve.Identity, in *lineageInput) error {
		l, err := s.b.Lineage.Lineage(r.Context(), who.Subject, serve.LineageRequest{Of: in.Of, Direction: weft.Direction(in.Direction), Depth: in.Depth})
		if err != nil {
			return err
		}
		if in.Format == "json" {
			w.Header().Set("Content-Type", "application/json")
			return sent(json.NewEncoder(w).Encode(l))
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if in.Format == "mermaid" {
			return sent(serve.WriteMermaid(w, l))
		}
		return sent(serve.WriteLineage(w, l, serve.LineagePrint{}))
	})

	tell := op("tellLineage", http.MethodPost, prefix+"/lineage/events", "Tell of a job outside",
		"A run event of OpenLineage, or a list of up to 100. What the job reads and writes is in the lineage from then on; a dataset of this mesh "+
			"is named by the node's namespace (weft, unless lineage.namespace says another) and domain.product.table. The newest 20,000 "+
			"uses of datasets are kept.", serve.ScopeLineage)
	tell.Tags = []string{"products"}
	tell.DefaultStatus = http.StatusCreated
	tell.SkipValidateBody = true // what it must be is OpenLineage's
	register(s, tell, func(ctx context.Context, who *serve.Identity, in *tellInput) (serve.LineageTold, error) {
		n, err := s.b.Lineage.Tell(ctx, who.Subject, in.RawBody)
		return serve.LineageTold{Events: n}, err
	})
}
