package http

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"weft/serve"
)

// receiptRoutes give what was signed, and what to verify it with.
func (s *Server) receiptRoutes() {
	get := op("getReceipt", http.MethodGet, prefix+"/receipts/{id}", "Fetch the receipt of an answer",
		"The signed proof of an answer that was asked with receipt: true, once its last byte was read. It is kept for ten minutes, for the token that asked. "+
			"It is valid to the byte: keep it as it comes. docs/format/receipt.md says what is in it, `weft receipt verify` what it proves.", serve.ScopeRead)
	get.Tags = []string{"query"}
	get.Responses = map[string]*huma.Response{"200": {
		Description: "The receipt",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, Description: "as docs/format/receipt.md describes it"}}},
	}}
	registerRaw(s, get, func(w *writer, r *http.Request, who *serve.Identity, in *requestPath) error {
		raw, err := s.receipts.get(in.ID, who.Token, s.env.Clock.Now())
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(raw) // an error means that nobody reads it
		return nil
	})

	keys := op("meshKeys", http.MethodGet, prefix+"/mesh/keys", "Give what receipts are verified with",
		"The signed records that say who may sign what in the node's mesh, or the node's public key where it is in none. There is no secret in it.", serve.ScopeRead)
	keys.Tags = []string{"mesh"}
	register(s, keys, func(ctx context.Context, who *serve.Identity, _ *struct{}) (*serve.MeshKeys, error) {
		return s.b.Receipts.Keys(ctx, who.Subject)
	})
}
