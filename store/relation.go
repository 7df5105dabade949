package store

import (
	"context"
	"fmt"
	"slices"
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
// maps of the files, and nothing is built for it. All levels ask one list of sets,
// each row of those that begin after it; so one scan reads all change files. A
// level without a set is joined, which gives the same rows.
func (s *Store) relation(ctx context.Context, v *tableView, name string) Relation {
	r := &relationWriter{ctx: ctx, store: s, view: v, name: name}
	r.rel.Rows = v.rows
	n := 0
	for n < len(v.levels) && !v.levels[n].merges {
		n++
	}
	base := v.levels[:n]
	if n == len(v.levels) {
		r.rel.SQL, r.rel.Plain = r.base(base)
		return r.rel
	}
	r.changes = v.levels[n:]
	r.addSets()
	var parts []string
	if len(base) > 0 {
		q, _ := r.base(base)
		parts = append(parts, q)
	}
	for from := 0; from < len(r.changes); {
		to := r.together(from)
		parts = append(parts, r.live(from, to))
		from = to
	}
	r.rel.SQL = strings.Join(parts, "\nUNION ALL\n")
	return r.rel
}

// together is the end of the levels from one on that one scan can read: change files
// of the same columns, where no later level has to be joined.
func (r *relationWriter) together(from int) (to int) {
	to = from + 1
	if slices.Contains(r.asked, false) {
		return to
	}
	is := func(l levelView) bool {
		return l.file != nil && l.file.Form == formChange && l.file.schema == r.changes[from].file.schema
	}
	for is(r.changes[from]) && to < len(r.changes) && is(r.changes[to]) {
		to++
	}
	return to
}

type relationWriter struct {
	ctx     context.Context
	store   *Store
	view    *tableView
	name    string
	rel     Relation
	sources map[*tail]string // the names of the tails' rows
	changes []levelView      // the levels of changes
	sets    string           // the name of their sets, empty where there are none
	asked   []bool           // which of them have one
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
func (r *relationWriter) base(levels []levelView) (sql string, plain bool) {
	if len(levels) == 0 {
		return r.empty(), false
	}
	var parts []string
	without := r.without("0", 0)
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
	plain = len(r.changes) == 0
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

// without is the clause that leaves out rows whose key is in levels of changes from
// one on; since is the commit that a row is of, as SQL, or any before those.
func (r *relationWriter) without(since string, from int) string {
	var joined []levelView
	for i, l := range r.changes[from:] {
		if !r.asked[from+i] {
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
	if len(r.changes)-from > len(joined) {
		clause += " WHERE weft_unchanged(" + engine.QuoteLiteral(r.sets) + ", " + since + ", " + strings.Join(keys, ", ") + ")"
	}
	return clause
}

// addSets hands over the sets of the levels of changes that have one.
func (r *relationWriter) addSets() {
	src := engine.Source{Name: fmt.Sprintf("%s/%d", r.name, len(r.rel.Sources))}
	r.asked = make([]bool, len(r.changes))
	for i, l := range r.changes {
		if set, ok := r.set(l); ok {
			src.Sets = append(src.Sets, set)
			r.asked[i] = true
		}
	}
	if len(src.Sets) > 0 {
		r.rel.Sources = append(r.rel.Sources, src)
		r.sets = src.Name
	}
}

// set is the set of the keys that a level of changes has changed, false where
// there is none.
func (r *relationWriter) set(l levelView) (engine.KeysUpTo, bool) {
	first, _, _ := l.bounds()
	set := engine.KeysUpTo{From: int64(first), UpTo: int64(r.view.cut)}
	switch {
	case len(r.view.keys) > engine.MaxKeyColumns:
		return set, false
	case l.file == nil:
		set.Set = l.tail.keySet(r.store.keySeed)
	case l.file.Form == formChange:
		if set.Path = r.store.keysPath(r.ctx, l.file); set.Path == "" {
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

// changed is the scan of all changed keys of a level of changes up to the cut.
func (r *relationWriter) changed(l levelView) string {
	if l.file == nil {
		return "arrow_source(" + engine.QuoteLiteral(r.tail(l.tail, true)) + ")"
	}
	if l.file.Form == formChange && l.file.Last > r.view.cut {
		return fmt.Sprintf("%s WHERE %s <= %d", r.read(l.file), ColumnSeq, r.view.cut)
	}
	return r.read(l.file)
}

// live selects the rows of levels of changes that are their key's last in them at
// the cut, are no delete, and whose key is in no later level.
func (r *relationWriter) live(from, to int) string {
	l := r.changes[from]
	_, last, _ := l.bounds()
	since := fmt.Sprint(uint64(last))
	var rows string
	switch {
	case l.file == nil:
		rows = fmt.Sprintf("(FROM arrow_source(%s) WHERE %s)", engine.QuoteLiteral(r.tail(l.tail, true)), columnLive)
	case l.file.Form == formRows:
		rows = r.read(l.file)
	case l.file.Form == formMerge:
		rows = fmt.Sprintf("(FROM %s WHERE %s IN ('i', 'u'))", r.read(l.file), ColumnOp)
	default:
		var files []*dataFile
		for _, c := range r.changes[from:to] {
			files = append(files, c.file)
		}
		cut := ""
		if files[len(files)-1].Last > r.view.cut {
			cut = fmt.Sprintf("%s <= %d AND ", ColumnSeq, r.view.cut)
		}
		rows = fmt.Sprintf("(FROM %s WHERE %s%s > %d AND %s <> 'd')", r.read(files...), cut, columnSeqTo, r.view.cut, ColumnOp)
		since = "r." + ColumnSeq
	}
	return "SELECT " + columnsOf(r.view.schema, l.columns(), "r.") + " FROM " + rows + " AS r" + r.without(since, from+1)
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
