package publish

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// HiddenName is what the hidden table of an input table is called. It is no
// legal table name, so that it never meets one of the product's own.
func HiddenName(port, table string) string { return "_in." + port + "." + table }

// Request is one table of a verified candidate.
type Request struct {
	Table  string // as the store calls it
	Hidden bool
	Key    []string // empty for a keyless table
	Staged store.Staged
	// Mode says what the rows are where Staged.Full is not set: append or upsert.
	Mode contract.Mode
	// Columns is the table's contract. It is asked for columns only where no file
	// was staged; nil where there is always one.
	Columns *contract.Table
	// Prior is the state before, nil where there is no such table yet. The session
	// must be able to read its files.
	Prior *store.Relation
	// PriorKey is the key of the state before, empty for a keyless one; nil where
	// it is Key.
	PriorKey []string
	// Index answers for few rows by key what they change; nil where the state
	// before is always read for it.
	Index Index
	Stage string // the folder that the session may write to
	// Renamed says what columns were called before, Defaults what rows from before
	// a new column have in it, as CSV would say it. Both matter only where the
	// columns are not what they were.
	Renamed  map[string]string
	Defaults map[string]Default
}

// Default is what rows from before a column have in it.
type Default struct {
	Text string
	Type contract.Type
}

// Index finds out what rows by key change, as store.Store does.
type Index interface {
	Indexed(ctx context.Context, s engine.Session, table string) (bool, error)
	Upsert(ctx context.Context, s engine.Session, r store.Rows) (store.TableData, bool, error)
}

// A change of at most this size becomes blocks of the journal; a larger one
// becomes a file.
const (
	blockRows     = 50_000
	blockBytes    = 16 << 20  // of Parquet
	maxBlockBytes = 128 << 20 // in memory
)

// An index is asked where the table has this many rows at least, and this many
// times the rows that are staged.
const (
	indexRows  = 100_000
	indexShare = 50
)

// replaceShare is the share of changed rows above which a table is replaced as
// a whole, where they are too many for blocks.
const replaceShare = 0.5

// passRows is how many rows, old and new, are compared at once. Of 200 bytes
// each they need about 2 GB.
const passRows = 12_000_000

// Plan computes what r changes. It returns nil where nothing changes.
//
//   - There is no state before, or its key differs, or its columns do in a way
//     that needs other rows, or more than half of the rows change and they are many:
//     the rows replace the table.
//   - Columns that were added, renamed, widened or left out are a change of columns
//     alone, and of the rows that differ then.
//   - All rows of a keyed table: inserts, deletes, and updates with the row
//     before, by key. Rows are the same when no value is distinct; NULL equals
//     NULL and NaN equals NaN.
//   - All rows of a keyless table, compared as multisets: an append where no row
//     is gone, else the rows replace the table.
//   - New rows (append): an append.
//   - Rows by key (upsert): inserts and updates; the last row of a key counts.
func Plan(ctx context.Context, s engine.Session, r Request) (*store.TableData, error) {
	return newPlan(s, r).compute(ctx)
}

func newPlan(s engine.Session, r Request) *plan {
	return &plan{Request: r, session: s, passRows: passRows, heldBytes: maxBlockBytes}
}

func (p *plan) compute(ctx context.Context) (*store.TableData, error) {
	r := p.Request
	none := len(r.Staged.Files) == 0 || r.Staged.Rows == 0
	if none && !r.Staged.Full && (r.Columns == nil || r.Prior == nil) {
		return nil, nil
	}
	if len(r.Staged.Files) == 0 {
		if err := p.emptyFile(ctx); err != nil {
			return nil, err
		}
	}
	if d, ok, err := p.byIndex(ctx); ok || err != nil {
		return d, err
	}
	if err := p.describe(ctx); err != nil {
		return nil, err
	}
	switch {
	case r.Prior == nil:
		return p.first(ctx)
	case r.PriorKey != nil && !slices.Equal(r.PriorKey, r.Key), !p.evolves():
		return p.reshape(ctx)
	}
	d, err := p.change(ctx)
	if err != nil || sameColumns(p.schema, p.priorSchema) {
		return d, err
	}
	if d == nil {
		d = p.data(weft.OpColumns, counts{})
	}
	d.Renamed, d.Defaults = p.Renamed, p.defaults
	return d, nil
}

