// Package files reads sources that are files: CSV, JSON, NDJSON and Parquet,
// plain, gzip or zstd, one or many of them.
package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"weft"
	"weft/contract"
	"weft/ingest"
)

// Driver reads local files.
type Driver struct{}

// New returns the driver of servers of type local.
func New() Driver { return Driver{} }

// Serves is true for local servers.
func (Driver) Serves(s *contract.Server) bool { return s.Type == "local" || s.Type == "file" }

// Modes lists snapshot, append and upsert.
func (Driver) Modes() []contract.Mode {
	return []contract.Mode{contract.ModeSnapshot, contract.ModeAppend, contract.ModeUpsert}
}

// Locations are the file, or the folder above the first wildcard.
func (Driver) Locations(s *contract.Server, dir string, lookup func(string) (string, bool)) ([]string, error) {
	p, err := ingest.Expand(s.Path, lookup)
	if err != nil {
		return nil, err
	}
	return []string{fixedPart(absolute(p, dir))}, nil
}

// Read stages the tables whose files are new or changed, as the mode says.
func (Driver) Read(ctx context.Context, r ingest.Request) (*ingest.Result, error) {
	old, err := ingest.ParseFilePosition(r.Position, r.Where())
	if err != nil {
		return nil, err
	}
	plan, err := list(r)
	if err != nil {
		return nil, err
	}
	how := howRead(r)
	if err := plan.choose(ctx, r, old, how); err != nil {
		return nil, err
	}
	if plan.unchanged {
		return &ingest.Result{Unchanged: true, Position: r.Position}, nil
	}
	res := &ingest.Result{}
	prints := ingest.FilePosition{Version: 1, How: how}
	for i := range plan.tables {
		t := &plan.tables[i]
		staged, notes, err := readTable(ctx, r, t)
		if err != nil {
			return nil, err
		}
		res.Tables = append(res.Tables, staged)
		res.Notes = append(res.Notes, notes...)
		prints.Files = append(prints.Files, t.prints()...)
	}
	if r.Mode() == contract.ModeAppend { // a file that went away was read all the same
		for _, f := range old.Files {
			if _, ok := prints.Find(f.Table, f.Path); !ok {
				prints.Files = append(prints.Files, f)
			}
		}
	}
	res.Position = prints.JSON()
	return res, nil
}

// readTable stages the chosen files of one table while it hashes them and proves
// that compressed ones are whole, then makes sure that none changed meanwhile.
func readTable(ctx context.Context, r ingest.Request, t *table) (ingest.Staged, []string, error) {
	out := ingest.Staged{Port: r.PortName(), Table: t.want.Table.Name, Full: r.Mode() == contract.ModeSnapshot}
	l := &load{r: r, t: t, rejects: ingest.NewRejects(r.Where(), t.want.Table.Name), out: &out}
	for _, f := range t.read {
		out.Bytes += f.size
	}
	l.meter = r.Meter(out.Table, out.Bytes)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for _, f := range t.read {
			if err := f.prove(gctx); err != nil {
				return fault(r, f, err)
			}
		}
		return nil
	})
	g.Go(func() error { return l.run(gctx) })
	err := g.Wait()
	if moved := t.moved(r); moved != nil && ctx.Err() == nil {
		return out, nil, moved // explains whatever else went wrong
	}
	if err != nil {
		return out, nil, err
	}
	if err := l.rejects.Stage(ctx, r, &out); err != nil {
		return out, nil, err
	}
	l.meter.Done()
	return out, l.notes, nil
}

// moved reports a file that is no longer the one whose reading began.
func (t *table) moved(r ingest.Request) error {
	for _, f := range t.read {
		st, err := os.Stat(f.path)
		if err == nil && st.Size() == f.size && st.ModTime().Equal(f.time) {
			continue
		}
		what := "changed while it was read"
		if err != nil {
			what = "went away while it was read"
		}
		return weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s %s", f.label, what).
			WithHint("nothing was staged; write the file under another name and rename it when it is whole")
	}
	return nil
}

// fault names the file in what went wrong while it was proved.
func fault(r ingest.Request, f *file, err error) error {
	var e *weft.Error
	if errors.As(err, &e) || errors.Is(err, context.Canceled) {
		return err
	}
	return weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s: %s", f.label, err.Error()).
		WithHint("nothing was staged; replace the file by a whole one")
}

// absolute makes a server's path absolute below the product folder.
func absolute(path, dir string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

// howRead hashes what decides how bytes become rows, so that a changed dialect
// or contract reads an unchanged snapshot again.
func howRead(r ingest.Request) string {
	s := r.Server
	header := "auto"
	if s.Header != nil {
		header = fmt.Sprint(*s.Header)
	}
	text := fmt.Sprintf("%q", []string{s.Path, s.Format, s.Delimiter, s.Quote, s.Escape, s.NullText, s.DateFormat, s.Encoding, header})
	for _, w := range r.Tables {
		text += fmt.Sprintf("\n%s %v", w.Table.Name, w.Strict)
		for _, c := range w.Columns {
			text += fmt.Sprintf("\n%q %q %s", c.Name, c.SourceName(), c.Type)
		}
	}
	return hashText(text)
}

// now is the time that a print says the file was read at.
func now(r ingest.Request) time.Time {
	if r.Env.Clock == nil {
		return time.Now().UTC()
	}
	return r.Env.Clock.Now()
}
