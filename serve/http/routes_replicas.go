package http

import (
	"context"
	"net/http"

	"weft"
	"weft/serve"
)

type replicaInput struct {
	Body serve.ReplicaRequest
}

type replicaPath struct {
	P string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
}

// replicaRoutes keep copies of other nodes' products.
func (s *Server) replicaRoutes() {
	tags := []string{"replicas"}
	list := op("listReplicas", http.MethodGet, prefix+"/replicas", "List the copies of other nodes' products",
		"How each stands: what it has, when it was last known to be current, and until when it may be used if its origin stays away.", serve.ScopeRead)
	list.Tags = tags
	register(s, list, func(ctx context.Context, who *serve.Identity, _ *struct{}) (serve.ReplicaList, error) {
		rs, err := s.b.Replicas.Replicas(ctx, who.Subject)
		return serve.ReplicaList{Replicas: orEmpty(rs)}, err
	})

	add := op("addReplica", http.MethodPost, prefix+"/replicas", "Keep a copy of another node's product",
		"The copy comes in the background and is then kept current. The product's owner has to consent (weftReplicas).", serve.ScopeAdmin)
	add.Tags, add.DefaultStatus = tags, http.StatusCreated
	register(s, add, func(ctx context.Context, who *serve.Identity, in *replicaInput) (*serve.Replica, error) {
		return s.b.Replicas.AddReplica(ctx, who.Subject, in.Body.Product)
	})

	remove := op("removeReplica", http.MethodDelete, prefix+"/replicas/{p}", "Remove a copy",
		"It is not used any more, and all of it is removed.", serve.ScopeAdmin)
	remove.Tags, remove.DefaultStatus = tags, http.StatusNoContent
	registerEmpty(s, remove, func(ctx context.Context, who *serve.Identity, in *replicaPath) error {
		name, err := weft.ParseName(in.P)
		if err != nil {
			return err
		}
		return s.b.Replicas.RemoveReplica(ctx, who.Subject, name)
	})
}
