package store

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// When a fold does what.
const (
	rebaseShare   = 0.2 // changed rows over rows of the base above which a new base is written
	levelGrowth   = 1.5 // a change file up to this many times what comes after it is folded with it
	maxSmallFiles = 8   // files of bulk appends that could be one above which they are joined
)

// Compact folds the tail into files where it is due, or at once when force is
// set, and lets go of what retention no longer keeps. Readers and the writer go
// on meanwhile; calls wait for each other. What every kept cut reads stays the
// same. Where it fails everything is as before.
func (s *Store) Compact(ctx context.Context, force bool) (failed error) {
	s.compact.Lock()
	defer s.compact.Unlock()
	p, err := s.planFold(force)
	if err != nil || p == nil {
		return err
	}
	defer s.endFold(p)
	defer s.folded(time.Now(), &failed)
	if s.work(ctx, p) {
		sess, err := s.session(ctx, "compact", runtime.NumCPU())
		if err != nil {
			return err
		}
		defer func() { _ = sess.Close() }()
		s.beginFold()
		for _, f := range p.spans {
			if f.fold {
				if err := s.foldSpan(ctx, sess, p, f); err != nil {
					return err
				}
			}
			for _, d := range s.keyless(ctx, f) {
				if err := s.writeKeys(ctx, sess, f, d); err != nil {
					return err
				}
			}
		}
		if err := s.fs.SyncDir(s.filesDir()); err != nil {
			return ioError("sync the folder", s.filesDir(), err)
		}
	}
	if err := s.planRetention(p); err != nil {
		return err
	}
	return s.installFold(p)
}

// foldPlan is one fold: what the store looked like at a commit, and what takes
// its place.
type foldPlan struct {
	at     checkpoint
	oldest weft.Seq
	order  []string
	tables map[string]*foldTable
	spans  []*spanFold // all of all tables
	made   []*dataFile // files that this fold wrote
	kept   bool        // a manifest may name them
	// Set by planRetention.
	history     []*dataFile
	dropSegment uint32 // segments before this number go
}

type foldTable struct {
	name   string
	hidden bool
	rows   int64
	ids    int
	floor  *rowsAt
	spans  []*spanFold
	// wrong is by how much the counter was less than the rows that were read.
	wrong int64
}

// spanFold is one span: the levels it had and the files it is to have.
type spanFold struct {
	span   *span
	name   string
	view   *tableView // all levels up to the fold's commit
	levels []*dataFile
	rebase *dataFile // the base of the span that starts at the fold's commit
	// editions are those up to the fold's commit that a kept cut can see.
	editions []edition
	// uncounted is the span's, or what was found out by reading its rows.
	uncounted bool
	fold      bool
	drop      bool // retention has ended for it
}

// work reports whether there is something to write.
func (s *Store) work(ctx context.Context, p *foldPlan) bool {
	return slices.ContainsFunc(p.spans, func(f *spanFold) bool { return f.fold || len(s.keyless(ctx, f)) > 0 })
}

