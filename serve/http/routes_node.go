package http

import (
	"context"
	"net/http"
	"slices"

	"weft"
	"weft/serve"
)

type tokenPath struct {
	Name string `path:"name" maxLength:"64" doc:"the token's name"`
}

type requestPath struct {
	ID string `path:"id" maxLength:"64" doc:"the id from the header Weft-Request"`
}

func (s *Server) nodeRoutes() {
	node := []string{"node"}
	status := op("status", http.MethodGet, prefix+"/status", "Show the node and its products", "Life and state of every product, with the one thing to do.", serve.ScopeRead, serve.ScopeApply)
	status.Tags = node
	register(s, status, func(ctx context.Context, who *serve.Identity, _ *struct{}) (*serve.NodeStatus, error) {
		return s.b.Node.Status(ctx, who.Subject)
	})

	outcome := op("showRequest", http.MethodGet, prefix+"/requests/{id}", "Say what became of a streamed answer",
		"For a reader whose stream broke off. The last few hundred answers are remembered, each for the token that asked.", serve.ScopeRead)
	outcome.Tags = node
	register(s, outcome, func(_ context.Context, who *serve.Identity, in *requestPath) (serve.RequestOutcome, error) {
		o, ok := s.outcomes.get(in.ID, who)
		if !ok {
			return o, weft.Errorf(weft.KindNotFound, "find the request", clip(in.ID, 64), "it is not among the last streamed answers of this token")
		}
		return o, nil
	})

	s.probeRoutes()
	s.tokenRoutes()
}

func (s *Server) tokenRoutes() {
	tags := []string{"tokens"}
	list := op("listTokens", http.MethodGet, prefix+"/tokens", "List tokens", "Without their texts.", serve.ScopeAdmin)
	list.Tags = tags
	register(s, list, func(ctx context.Context, who *serve.Identity, _ *struct{}) (serve.TokenList, error) {
		ts, err := s.b.Tokens.ListTokens(ctx, who.Subject)
		return serve.TokenList{Tokens: orEmpty(ts)}, err
	})

	type createInput struct {
		Body serve.TokenRequest
	}
	create := op("createToken", http.MethodPost, prefix+"/tokens", "Make a token", "Its text is in this answer and nowhere else.", serve.ScopeAdmin)
	create.Tags, create.DefaultStatus = tags, http.StatusCreated
	register(s, create, func(ctx context.Context, who *serve.Identity, in *createInput) (*serve.NewToken, error) {
		for _, sc := range in.Body.Scopes {
			if !slices.Contains([]serve.Scope{serve.ScopeRead, serve.ScopeApply, serve.ScopeMetrics, serve.ScopeLineage, serve.ScopeAdmin}, sc) {
				return nil, weft.Errorf(weft.KindInvalid, "make the token", in.Body.Name, "there is no scope %q", clip(string(sc), 40)).
					WithHint("take read, apply, metrics or admin")
			}
		}
		if e := in.Body.Expires; e != nil && !e.After(s.env.Clock.Now()) {
			return nil, weft.Errorf(weft.KindInvalid, "make the token", in.Body.Name, "it would have expired already").
				WithHint("leave expires out, or give a time to come")
		}
		return s.b.Tokens.CreateToken(ctx, who.Subject, in.Body)
	})

	revoke := op("revokeToken", http.MethodDelete, prefix+"/tokens/{name}", "Revoke a token", "It ends at once.", serve.ScopeAdmin)
	revoke.Tags = tags
	registerEmpty(s, revoke, func(ctx context.Context, who *serve.Identity, in *tokenPath) error {
		return s.b.Tokens.RevokeToken(ctx, who.Subject, in.Name)
	})
}