// evolves reports whether the rows before can stay as they are.
func (p *plan) evolves() bool {
	_, err := store.Evolve(p.priorSchema, p.schema, p.Key, p.Renamed)
	return err == nil
}

// change computes how the rows differ, in the new columns.
func (p *plan) change(ctx context.Context) (*store.TableData, error) {
	r := p.Request
	switch {
	case r.Staged.Rows == 0 && !r.Staged.Full:
		return nil, nil
	case r.Staged.Full && len(r.Key) > 0:
		return p.keyed(ctx)
	case r.Staged.Full:
		return p.keyless(ctx)
	case r.Mode == contract.ModeUpsert:
		return p.upsert(ctx)
	}
	return p.append(ctx)
}

// plan is one call of Plan.
type plan struct {
	Request
	session     engine.Session
	passRows    int64
	heldBytes   int64 // of rows that are held in memory, at most
	schema      *arrow.Schema
	priorSchema *arrow.Schema
	before      string            // a SELECT of the state before, in the new columns and types
	defaults    map[string]string // in the engine's words
}

// counts is what a change does.
type counts struct{ inserted, updated, deleted int64 }

func (c counts) none() bool { return c == counts{} }

// data starts the table's change.
func (p *plan) data(op weft.TableOp, c counts) *store.TableData {
	return &store.TableData{
		Table: p.Table, Hidden: p.Hidden, Op: op, Schema: p.schema, Key: p.Key,
		Inserted: c.inserted, Updated: c.updated, Deleted: c.deleted,
	}
}

// first makes the staged rows the first ones of a table.
func (p *plan) first(ctx context.Context) (*store.TableData, error) {
	if p.Mode == contract.ModeUpsert && !p.Staged.Full && len(p.Key) > 0 {
		file, rows, err := p.copy(ctx, p.latest(), nil)
		if err != nil {
			return nil, err
		}
		p.Staged.Files, p.Staged.Rows = []string{file}, rows
	}
	return p.replace(ctx, counts{inserted: p.Staged.Rows})
}

// replace makes the staged rows the whole table. One file is moved and not
// written again; several become one.
func (p *plan) replace(ctx context.Context, c counts) (*store.TableData, error) {
	file := p.Staged.Files[0]
	if len(p.Staged.Files) > 1 {
		var err error
		if file, _, err = p.copy(ctx, "FROM "+engine.ScanParquet(p.Staged.Files...), nil); err != nil {
			return nil, err
		}
	}
	d := p.data(weft.OpReplace, c)
	d.File, d.FileRows = file, p.Staged.Rows
	return d, nil
}

// reshape replaces a table whose columns or key are not what they were: the rows
// that stay are cast to the new columns, what has no column any more is left out.
func (p *plan) reshape(ctx context.Context) (*store.TableData, error) {
	c := counts{inserted: p.Staged.Rows, deleted: p.Prior.Rows}
	if p.Staged.Full {
		return p.replace(ctx, c)
	}
	file, rows, err := p.copy(ctx, p.mergedSQL(), p.Prior.Sources)
	if err != nil {
		return nil, err
	}
	p.Staged = store.Staged{Table: p.Staged.Table, Files: []string{file}, Rows: rows, Full: true}
	c.inserted = rows
	return p.replace(ctx, c)
}

// append adds the staged rows.
func (p *plan) append(ctx context.Context) (*store.TableData, error) {
	c := counts{inserted: p.Staged.Rows}
	file := p.Staged.Files[0]
	if len(p.Staged.Files) > 1 {
		var err error
		if file, _, err = p.copy(ctx, "FROM "+engine.ScanParquet(p.Staged.Files...), nil); err != nil {
			return nil, err
		}
	}
	return p.deliver(ctx, p.data(weft.OpAppend, c), file, p.Staged.Rows)
}

// sameColumns compares names, order and types; not whether values may be NULL,
// which the contract says and not the schema.
func sameColumns(a, b *arrow.Schema) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for i, f := range a.Fields() {
		g := b.Field(i)
		if f.Name != g.Name || !store.SameType(f, g) {
			return false
		}
	}
	return true
}
