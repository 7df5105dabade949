package store

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft/engine"
)

// relation writes the one read form. Levels before the first change that is no
// append are the base, and are simply put together. From there on, a level's
// rows hold where no later level has changed the key:
//
//	base rows, their key in no change up to the cut
//	+ for each level of changes: rows that are their key's last in it at the cut
//	  and no delete, their key in no later level
//
// The keys are read from files and blocks of known size, so that the engine
// builds its hash table on that side, which is the small one.
func (s *Store) relation(v *tableView, name string) Relation {
	r := &relationWriter{store: s, view: v, name: name}
	r.rel.Rows = v.rows
	n := 0
	for n < len(v.levels) && !v.levels[n].merges {
		n++
	}
	base, changes := v.levels[:n], v.levels[n:]
	if len(changes) == 0 {
		r.rel.SQL, r.rel.Plain = r.base(base, "")
		return r.rel
	}
	var parts []string
	if len(base) > 0 {
		q, _ := r.base(base, r.keysOf(changes))
		parts = append(parts, q)
	}
	for i, l := range changes {
		parts = append(parts, r.live(l, r.keysOf(changes[i+1:])))
	}
	r.rel.SQL = strings.Join(parts, "\nUNION ALL\n")
	return r.rel
}

type relationWriter struct {
	store   *Store
	view    *tableView
	name    string
	rel     Relation
	sources map[int64]tailSources // by the first Seq of the piece of the tail
}

// read is the scan of files that have the same form.
func (r *relationWriter) read(files ...*dataFile) string {
	paths := make([]string, len(files))
	for i, f := range files {
		p := r.store.filePath(f.Name)
		paths[i] = engine.QuoteLiteral(p)
		r.addFile(p)
	}
	return "read_parquet([" + strings.Join(paths, ", ") + "], hive_partitioning = false)"
}

func (r *relationWriter) addFile(path string) {
	for _, p := range r.rel.Files {
		if p == path {
			return
		}
	}
	r.rel.Files = append(r.rel.Files, path)
}

// base puts the levels of a base together, less the rows whose key is in keys.
// It is plain where one scan of files gives all of it.
func (r *relationWriter) base(levels []levelView, keys string) (sql string, plain bool) {
	var whole []*dataFile
	var froms []string
	for _, l := range levels {
		switch {
		case l.file == nil:
			froms = append(froms, "arrow_source("+engine.QuoteLiteral(r.tail(l.tail, false).rows)+")")
		case l.file.Last > r.view.cut:
			froms = append(froms, fmt.Sprintf("(FROM %s WHERE %s <= %d)", r.read(l.file), ColumnSeq, r.view.cut))
		default:
			whole = append(whole, l.file)
		}
	}
	if len(whole) > 0 {
		froms = append([]string{r.read(whole...)}, froms...)
	}
	cols := columns(r.view.span.schema, "r.")
	if len(froms) == 0 {
		return r.empty(), false
	}
	var parts []string
	for _, f := range froms {
		parts = append(parts, "SELECT "+cols+" FROM "+f+" AS r"+r.without(keys))
	}
	return strings.Join(parts, "\nUNION ALL\n"), keys == "" && len(parts) == 1 && len(whole) > 0
}

// empty is a table without rows.
func (r *relationWriter) empty() string {
	parts := make([]string, r.view.span.schema.NumFields())
	for i, f := range r.view.span.schema.Fields() {
		t, _ := sqlType(f)
		parts[i] = "NULL::" + t + " AS " + engine.QuoteIdent(f.Name)
	}
	return "SELECT " + strings.Join(parts, ", ") + " WHERE false"
}

// without is the clause that leaves out rows whose key is in keys.
func (r *relationWriter) without(keys string) string {
	if keys == "" {
		return ""
	}
	var on []string
	for i, k := range r.view.span.keys {
		f := r.view.span.schema.Field(k)
		t, _ := sqlType(f)
		on = append(on, fmt.Sprintf("r.%s::%s = k.k%d", engine.QuoteIdent(f.Name), t, i))
	}
	return " ANTI JOIN (" + keys + ") AS k ON " + strings.Join(on, " AND ")
}

// keysOf selects the keys that levels of changes have changed up to the cut,
// some of them more than once.
func (r *relationWriter) keysOf(levels []levelView) string {
	var parts []string
	for _, l := range levels {
		var sel []string
		for i, k := range r.view.span.keys {
			f := r.view.span.schema.Field(k)
			t, _ := sqlType(f)
			sel = append(sel, fmt.Sprintf("%s::%s AS k%d", engine.QuoteIdent(f.Name), t, i))
		}
		parts = append(parts, "SELECT "+strings.Join(sel, ", ")+" FROM "+r.changed(l))
	}
	return strings.Join(parts, " UNION ALL ")
}

