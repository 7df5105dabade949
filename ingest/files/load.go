package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/ingest"
)

// load stages the files of one table.
type load struct {
	r       ingest.Request
	t       *table
	out     *ingest.Staged
	rejects *ingest.Rejects
	meter   *ingest.Meter
	notes   []string
	parts   int
	looks   int
	broken  map[brokenAt]bool // lines of the CSV files in hand that the engine gave back
}

// group is a set of files that one statement reads: the same format,
// compression and columns.
type group struct {
	format      format
	compression string
	files       []*file
	found       []ingest.Found
	bound       []ingest.Binding
	csv         dialect
	large       map[string]bool // whole numbers beyond a double
	long        bool            // a row is longer than the engine's buffers usually are
	blanks      bool            // CSV: "" stands in columns that are no text
	layout      string          // JSON: how records follow each other
	dates       []string        // JSON: parameters for dates
}

// errReinfer says that an inferred type did not hold.
var errReinfer = errors.New("an inferred type does not hold")

// run stages everything; types that a sample suggested wrongly are inferred
// again from all rows.
func (l *load) run(ctx context.Context) error {
	if len(l.t.read) == 0 {
		return nil
	}
	groups, err := l.groups(ctx)
	if err != nil {
		return err
	}
	for _, careful := range []bool{l.r.Careful, true} {
		if err := l.infer(ctx, groups, careful); err != nil {
			return err
		}
		err = l.stage(ctx, groups, careful)
		if !errors.Is(err, errReinfer) {
			return err
		}
		l.reset()
	}
	return err
}

// reset forgets a first attempt.
func (l *load) reset() {
	for _, f := range l.out.Files {
		_ = os.Remove(f) // an orphan in the staging folder harms nobody
	}
	l.out.Files, l.out.Rows = nil, 0
	l.rejects = ingest.NewRejects(l.r.Where(), l.out.Table)
	l.meter = l.r.Meter(l.out.Table, l.out.Bytes)
}

// groups sorts the files by how they are read, finds their columns and binds
// them to what is wanted.
func (l *load) groups(ctx context.Context) ([]*group, error) {
	byKind := map[string][]*file{}
	var order []string
	for _, f := range l.t.read {
		k := string(f.format) + " " + f.compression
		if byKind[k] == nil {
			order = append(order, k)
		}
		byKind[k] = append(byKind[k], f)
	}
	var all []*group
	for _, k := range order {
		fs := byKind[k]
		var gs []*group
		var err error
		switch fs[0].format {
		case csvFormat:
			gs, err = l.csvGroups(ctx, fs)
		case parquetFormat:
			gs, err = l.parquetGroups(ctx, fs)
		default:
			gs, err = l.jsonGroups(ctx, fs)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, gs...)
	}
	for _, g := range all {
		if g.bound != nil {
			continue // bound by position: a CSV file without a header
		}
		bound, ignored, err := ingest.Match(l.t.want, g.place(), g.found)
		if err != nil {
			return nil, l.name(err)
		}
		if len(ignored) > 0 {
			l.note("%s: columns that the contract does not name are left out: %s", g.place(), shorten(ignored))
		}
		g.bound = bound
	}
	return all, alignColumns(all)
}

// alignColumns makes all groups stage the same columns: one that a file lacks is
// empty there.
func alignColumns(gs []*group) error {
	if len(gs) < 2 {
		return nil
	}
	var names []ingest.Binding
	for _, g := range gs {
		for _, b := range g.bound {
			if !slices.ContainsFunc(names, func(x ingest.Binding) bool { return strings.EqualFold(x.Name, b.Name) }) {
				names = append(names, b)
			}
		}
	}
	for _, g := range gs {
		aligned := make([]ingest.Binding, len(names))
		for i, n := range names {
			j := slices.IndexFunc(g.bound, func(b ingest.Binding) bool { return strings.EqualFold(b.Name, n.Name) })
			if j >= 0 {
				aligned[i] = g.bound[j]
				aligned[i].Name = n.Name
				continue
			}
			aligned[i] = ingest.Binding{Name: n.Name, Source: n.Source, Index: -1, Type: n.Type, Declared: n.Declared}
		}
		g.bound = aligned
	}
	return nil
}

