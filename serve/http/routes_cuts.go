package http

import (
	"context"
	"net/http"

	"weft"
	"weft/serve"
)

type cutInput struct {
	Cut  string `path:"cut" maxLength:"400" doc:"the name of a saved cut, a token, or the hash of a cut that has none"`
	Look bool   `query:"look" doc:"ask each origin whether the point can still be read"`
}

type holdInput struct {
	P    string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
	Hold string `path:"hold" maxLength:"200" doc:"the hold's name, as the list has it"`
}

// cutRoutes keep cuts under names, and tell of those that have no token.
func (s *Server) cutRoutes() {
	tags := []string{"cuts"}
	save := op("saveCut", http.MethodPost, prefix+"/cuts", "Save a cut under a name",
		"Fixes one state of the products: the newest commits that were made from the same states of what they share, the newest of all, or those "+
			"that at says. Points of other nodes' products are asked of their origins, whose clocks resolve a time. The name can be asked with (at=) from then on.", serve.ScopeRead)
	save.Tags, save.DefaultStatus = tags, http.StatusCreated
	type saveInput struct {
		Body serve.SaveCutRequest
	}
	register(s, save, func(ctx context.Context, who *serve.Identity, in *saveInput) (*serve.CutDetail, error) {
		return s.b.Cuts.SaveCut(ctx, who.Subject, in.Body)
	})

	list := op("listCuts", http.MethodGet, prefix+"/cuts", "List saved cuts", "By name. No origin is asked.", serve.ScopeRead)
	list.Tags = tags
	register(s, list, func(ctx context.Context, who *serve.Identity, _ *struct{}) (serve.CutList, error) {
		cs, err := s.b.Cuts.Cuts(ctx, who.Subject)
		return serve.CutList{Cuts: orEmpty(cs)}, err
	})

	show := op("showCut", http.MethodGet, prefix+"/cuts/{cut}", "Show a cut",
		"A saved one by its name, or any by its token. A cut that is too long for a token is kept by the nodes that answered at it: any of them, and "+
			"any node that can ask one of them, has it under its hash.", serve.ScopeRead)
	show.Tags = tags
	register(s, show, func(ctx context.Context, who *serve.Identity, in *cutInput) (*serve.CutDetail, error) {
		return s.b.Cuts.Cut(ctx, who.Subject, in.Cut, in.Look)
	})

	drop := op("dropCut", http.MethodDelete, prefix+"/cuts/{cut}", "Drop a saved cut", "What it holds is let go of.", serve.ScopeRead)
	drop.Tags = tags
	registerEmpty(s, drop, func(ctx context.Context, who *serve.Identity, in *struct {
		Cut string `path:"cut" maxLength:"63" doc:"the name"`
	},
	) error {
		return s.b.Cuts.DropCut(ctx, who.Subject, in.Cut)
	})
	s.holdRoutes()
}

// holdRoutes show an owner what is held of its products.
func (s *Server) holdRoutes() {
	tags := []string{"owner"}
	list := op("listHolds", http.MethodGet, prefix+"/holds", "List what is held of this node's products",
		"A hold keeps a product's history in place from a commit on, for a saved cut. For the products' owners.", serve.ScopeRead)
	list.Tags = tags
	register(s, list, func(ctx context.Context, who *serve.Identity, _ *struct{}) (serve.HoldList, error) {
		hs, err := s.b.Cuts.Holds(ctx, who.Subject)
		return serve.HoldList{Holds: orEmpty(hs)}, err
	})

	drop := op("dropHold", http.MethodDelete, prefix+"/products/{p}/holds/{hold}", "End a hold",
		"Retention lets go of what only it kept. For the product's owner.", serve.ScopeAdmin)
	drop.Tags = tags
	registerEmpty(s, drop, func(ctx context.Context, who *serve.Identity, in *holdInput) error {
		p, err := weft.ParseName(in.P)
		if err != nil {
			return err
		}
		return s.b.Cuts.DropHold(ctx, who.Subject, p, in.Hold)
	})
}