// changed is the scan of all changed keys of a level of changes up to the cut.
func (r *relationWriter) changed(l levelView) string {
	switch {
	case l.file == nil:
		return "arrow_source(" + engine.QuoteLiteral(r.tail(l.tail, true).keys) + ")"
	case l.file.Form == formChange && l.file.Last > r.view.cut:
		return fmt.Sprintf("%s WHERE %s <= %d", r.read(l.file), ColumnSeq, r.view.cut)
	}
	return r.read(l.file)
}

// live selects the rows of a level of changes that are their key's last in it at
// the cut, are no delete, and whose key is not in keys.
func (r *relationWriter) live(l levelView, keys string) string {
	var from string
	switch {
	case l.file == nil:
		from = fmt.Sprintf("(FROM arrow_source(%s) WHERE %s)", engine.QuoteLiteral(r.tail(l.tail, true).rows), columnLive)
	case l.file.Form == formRows:
		from = r.read(l.file)
	case l.file.Form == formMerge:
		from = fmt.Sprintf("(FROM %s WHERE %s IN ('i', 'u'))", r.read(l.file), ColumnOp)
	case l.file.Last > r.view.cut:
		from = fmt.Sprintf("(FROM %s WHERE %s <= %d AND %s > %d AND %s <> 'd')", r.read(l.file), ColumnSeq, r.view.cut, columnSeqTo, r.view.cut, ColumnOp)
	default:
		from = fmt.Sprintf("(FROM %s WHERE %s > %d AND %s <> 'd')", r.read(l.file), columnSeqTo, r.view.cut, ColumnOp)
	}
	return "SELECT " + columns(r.view.span.schema, "r.") + " FROM " + from + " AS r" + r.without(keys)
}

// tailSources are the names of a piece of the tail: its rows, and as changes the
// rows with the marker _live and the keys that changed, each once.
type tailSources struct {
	rows, keys string
}

// tail makes the Arrow sources of a piece of the tail, once. As part of a base
// it is rows alone.
func (r *relationWriter) tail(t tailView, changes bool) tailSources {
	first := t.firstSeq()
	if s, ok := r.sources[first]; ok {
		return s
	}
	if r.sources == nil {
		r.sources = map[int64]tailSources{}
	}
	s := tailSources{rows: fmt.Sprintf("%s/%d", r.name, len(r.sources))}
	src := engine.Source{Name: s.rows, Schema: t.of.schema, Batches: t.records()}
	if changes {
		s.keys = s.rows + "/keys"
		r.store.mu.Lock()
		last, live := t.marks()
		r.store.mu.Unlock()
		r.rel.Sources = append(r.rel.Sources, keySource(s.keys, t.of, src.Batches, last))
		src.Schema = withLive(t.of.schema)
		src.Batches = addColumns(src.Schema, src.Batches, func(from, to int) []arrow.Array {
			return []arrow.Array{newBooleans(live[from:to])}
		})
	}
	r.rel.Sources = append(r.rel.Sources, src)
	r.sources[first] = s
	return s
}

// keySource gives the key columns of the rows that are their key's last.
func keySource(name string, t *tail, recs []arrow.RecordBatch, last []bool) engine.Source {
	src := engine.Source{Name: name}
	fields := make([]arrow.Field, len(t.keys))
	for i, k := range t.keys {
		fields[i] = t.schema.Field(k)
	}
	src.Schema = arrow.NewSchema(fields, nil)
	for _, rec := range recs {
		cols := make([]arrow.Array, len(t.keys))
		for i, k := range t.keys {
			cols[i] = rec.Column(k)
		}
		n := rec.NumRows()
		keys, err := pick(array.NewRecordBatch(src.Schema, cols, n), last[:n])
		if err != nil {
			panic(err) // key columns are of simple types, all of which can be picked
		}
		last = last[n:]
		if keys.NumRows() > 0 {
			src.Batches = append(src.Batches, keys)
		}
	}
	return src
}

func (v tailView) firstSeq() int64 {
	if len(v.seq) == 0 {
		return 0
	}
	return v.seq[0]
}

func withLive(s *arrow.Schema) *arrow.Schema {
	fs := append(append([]arrow.Field{}, s.Fields()...), arrow.Field{Name: columnLive, Type: arrow.FixedWidthTypes.Boolean})
	return arrow.NewSchema(fs, nil)
}

// countFiles is the number of rows of a view whose levels are appends alone.
func (v *tableView) countFiles() int64 {
	var n int64
	for _, l := range v.levels {
		if l.file != nil {
			n += l.file.Rows
		} else {
			n += int64(l.tail.rows)
		}
	}
	return n
}
