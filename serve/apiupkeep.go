package serve

import (
	"context"

	"weft"
	"weft/contract"
)

// Upkeep looks after the node itself. The door calls it for administrators only.
type Upkeep interface {
	// Backup adds a state to a backup folder on the node's machine.
	Backup(ctx context.Context, s weft.Subject, r BackupRequest, progress Progress) (*BackupResult, error)
	// Reload reads configuration, certificates, secrets and the local token again.
	// Faults are part of the result and no error; then nothing was changed.
	Reload(ctx context.Context, s weft.Subject) (*ReloadResult, error)
}

// BackupRequest says where and what to back up.
type BackupRequest struct {
	Dir      string      `json:"dir" minLength:"1" maxLength:"4096" doc:"the backup folder: an absolute path on the node's machine, outside its data folder"`
	Products []weft.Name `json:"products,omitempty" doc:"all where it is absent"`
	Keep     int         `json:"keep,omitempty" minimum:"0" maximum:"100000" doc:"states to keep, this one included; all where it is absent or 0"`
	NoKeys   bool        `json:"noKeys,omitempty" doc:"leave out what lets its holder act as the node's administrator"`
}

// BackupResult says what a backup did.
type BackupResult struct {
	State    string   `json:"state" doc:"the new state's id"`
	Cut      string   `json:"cut" doc:"the cut's token: ask with at= and get what is in the backup"`
	CutText  string   `json:"cutText"`
	Products int      `json:"products"`
	Bytes    int64    `json:"bytes" doc:"that a restore writes"`
	Copied   int64    `json:"copied" doc:"that were not in the folder before"`
	Keys     bool     `json:"keys" doc:"the node's secrets are in it"`
	Seconds  float64  `json:"seconds"`
	Warnings []string `json:"warnings,omitempty" doc:"what is wrong in the folder and did not stop the backup"`
}

// ReloadResult says what a reload did.
type ReloadResult struct {
	Changed []string         `json:"changed" doc:"settings that have changed and hold from now on"`
	Restart []string         `json:"restart" doc:"settings that have changed and need a restart"`
	Faults  []contract.Fault `json:"faults,omitempty" doc:"why nothing was changed"`
}
