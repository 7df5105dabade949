package http

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"weft/serve"
)

type backupInput struct {
	Body serve.BackupRequest
}

// upkeepRoutes look after the node itself.
func (s *Server) upkeepRoutes() {
	backup := op("backup", http.MethodPost, prefix+"/backup", "Back the node up",
		"Adds a state to a backup folder on the node's machine; only what is not there yet is copied. "+stepsText, serve.ScopeAdmin)
	backup.Tags = []string{"node"}
	backup.Responses = stepResponses[serve.BackupResult](s)
	registerRaw(s, backup, func(w *writer, r *http.Request, who *serve.Identity, in *backupInput) error {
		return steps(w, r, func(ctx context.Context, on serve.Progress) (*serve.BackupResult, serve.Outcome, error) {
			res, err := s.b.Upkeep.Backup(ctx, who.Subject, in.Body, on)
			return res, "", err
		})
	})

	reload := op("reload", http.MethodPost, prefix+"/reload", "Read the configuration again",
		"Configuration, certificates, secrets and the local token. A faulty configuration changes nothing: status 422, with all faults.", serve.ScopeAdmin)
	reload.Tags = []string{"node"}
	answer := map[string]*huma.MediaType{"application/json": {Schema: schemaOf[serve.ReloadResult](s)}}
	reload.Responses = map[string]*huma.Response{
		"200": {Description: "What has changed", Content: answer},
		"422": {Description: "The configuration has faults, and nothing was changed", Content: answer},
	}
	registerRaw(s, reload, func(w *writer, r *http.Request, who *serve.Identity, _ *struct{}) error {
		res, err := s.b.Upkeep.Reload(r.Context(), who.Subject)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		if len(res.Faults) > 0 {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		return sent(json.NewEncoder(w).Encode(res))
	})
}
