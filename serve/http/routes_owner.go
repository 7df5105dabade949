package http

import (
	"context"
	"net/http"

	"weft"
	"weft/serve"
)

type applyInput struct {
	Dir      string `query:"dir" maxLength:"4096" doc:"the folder's absolute path on the node's machine; relative paths of local sources start there"`
	Revision string `query:"revision" maxLength:"100" doc:"git revision of the folder"`
	Dirty    bool   `query:"dirty" doc:"the folder has changes that the revision does not hold"`
	Env      string `query:"env" maxLength:"100" doc:"picks servers[].environment; the node's own where it is absent"`
	DryRun   bool   `query:"dry_run" doc:"say what would happen and change nothing"`
	Breaking bool   `query:"breaking" doc:"also take a change that breaks readers of the version before"`
	RawBody  []byte `contentType:"application/gzip" doc:"the folder as tar.gz, at most 16 MB"`
}

type refreshInput struct {
	P    string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
	Body serve.RefreshRequest
}

const stepsText = "With Accept: application/x-ndjson the answer is a stream of lines: {\"event\":…} while the work goes on, then exactly one " +
	"{\"result\":…} or {\"error\":…}; a stream without that last line was broken. Otherwise it is the result alone."

func (s *Server) ownerRoutes() {
	owner := []string{"owner"}
	apply := op("apply", http.MethodPost, prefix+"/apply", "Apply a product folder",
		"Takes the folder and keeps it with the product's commits. Faults of the folder, a change that breaks readers, and refused data are results with status 422. "+stepsText, serve.ScopeApply)
	apply.Tags = owner
	apply.MaxBodyBytes = serve.MaxArchive + 1
	apply.Responses = stepResponses[serve.ApplyResult](s)
	registerRaw(s, apply, func(w *writer, r *http.Request, who *serve.Identity, in *applyInput) error {
		if len(in.RawBody) == 0 {
			return weft.Errorf(weft.KindInvalid, "apply the folder", "", "the request has no body").WithHint("send the folder as tar.gz")
		}
		req := serve.ApplyRequest{
			Archive: in.RawBody, Dir: in.Dir, Revision: in.Revision, Dirty: in.Dirty, Env: in.Env, DryRun: in.DryRun, Breaking: in.Breaking,
		}
		return steps(w, r, func(ctx context.Context, p serve.Progress) (*serve.ApplyResult, serve.Outcome, error) {
			res, err := s.b.Owner.Apply(ctx, who.Subject, req, p)
			if err != nil {
				return nil, "", err
			}
			return res, res.Outcome, nil
		})
	})

	refresh := op("refresh", http.MethodPost, prefix+"/products/{p}/refresh", "Read a product's sources now",
		"With wait the answer comes when it is done. Refused data is a result with status 422. "+stepsText, serve.ScopeAdmin)
	refresh.Tags = owner
	refresh.Responses = stepResponses[serve.RefreshResult](s)
	registerRaw(s, refresh, func(w *writer, r *http.Request, who *serve.Identity, in *refreshInput) error {
		p, err := weft.ParseName(in.P)
		if err != nil {
			return err
		}
		if f, t := in.Body.From, in.Body.To; f != nil && t != nil && !f.Before(*t) {
			return weft.Errorf(weft.KindInvalid, "refresh", p.String(), "the window ends before it starts").
				WithHint("from is the first instant of the window, to the one after its last")
		}
		return steps(w, r, func(ctx context.Context, on serve.Progress) (*serve.RefreshResult, serve.Outcome, error) {
			res, err := s.b.Owner.Refresh(ctx, who.Subject, p, in.Body, on)
			if err != nil {
				return nil, "", err
			}
			return res, res.Outcome, nil
		})
	})
}

type rollbackInput struct {
	P    string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
	Body serve.RollbackRequest
}

type deleteInput struct {
	P       string `path:"p" maxLength:"200" doc:"the product's address, domain.product" example:"sales.orders"`
	Confirm string `query:"confirm" required:"true" maxLength:"200" doc:"the product's address once more"`
}

func (s *Server) lifeRoutes() {
	life := func(verb, summary, text string, do func(context.Context, weft.Subject, weft.Name) (*serve.ProductSummary, error)) {
		o := op(verb, http.MethodPost, prefix+"/products/{p}/"+verb, summary, text, serve.ScopeAdmin)
		o.Tags = []string{"owner"}
		register(s, o, func(ctx context.Context, who *serve.Identity, in *productPath) (*serve.ProductSummary, error) {
			p, err := weft.ParseName(in.P)
			if err != nil {
				return nil, err
			}
			return do(ctx, who.Subject, p)
		})
	}
	life("pause", "Stop reading a product's sources", "What is published stays readable.", s.b.Lifecycle.Pause)
	life("resume", "Read a product's sources again", "Undoes pause.", s.b.Lifecycle.Resume)
	life("retire", "Retire a product", "No more commits; its history stays readable.", s.b.Lifecycle.Retire)

	rollback := op("rollback", http.MethodPost, prefix+"/products/{p}/rollback", "Restore an earlier commit",
		"Appends a commit that restores rows and folder as of the commit named; nothing is lost.", serve.ScopeAdmin)
	rollback.Tags = []string{"owner"}
	register(s, rollback, func(ctx context.Context, who *serve.Identity, in *rollbackInput) (*serve.CommitInfo, error) {
		p, err := weft.ParseName(in.P)
		if err != nil {
			return nil, err
		}
		return s.b.Lifecycle.Rollback(ctx, who.Subject, p, in.Body.To)
	})

	del := op("deleteProduct", http.MethodDelete, prefix+"/products/{p}", "Delete a product and its data", "It cannot be undone.", serve.ScopeAdmin)
	del.Tags = []string{"owner"}
	registerEmpty(s, del, func(ctx context.Context, who *serve.Identity, in *deleteInput) error {
		p, err := weft.ParseName(in.P)
		if err != nil {
			return err
		}
		if in.Confirm != p.String() {
			return weft.Errorf(weft.KindInvalid, "delete", p.String(), "confirm does not repeat the product's address").
				WithHint("deleting removes the data for good: send confirm=%s if that is meant", p)
		}
		return s.b.Lifecycle.Delete(ctx, who.Subject, p, in.Confirm)
	})
}
