package ingest

import (
	"context"
	"encoding/json"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/run"
	"weft/store"
)

// Staged is one table on its way to a commit.
type Staged = store.Staged

// Request is one read of one input port.
type Request struct {
	Product  weft.Name
	Port     *contract.Input
	Server   *contract.Server
	Tables   []Want
	Position json.RawMessage // what the last commit recorded for this port; nil at first
	Window   *Window         // only what falls into it; append and upsert sources
	Dir      string          // the product folder on disk: relative paths of local servers are below it
	// Stage is an empty folder of this read alone, the Write folder of Session.
	// All that a driver leaves there are the files its Result names.
	Stage   string
	Session engine.Session
	// Private reports whether a path without links is the node's own: nothing there
	// is data, whatever a pattern matches. May be nil.
	Private func(path string) bool
	// Lookup resolves ${VAR}; false where it is not set.
	Lookup func(string) (string, bool)
	// Progress is told how far the read is, at most ten times a second, from one
	// goroutine at a time. May be nil.
	Progress func(Progress)
	// Careful infers types from all rows and not from a sample; looking at a new
	// source does.
	Careful bool
	// Labels say how to call files in places and messages, by path, where the path
	// tells people nothing: a download.
	Labels map[string]string
	Env    run.Env
}

// Want is one table to read with the columns that are expected.
type Want struct {
	Table *contract.Table
	// Columns must be there; a missing one is drift. KindUnknown is inferred.
	Columns []Column
	// Known are the types of the stored input table. They hold for columns whose
	// type nobody declares, so that inference does not flip between loads.
	Known []Column
	// Strict reads Columns and nothing else; otherwise the source's other columns
	// are read too, with inferred types. A Want without Columns reads all.
	Strict bool
}

// Column is one expected column.
type Column struct {
	Name     string // in SQL and in the staged files
	Source   string // the name at the source; empty is Name
	Type     contract.Type
	Required bool
}

// Columns makes the expectations of a contract's table.
func Columns(t *contract.Table) []Column {
	var cs []Column
	for _, c := range t.Columns {
		cs = append(cs, Column{Name: c.Name, Source: c.PhysicalName, Type: c.Type, Required: c.Required})
	}
	return cs
}

// SourceName is the name of the column at the source.
func (c Column) SourceName() string {
	if c.Source != "" {
		return c.Source
	}
	return c.Name
}

// Window is a half-open span of a source's own time: files by the time they were
// changed, database rows by the cursor column. A zero bound is open.
type Window struct {
	From, To time.Time
}

// Holds reports whether t is in the window.
func (w *Window) Holds(t time.Time) bool {
	return w == nil || (w.From.IsZero() || !t.Before(w.From)) && (w.To.IsZero() || t.Before(w.To))
}

// Result is what a read staged.
type Result struct {
	Tables   []Staged        // in the order of Request.Tables; empty when Unchanged
	Position json.RawMessage // to be recorded in the commit
	// Unchanged says that the source holds nothing new since Position; nothing is
	// staged.
	Unchanged bool
	// Ack tells the source that the commit is durable; nil where it does not care.
	Ack func(context.Context) error
	// Notes are for people: columns that were ignored, formats that were guessed.
	Notes []string
	// Keys are the primary keys that the source itself declares, by table name.
	Keys map[string][]string
}

// Progress is how far a read is.
type Progress struct {
	Table      string
	Rows       int64         // read so far, 0 where not yet known
	Bytes      int64         // of the source, read so far
	TotalBytes int64         // of the source; 0 where not known
	Rate       float64       // bytes a second since the table began
	Left       time.Duration // estimate of the time left; 0 where not known
}

// Driver reads one kind of source. Its methods are safe for concurrent use.
type Driver interface {
	// Serves reports whether the driver reads servers of this type.
	Serves(s *contract.Server) bool
	// Modes are the source modes that the driver can read.
	Modes() []contract.Mode
	// Locations are the absolute files and folders that the session must be able
	// to read, beside its staging folder.
	Locations(s *contract.Server, dir string, lookup func(string) (string, bool)) ([]string, error)
	// Read stages what is new, or returns Unchanged. After an error the staging
	// folder is of no use. Errors: KindDrift where a column is missing or changed
	// its type, KindUnavailable where the source is away or changed while it was
	// read, KindInvalid where the contract cannot be followed.
	Read(ctx context.Context, r Request) (*Result, error)
}
