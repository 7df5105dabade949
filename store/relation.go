package store

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

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
// Whether a later level has changed a key is asked of sets that are there
// already: the question's own conditions then still find their rows by the zone
// maps of the files, and nothing is built for it. A level without a set is
// joined, which gives the same rows.
func (s *Store) relation(v *tableView, name string) Relation {
	r := &relationWriter{store: s, view: v, name: name}
	r.rel.Rows = v.rows
	n := 0
	for n < len(v.levels) && !v.levels[n].merges {
		n++
	}
	base, changes := v.levels[:n], v.levels[n:]
	if len(changes) == 0 {
		r.rel.SQL, r.rel.Plain = r.base(base, nil)
		return r.rel
	}
	var parts []string
	if len(base) > 0 {
		q, _ := r.base(base, changes)
		parts = append(parts, q)
	}
	for i, l := range changes {
		parts = append(parts, r.live(l, changes[i+1:]))
	}
	r.rel.SQL = strings.Join(parts, "\nUNION ALL\n")
	return r.rel
}

type relationWriter struct {
	store   *Store
	view    *tableView
	name    string
	rel     Relation
	sources map[*tail]string // the names of the tails' rows
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

// base puts the levels of a base together, less the rows whose key is in later
// levels. It is plain where one scan of files gives all of it.
func (r *relationWriter) base(levels, later []levelView) (sql string, plain bool) {
	if len(levels) == 0 {
		return r.empty(), false
	}
	var parts []string
	without := r.without(later)
	part := func(have *arrow.Schema, from string) {
		parts = append(parts, "SELECT "+columnsOf(r.view.schema, have, "r.")+" FROM "+from+" AS r"+without)
	}
	var whole []*dataFile // files of the same columns, which one scan reads
	files := func() {
		if len(whole) > 0 {
			part(whole[0].schema, r.read(whole...))
		}
		whole = nil
	}
	plain = len(later) == 0
	for _, l := range levels {
		switch {
		case l.file == nil:
			part(l.columns(), "arrow_source("+engine.QuoteLiteral(r.tail(l.tail, false))+")")
			plain = false
		case l.file.Last > r.view.cut:
			part(l.columns(), fmt.Sprintf("(FROM %s WHERE %s <= %d)", r.read(l.file), ColumnSeq, r.view.cut))
			plain = false
		case len(whole) > 0 && whole[0].schema != l.file.schema:
			files()
			fallthrough
		default:
			whole = append(whole, l.file)
		}
	}
	files()
	return strings.Join(parts, "\nUNION ALL\n"), plain && len(parts) == 1
}

// empty is a table without rows.
func (r *relationWriter) empty() string {
	parts := make([]string, r.view.schema.NumFields())
	for i, f := range r.view.schema.Fields() {
		t, _ := sqlType(f)
		parts[i] = "NULL::" + t + " AS " + engine.QuoteIdent(f.Name)
	}
	return "SELECT " + strings.Join(parts, ", ") + " WHERE false"
}

// without is the clause that leaves out rows whose key is in later levels.
func (r *relationWriter) without(later []levelView) string {
	var joined []levelView
	src := engine.Source{}
	for _, l := range later {
		if set, ok := r.set(l); ok {
			src.Sets = append(src.Sets, set)
		} else {
			joined = append(joined, l)
		}
	}
	clause := ""
	var keys, on []string
	for i, k := range r.view.keys {
		f := r.view.schema.Field(k)
		t, _ := sqlType(f)
		keys = append(keys, fmt.Sprintf("r.%s::%s", engine.QuoteIdent(f.Name), t))
		on = append(on, fmt.Sprintf("%s = k.k%d", keys[i], i))
	}
	if len(joined) > 0 {
		clause = " ANTI JOIN (" + r.keysOf(joined) + ") AS k ON " + strings.Join(on, " AND ")
	}
	if len(src.Sets) > 0 {
		src.Name = fmt.Sprintf("%s/%d", r.name, len(r.rel.Sources))
		r.rel.Sources = append(r.rel.Sources, src)
		clause += " WHERE weft_unchanged(" + engine.QuoteLiteral(src.Name) + ", " + strings.Join(keys, ", ") + ")"
	}
	return clause
}

// set is the set of the keys that a level of changes has changed, false where
// there is none.
func (r *relationWriter) set(l levelView) (engine.KeysUpTo, bool) {
	set := engine.KeysUpTo{UpTo: int64(r.view.cut)}
	switch {
	case l.file == nil:
		set.Set = l.tail.keySet(r.store.keySeed)
	case l.file.Form == formChange:
		if set.Path = r.store.keysPath(l.file); set.Path == "" {
			return set, false
		}
		r.addFile(set.Path)
	default:
		return set, false
	}
	return set, true
}

// keysOf selects the keys that levels of changes have changed up to the cut,
// some of them more than once.
func (r *relationWriter) keysOf(levels []levelView) string {
	var parts []string
	for _, l := range levels {
		var sel []string
		for i, k := range r.view.keys {
			f := r.view.schema.Field(k)
			t, _ := sqlType(f)
			sel = append(sel, fmt.Sprintf("%s::%s AS k%d", engine.QuoteIdent(f.Name), t, i))
		}
		parts = append(parts, "SELECT "+strings.Join(sel, ", ")+" FROM "+r.changed(l))
	}
	return strings.Join(parts, " UNION ALL ")
}

// changed is the scan of all changed keys of a file of changes up to the cut.
func (r *relationWriter) changed(l levelView) string {
	if l.file.Form == formChange && l.file.Last > r.view.cut {
		return fmt.Sprintf("%s WHERE %s <= %d", r.read(l.file), ColumnSeq, r.view.cut)
	}
	return r.read(l.file)
}

// live selects the rows of a level of changes that are their key's last in it at
// the cut, are no delete, and whose key is in no later level.
func (r *relationWriter) live(l levelView, later []levelView) string {
	var from string
	switch {
	case l.file == nil:
		from = fmt.Sprintf("(FROM arrow_source(%s) WHERE %s)", engine.QuoteLiteral(r.tail(l.tail, true)), columnLive)
	case l.file.Form == formRows:
		from = r.read(l.file)
	case l.file.Form == formMerge:
		from = fmt.Sprintf("(FROM %s WHERE %s IN ('i', 'u'))", r.read(l.file), ColumnOp)
	case l.file.Last > r.view.cut:
		from = fmt.Sprintf("(FROM %s WHERE %s <= %d AND %s > %d AND %s <> 'd')", r.read(l.file), ColumnSeq, r.view.cut, columnSeqTo, r.view.cut, ColumnOp)
	default:
		from = fmt.Sprintf("(FROM %s WHERE %s > %d AND %s <> 'd')", r.read(l.file), columnSeqTo, r.view.cut, ColumnOp)
	}
	return "SELECT " + columnsOf(r.view.schema, l.columns(), "r.") + " FROM " + from + " AS r" + r.without(later)
}

// tail makes the Arrow source of a piece of the tail, once; as changes its rows
// have the marker _live.
func (r *relationWriter) tail(t tailView, changes bool) string {
	if name, ok := r.sources[t.of]; ok {
		return name
	}
	if r.sources == nil {
		r.sources = map[*tail]string{}
	}
	name := fmt.Sprintf("%s/%d", r.name, len(r.rel.Sources))
	var live []byte
	if changes {
		r.store.mu.Lock()
		live = t.live()
		r.store.mu.Unlock()
	}
	r.rel.Sources = append(r.rel.Sources, t.source(name, live))
	r.sources[t.of] = name
	return name
}