// planFold fixes what to fold; nil where nothing is due.
func (s *Store) planFold(force bool) (*foldPlan, error) {
	// Between two commits: behind the checkpoint the journal says its schemas
	// again, so that it can be replayed from there.
	s.writer.Lock()
	defer s.writer.Unlock()
	s.mu.Lock()
	head, closed := s.head, s.closed
	due := force || s.foldDue()
	s.mu.Unlock()
	if closed {
		return nil, closedError()
	}
	if head.Seq == 0 || s.ReadOnly() != nil {
		return nil, nil
	}
	if !due {
		var err error
		if due, err = s.retentionDue(); err != nil || !due {
			return nil, err
		}
	}
	seg, at, err := s.journal.find(head.Seq)
	if err != nil {
		return nil, err
	}
	defer s.journal.release(seg)
	s.journal.schemas = map[weft.Hash]bool{}
	p := &foldPlan{
		at:     checkpoint{Seq: head.Seq, Hash: head.Hash, Time: head.Time, Segment: seg.info.Segment, Header: at.at, End: at.end},
		tables: map[string]*foldTable{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.oldest, p.order = s.man.Oldest, slices.Clone(s.order)
	for _, name := range p.order {
		t := s.tables[name]
		ft := &foldTable{name: name, hidden: t.hidden, rows: t.rows, ids: t.ids, floor: t.floor}
		p.tables[name] = ft
		for _, sp := range t.spans {
			f := &spanFold{span: sp, name: name, view: viewTable(t, sp, head.Seq), editions: since(sp.editions, p.oldest), uncounted: sp.uncounted}
			if f.fold = f.needsFold(); !f.fold {
				f.levels = sp.files()
			}
			sp.closeTail()
			ft.spans = append(ft.spans, f)
			p.spans = append(p.spans, f)
		}
	}
	return p, nil
}

// needsFold reports whether a span has rows that are in no file, or bulk
// changes that every read has to put together.
func (f *spanFold) needsFold() bool {
	changes := false
	for _, l := range f.view.levels {
		changes = changes || l.merges
		if l.file == nil || changes && l.file.Form != formChange {
			return true
		}
	}
	return !changes && joinedFrom(f.view.levels) < len(f.view.levels)
}

// endFold gives up the views of a fold and the files of one that failed.
func (s *Store) endFold(p *foldPlan) {
	s.mu.Lock()
	if !p.kept {
		s.letting = 0
	}
	if s.folding != nil {
		close(s.folding)
		s.folding = nil
	}
	var dead []*dataFile
	for _, f := range p.spans {
		for _, l := range f.view.levels {
			if d := l.file; d != nil {
				if d.refs--; d.refs == 0 && d.dead {
					dead = append(dead, d)
				}
			}
		}
	}
	s.mu.Unlock()
	if !p.kept {
		dead = append(dead, p.made...)
	}
	s.removeFiles(dead)
}

// foldSpan writes the files that take the place of a span's levels.
func (s *Store) foldSpan(ctx context.Context, sess engine.Session, p *foldPlan, f *spanFold) error {
	levels := f.view.levels
	n := 0
	for n < len(levels) && !levels[n].merges {
		n++
	}
	base, changes := levels[:n], levels[n:]
	var baseRows int64
	n = joinedFrom(base)
	for _, l := range base[:n] {
		f.levels = append(f.levels, l.file)
		baseRows += l.file.Rows
	}
	if n < len(base) {
		d := base[n].file
		if len(base)-n > 1 || d == nil {
			var err error
			if d, err = s.writeChanges(ctx, sess, p, f, base[n:], false); err != nil {
				return err
			}
		}
		f.levels = append(f.levels, d)
		baseRows += d.Rows
	}
	if len(changes) == 0 {
		return nil
	}
	return s.foldChanges(ctx, sess, p, f, changes, baseRows)
}

// foldChanges folds what is new into the change files of a span, or puts all of
// it into a new base where the changes have become many.
func (s *Store) foldChanges(ctx context.Context, sess engine.Session, p *foldPlan, f *spanFold, changes []levelView, baseRows int64) error {
	var changed int64
	for _, l := range changes {
		changed += l.size()
	}
	last := p.tables[f.name].spans
	rebase := last[len(last)-1] == f && p.at.Seq > f.span.from && float64(changed) > rebaseShare*float64(baseRows)
	n := foldedFrom(changes, rebase)
	for _, l := range changes[:n] {
		f.levels = append(f.levels, l.file)
	}
	if n < len(changes) {
		d, err := s.writeChanges(ctx, sess, p, f, changes[n:], true)
		if err != nil {
			return err
		}
		if d.Rows > 0 {
			f.levels = append(f.levels, d)
		}
	}
	var err error
	if rebase {
		f.rebase, err = s.writeBase(ctx, sess, p, f)
	}
	return err
}

// foldedFrom is where in the levels of changes those begin that become one file:
// all behind the first that is no change file, and what is not large beside them.
// Before a new base nothing is joined: only older cuts will read the files.
func foldedFrom(changes []levelView, rebase bool) int {
	n := 0
	for n < len(changes) && changes[n].file != nil && changes[n].file.Form == formChange {
		n++
	}
	if n == len(changes) || rebase {
		return n
	}
	return grow(changes, n)
}

// joinedFrom is where in the levels of a base those begin that become one file:
// all behind the first that is in none, and what is not large beside them.
func joinedFrom(base []levelView) int {
	n := 0
	for n < len(base) && base[n].file != nil {
		n++
	}
	if n == len(base) {
		if m := grow(base, n-1); n-m > maxSmallFiles {
			return m
		}
		return n
	}
	return grow(base, n)
}

// grow takes levels before the n-th as long as they are not large beside what is
// taken already. So a row is written again a number of times that grows with the
// logarithm of the table, and so does the number of files.
func grow(levels []levelView, n int) int {
	if n < 0 {
		return 0
	}
	var rows int64
	for _, l := range levels[n:] {
		rows += l.size()
	}
	for n > 0 && float64(levels[n-1].size()) <= levelGrowth*float64(rows) {
		n--
		rows += levels[n].size()
	}
	return n
}

// size is the number of rows of a level.
func (l levelView) size() int64 {
	if l.file != nil {
		return l.file.Rows
	}
	return int64(l.tail.rows)
}

// writeChanges puts levels, of changes or of a base, into one change file, sorted
// by key.
func (s *Store) writeChanges(ctx context.Context, sess engine.Session, p *foldPlan, f *spanFold, levels []levelView, changes bool) (*dataFile, error) {
	r := &relationWriter{store: s, view: f.view, name: "fold/" + f.name}
	if err := s.guard.check(ctx, (&tableView{levels: levels}).dataFiles()...); err != nil {
		return nil, err
	}
	var parts []string
	d := &dataFile{Form: formChange, First: p.at.Seq, Name: fileName(p.at.Seq, f.name)}
	d.schema = union(f.editions)
	for _, l := range levels {
		parts = append(parts, r.changesOf(l, d.schema))
		first, last, merges := l.bounds()
		d.First, d.Last = min(d.First, first), max(d.Last, last)
		if merges != 0 && (d.Merges == 0 || merges < d.Merges) {
			d.Merges = merges
		}
	}
	if changes && d.Merges == 0 { // appends behind changes may replace rows too
		d.Merges = d.First
	}
	cols := columns(d.schema, "")
	all := strings.Join(parts, " UNION ALL ")
	to := fmt.Sprintf("%d::BIGINT", seqForever)
	order := ColumnSeq
	where := ""
	if keys := f.keyNames(); keys != "" {
		order = keys + ", " + ColumnSeq
		if d.Merges != 0 {
			to = fmt.Sprintf("lead(%s, 1, %d::BIGINT) OVER (PARTITION BY %s ORDER BY %s)", ColumnSeq, seqForever, keys, ColumnSeq)
			where = fmt.Sprintf(" WHERE %s > %d", columnSeqTo, p.oldest) // no kept cut sees the others
		}
	}
	sql := fmt.Sprintf("FROM (SELECT %s, %s, %s AS %s, %s FROM (%s))%s ORDER BY %s",
		cols, ColumnSeq, to, columnSeqTo, ColumnOp, all, where, order)
	// The keys are put together while the engine writes the rows.
	joined := make(chan *engine.KeySet, 1)
	keyed := d.Merges != 0 && f.asked()
	if keyed {
		go func() { joined <- s.joinKeys(ctx, f, levels) }()
	} else {
		close(joined)
	}
	err := s.writeFile(ctx, sess, p, d, sql, r.rel.Sources)
	set := <-joined
	switch {
	case err != nil || !keyed:
		return d, err
	case set == nil:
		return d, s.writeKeys(ctx, sess, f, d)
	}
	return d, s.putKeys(d, set)
}

// bounds are the commits that a level's rows are of, and the first that is no
// append.
func (l levelView) bounds() (first, last, merges weft.Seq) {
	if l.file != nil {
		return l.file.First, l.file.Last, l.file.Merges
	}
	first, last = weft.Seq(l.tail.seq[0]), weft.Seq(l.tail.seq[l.tail.rows-1])
	if l.merges {
		merges = l.tail.firstMerge
	}
	return first, last, merges
}

func (f *spanFold) keyNames() string {
	var ks []string
	for _, k := range f.span.key {
		ks = append(ks, engine.QuoteIdent(k))
	}
	return strings.Join(ks, ", ")
}

// changesOf selects all changes of a level: the columns of want, _seq and _op.
func (r *relationWriter) changesOf(l levelView, want *arrow.Schema) string {
	cols := columnsOf(want, l.columns(), "")
	switch {
	case l.file == nil:
		return fmt.Sprintf("SELECT %s, %s, %s FROM arrow_source(%s)", cols, ColumnSeq, ColumnOp, engine.QuoteLiteral(r.changeSource(l.tail)))
	case l.file.Form == formRows:
		return fmt.Sprintf("SELECT %s, %d::BIGINT AS %s, 'i' AS %s FROM %s", cols, l.file.First, ColumnSeq, ColumnOp, r.read(l.file))
	case l.file.Form == formMerge:
		return fmt.Sprintf("SELECT %s, %d::BIGINT AS %s, %s FROM %s WHERE %s <> 'b'", cols, l.file.First, ColumnSeq, ColumnOp, r.read(l.file), ColumnOp)
	}
	return fmt.Sprintf("SELECT %s, %s, %s FROM %s", cols, ColumnSeq, ColumnOp, r.read(l.file))
}

// changeSource makes the Arrow source of a piece of the tail with _seq and _op.
func (r *relationWriter) changeSource(t tailView) string {
	fs := append(append([]arrow.Field{}, t.of.schema.Fields()...),
		arrow.Field{Name: ColumnSeq, Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: ColumnOp, Type: arrow.BinaryTypes.String})
	schema := arrow.NewSchema(fs, nil)
	name := fmt.Sprintf("%s/%d", r.name, len(r.rel.Sources))
	r.rel.Sources = append(r.rel.Sources, engine.Source{
		Name: name, Schema: schema, Batches: addColumns(schema, t.records(), func(from, to int) []arrow.Array {
			return []arrow.Array{newBigints(t.seq[from:to]), newStrings(to-from, func(i int) string { return string(t.op[from+i]) })}
		}),
	})
	return name
}

// writeBase puts the rows at the fold's commit into a new base.
func (s *Store) writeBase(ctx context.Context, sess engine.Session, p *foldPlan, f *spanFold) (*dataFile, error) {
	v := &tableView{name: f.name, span: f.span, edition: f.view.edition, cut: p.at.Seq}
	for _, d := range f.levels {
		v.levels = append(v.levels, levelView{file: d, merges: d.Merges != 0})
	}
	if err := s.guard.check(ctx, v.dataFiles()...); err != nil {
		return nil, err
	}
	rel := s.relation(ctx, v, "base/"+f.name)
	d := &dataFile{Form: formRows, First: p.at.Seq, Last: p.at.Seq, Name: fileName(p.at.Seq, f.name), schema: v.schema}
	if err := s.writeFile(ctx, sess, p, d, "FROM ("+rel.SQL+") ORDER BY "+f.keyNames(), rel.Sources); err != nil {
		return nil, err
	}
	t := p.tables[f.name]
	if want := t.rows; d.Rows != want {
		// What is read stays the same. The counter goes on from what is there, and is not
		// believed again before the whole table is replaced: it does not say since when it
		// is wrong, and commits that come meanwhile still count from it.
		t.wrong, t.rows, f.uncounted = d.Rows-want, d.Rows, true
		s.cfg.Env.Log.Warn("a change of this table did not hold what it promised: a key was there already, or was not there",
			"table", s.cfg.Product.String()+"."+f.name, "rows", d.Rows, "counted", want)
	}
	return d, nil
}

// changeGroup is the rows of a group in a change file: a range or a point reads a
// group of each, and there are several files.
const changeGroup = 16 << 10

func rowGroup(d *dataFile) int {
	if d.Form == formChange && d.Merges != 0 {
		return changeGroup
	}
	return 0
}

// writeFile runs a COPY into a new file of the store and makes it durable.
func (s *Store) writeFile(ctx context.Context, sess engine.Session, p *foldPlan, d *dataFile, sql string, sources []engine.Source) error {
	path := s.filePath(d.Name)
	p.made = append(p.made, d)
	rows, err := sess.Exec(ctx, engine.Statement{
		SQL:     engine.CopyParquetIDs(sql, path, fieldIDs(d.schema), rowGroup(d)),
		Sources: sources,
	})
	if err != nil {
		return weft.Errorf(weft.KindOf(err), "compact", s.cfg.Product.String(), "%w", err).WithHint("%s", weft.HintOf(err))
	}
	d.Rows = rows
	if d.Hash, d.Bytes, err = s.sealFile(path); err == nil {
		s.guard.trust(d)
	}
	return err
}