// infer finds the types that nobody declared, the same in all groups.
func (l *load) infer(ctx context.Context, gs []*group, careful bool) error {
	types := map[string]contract.Type{}
	for _, g := range gs {
		found, err := l.sample(ctx, g, careful)
		if err != nil {
			return err
		}
		for i, b := range g.bound {
			if !b.Declared && b.Index >= 0 {
				types[b.Name] = ingest.Widen(types[b.Name], found[i])
			}
		}
	}
	for _, g := range gs {
		for i := range g.bound {
			if b := &g.bound[i]; !b.Declared {
				if b.Type = types[b.Name]; b.Type.Kind == contract.KindUnknown {
					b.Type = contract.Type{Kind: contract.KindString}
				}
			}
		}
	}
	return nil
}

func (l *load) sample(ctx context.Context, g *group, careful bool) ([]contract.Type, error) {
	switch g.format {
	case csvFormat:
		return l.sampleCSV(ctx, g, careful)
	case parquetFormat:
		return foundTypes(g), nil
	}
	return l.sampleJSON(ctx, g, careful)
}

// stage copies every group into a part; last says that no better types can be
// inferred any more.
func (l *load) stage(ctx context.Context, gs []*group, last bool) error {
	for _, g := range gs {
		done := l.meter.Watch(l.r.Session, g.bytes())
		var err error
		switch g.format {
		case csvFormat:
			err = l.stageCSV(ctx, g, last)
		case parquetFormat:
			err = l.stageParquet(ctx, g)
		default:
			err = l.stageJSON(ctx, g, last)
		}
		done()
		if err != nil {
			return err
		}
	}
	return nil
}

// copyPart runs a SELECT into the table's next part.
func (l *load) copyPart(ctx context.Context, sql string) error {
	l.parts++
	file := l.r.File(l.out.Table, "part", l.parts)
	n, err := l.r.Copy(ctx, engine.Statement{SQL: sql}, file)
	if err != nil {
		_ = os.Remove(file) // an orphan in the staging folder harms nobody
		return err
	}
	l.out.Files = append(l.out.Files, file)
	l.out.Rows += n
	l.meter.Add(n, 0)
	return nil
}

func (l *load) note(format string, args ...any) {
	l.notes = append(l.notes, l.out.Table+": "+fmt.Sprintf(format, args...))
}

// name puts the port before the table in the error of Match.
func (l *load) name(err error) error {
	var e *weft.Error
	if errors.As(err, &e) {
		e.Subject = l.r.Where() + ", table " + l.out.Table
	}
	return err
}

func (l *load) fault(err error, g *group) error {
	return ingest.Fault(err, l.r.Where(), g.place())
}

// place names the group's files for people.
func (g *group) place() string {
	name := filepath.Base(g.files[0].label)
	switch len(g.files) {
	case 1:
		return name
	case 2:
		return name + " and one more file"
	}
	return fmt.Sprintf("%s and %d more files", name, len(g.files)-1)
}

func (g *group) bytes() (n int64) {
	for _, f := range g.files {
		n += f.size
	}
	return n
}

// file is the file of the group at a path.
func (g *group) file(path string) *file {
	for _, f := range g.files {
		if f.path == path {
			return f
		}
	}
	return nil
}

// list is the files as an SQL list.
func (g *group) list() string {
	var w []string
	for _, f := range g.files {
		w = append(w, contract.QuoteLiteral(f.path))
	}
	return "[" + strings.Join(w, ", ") + "]"
}

// one is a group of a single file of g.
func (g *group) one(f *file) *group {
	c := *g
	c.files = []*file{f}
	return &c
}

// some picks files to look at: all where careful, else at most n, spread.
func (g *group) some(n int, careful bool) []*file {
	if careful || len(g.files) <= n {
		return g.files
	}
	var fs []*file
	for i := range n {
		fs = append(fs, g.files[i*(len(g.files)-1)/(n-1)])
	}
	return fs
}

func shorten(w []string) string {
	if len(w) > 12 {
		return strings.Join(w[:12], ", ") + fmt.Sprintf(" and %d more", len(w)-12)
	}
	return strings.Join(w, ", ")
}
